// Reading tensors at places that are not elements: GridSample, AffineGrid, DeformConv.
#include "graph/ops/links_of.h"

namespace pare {
namespace {

constexpr double kFar = 1e9;  // farther out than any tensor reaches, and still a whole number

// Into [low, high] by mirroring at both ends.
double reflected(double x, double low, double high) {
  const double range = high - low;
  if (range <= 0) return low;
  double rest = std::fmod(std::abs(x - low), 2 * range);
  return low + (rest > range ? 2 * range - rest : rest);
}

struct Sampler {
  std::string padding;     // zeros, border, reflection
  bool align = false;      // −1 and 1 are the centres of the outer elements, not their outer edges
  int taps = 2;            // along each axis: 1 nearest, 2 linear, 4 cubic

  double low() const { return align ? 0 : -0.5; }
  double high(int64_t extent) const { return align ? double(extent - 1) : double(extent) - 0.5; }

  // Where grid coordinate g of [−1, 1] lies among `extent` elements.
  double place(double g, int64_t extent) const {
    if (!std::isfinite(g)) g = -kFar;
    double x = align ? (g + 1) / 2 * double(extent - 1) : ((g + 1) * double(extent) - 1) / 2;
    x = std::clamp(x, -kFar, kFar);
    if (taps == 1) x = std::nearbyint(x);
    if (x >= low() && x <= high(extent)) return x;
    if (padding == "border") return std::clamp(x, 0.0, double(extent - 1));
    return padding == "reflection" ? reflected(x, low(), high(extent)) : x;
  }
  // The element that stands for index i; −1: a zero.
  int64_t element(int64_t i, int64_t extent) const {
    if (i >= 0 && i < extent) return i;
    if (padding == "border") return std::clamp<int64_t>(i, 0, extent - 1);
    if (padding == "reflection") return std::clamp<int64_t>(int64_t(reflected(double(i), low(), high(extent))), 0, extent - 1);
    return -1;
  }
  // First index and weights of the taps around x (cubic: Keys 1981 with a = −0.75).
  int64_t weights(double x, double* weight) const {
    if (taps == 1) {
      weight[0] = 1;
      return int64_t(std::nearbyint(x));
    }
    const double below = std::floor(x), t = x - below;
    if (taps == 2) {
      weight[0] = 1 - t, weight[1] = t;
      return int64_t(below);
    }
    constexpr double a = -0.75;
    auto near = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
    auto far = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
    weight[0] = far(t + 1), weight[1] = near(t), weight[2] = near(1 - t), weight[3] = far(2 - t);
    return int64_t(below) - 1;
  }
  // One value of a plane of `extents` at `at` (places, one an axis).
  double value(const float* plane, const Dims& extents, const std::vector<double>& at) const {
    const size_t n = extents.size();
    std::vector<int64_t> first(n);
    std::vector<double> weight(n * 4);
    for (size_t i = 0; i < n; ++i) first[i] = weights(at[i], &weight[i * 4]);
    double sum = 0;
    int64_t combinations = 1;
    for (size_t i = 0; i < n; ++i) combinations *= taps;
    for (int64_t k = 0; k < combinations; ++k) {
      double factor = 1;
      int64_t offset = 0, rest = k;
      for (size_t i = n, stride = 1; i-- > 0; stride *= size_t(extents[i]), rest /= taps) {
        const int64_t tap = rest % taps, element_index = element(first[i] + tap, extents[i]);
        factor = element_index < 0 ? 0 : factor * weight[i * 4 + size_t(tap)];
        offset += std::max<int64_t>(element_index, 0) * int64_t(stride);
      }
      if (factor != 0) sum += factor * plane[offset];
    }
    return sum;
  }
};

Sampler sampler_of(const Node& node) {
  Sampler sampler{node.text("padding_mode", "zeros"), node.integer("align_corners", 0) != 0, 2};
  const std::string mode = node.text("mode", "linear");
  if (mode == "nearest") sampler.taps = 1;
  else if (mode == "cubic" || mode == "bicubic") sampler.taps = 4;
  else if (mode != "linear" && mode != "bilinear") throw Error(node.where(), "has mode '" + mode + "', expected nearest, linear or cubic");
  if (sampler.padding != "zeros" && sampler.padding != "border" && sampler.padding != "reflection") throw Error(node.where(), "has padding_mode '" + sampler.padding + "'");
  return sampler;
}

// X [batch, channels, extents…], grid [batch, places…, axes], its last axis from the innermost axis outwards.
void forward_grid_sample(Forward& f) {
  const Array x = float_in(f, 0), grid = float_in(f, 1);
  const int n = x.rank() - 2;
  if (n < 1 || grid.rank() != x.rank() || grid.dim(-1) != n || grid.dim(0) != x.dim(0) || x.count() == 0)
    throw Error(f.node.where(), "cannot sample " + dims_text(x.dims()) + " at " + dims_text(grid.dims()));
  const Sampler sampler = sampler_of(f.node);
  const Dims extents(x.dims().begin() + 2, x.dims().end());
  Dims out{x.dim(0), x.dim(1)};
  out.insert(out.end(), grid.dims().begin() + 1, grid.dims().end() - 1);
  Array y(Type::f32, out);
  const int64_t plane = count_of(extents), places = grid.count() / n / x.dim(0), channels = x.dim(1);
  auto ys = y.mutable_values<float>();
  std::vector<double> at(static_cast<size_t>(n));
  for (int64_t b = 0; b < x.dim(0); ++b)
    for (int64_t p = 0; p < places; ++p) {
      for (int i = 0; i < n; ++i) at[size_t(i)] = sampler.place(grid.values<float>()[size_t((b * places + p) * n + n - 1 - i)], extents[size_t(i)]);
      for (int64_t c = 0; c < channels; ++c)
        ys[size_t((b * channels + c) * places + p)] = float(sampler.value(x.values<float>().data() + (b * channels + c) * plane, extents, at));
    }
  float_out(f, 0, y);
}

void infer_grid_sample(Inference& in) {
  in.set_type(0, in.type(0));
  sampler_of(in.node());
  const Shape *x = in.shape(0), *grid = in.shape(1);
  if (x == nullptr || grid == nullptr) return;
  if (x->size() < 3 || grid->size() != x->size()) in.fail("cannot sample " + shape_text(*x) + " at " + shape_text(*grid));
  Shape out{(*x)[0], (*x)[1]};
  out.insert(out.end(), grid->begin() + 1, grid->end() - 1);
  in.set(0, in.type(0), out);
}

// theta [batch, axes, axes + 1] times the places of an even grid; sizes [batch, channels, extents…].
Dims affine_dims(const Node& node, const std::vector<int64_t>& size) {
  if (size.size() != 4 && size.size() != 5) throw Error(node.where(), "makes a grid for " + std::to_string(size.size()) + " axes, expected 4 or 5");
  Dims out{size[0]};
  out.insert(out.end(), size.begin() + 2, size.end());
  out.push_back(int64_t(size.size()) - 2);
  count_of(out, node.where());
  return out;
}

void forward_affine_grid(Forward& f) {
  const Dims dims = affine_dims(f.node, f.in(1).to_integers());
  const int64_t n = dims.back();
  check_dims(f, 0, {dims[0], n, n + 1});
  const auto theta = f.in(0).to_floats();
  const bool align = f.node.integer("align_corners", 0) != 0;
  Array y(Type::f32, dims);
  auto ys = y.mutable_values<float>();
  const Dims extents(dims.begin() + 1, dims.end() - 1), strides = strides_of(extents);
  const int64_t places = count_of(extents);
  for (int64_t b = 0; b < dims[0]; ++b)
    for (int64_t p = 0; p < places; ++p)
      for (int64_t row = 0; row < n; ++row) {
        const float* line = theta.data() + (b * n + row) * (n + 1);
        double sum = line[n];
        for (int64_t i = 0; i < n; ++i) {  // coordinate i is along the i-th axis from behind
          const auto axis = size_t(n - 1 - i);
          const double at = double(p / strides[axis] % extents[axis]), extent = double(extents[axis]);
          const double even = align ? (extent > 1 ? 2 * at / (extent - 1) - 1 : 0) : (2 * at + 1) / extent - 1;
          sum += line[i] * even;
        }
        ys[size_t((b * places + p) * n + row)] = float(sum);
      }
  float_out(f, 0, y);
}

void infer_affine_grid(Inference& in) {
  in.set_type(0, in.type(0));
  if (const auto size = in.integers(1)) in.set(0, in.type(0), shape_of(affine_dims(in.node(), *size)));
}

// A convolution whose every tap is moved by an offset and weighted by a mask (Zhu et al. 2019).
// Inputs: X [n, c, h, w], W [m, c/group, kh, kw], offsets [n, groups·kh·kw·2, oh, ow], bias [m], mask [n, groups·kh·kw, oh, ow].
void forward_deform_conv(Forward& f) {
  check_rank(f, 0, 4);
  check_rank(f, 1, 4);
  const Array x = float_in(f, 0);
  const auto w = f.in(1).to_floats(), offsets = f.in(2).to_floats();
  const int64_t batch = x.dim(0), channels = x.dim(1), outputs = f.in(1).dim(0), each = f.in(1).dim(1), kh = f.in(1).dim(2), kw = f.in(1).dim(3), taps = kh * kw;
  const int64_t group = f.node.integer("group", 1), moved = f.node.integer("offset_group", 1);
  if (group < 1 || moved < 1 || each * group != channels || outputs % group != 0 || channels % moved != 0 || x.count() == 0)
    throw Error(f.node.where(), "has input " + dims_text(x.dims()) + " and weight " + dims_text(f.in(1).dims()) + ", which do not fit its groups");
  const Window window = window_of(f.node, {x.dim(2), x.dim(3)}, {kh, kw});
  if (window.kernel != std::vector<int64_t>{kh, kw}) throw Error(f.node.where(), "has a kernel_shape that is not its weight's");
  const int64_t oh = window.out[0], ow = window.out[1], pixels = oh * ow;
  check_dims(f, 2, {batch, moved * taps * 2, oh, ow});
  if (f.has(3)) check_dims(f, 3, {outputs});
  if (f.has(4)) check_dims(f, 4, {batch, moved * taps, oh, ow});
  const auto bias = f.has(3) ? f.in(3).to_floats() : std::vector<float>(size_t(outputs), 0.f), mask = f.has(4) ? f.in(4).to_floats() : std::vector<float>();
  const Sampler sampler{"zeros", true, 2};
  const Dims extents{x.dim(2), x.dim(3)};
  Array y(Type::f32, {batch, outputs, oh, ow});
  std::vector<double> columns(size_t(channels * taps));  // what the kernel sees at one pixel
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t t = 0; t < taps; ++t) {
          const int64_t tap = c / (channels / moved) * taps + t;
          const float* offset = offsets.data() + (b * moved * taps + tap) * 2 * pixels + p;
          auto at = [&](size_t i, int64_t out, int64_t k, double by) {
            const double place = double(out * window.stride[i] + k * window.dilation[i] - window.pad_begin[i]) + by;
            return std::isfinite(place) ? std::clamp(place, -kFar, kFar) : -kFar;
          };
          const double v = sampler.value(x.values<float>().data() + (b * channels + c) * extents[0] * extents[1], extents, {at(0, p / ow, t / kw, offset[0]), at(1, p % ow, t % kw, offset[pixels])});
          columns[size_t(c * taps + t)] = v * (mask.empty() ? 1 : mask[size_t((b * moved * taps + tap) * pixels + p)]);
        }
      for (int64_t m = 0; m < outputs; ++m) {
        double sum = bias[size_t(m)];
        const int64_t first = m / (outputs / group) * each * taps;
        for (int64_t i = 0; i < each * taps; ++i) sum += double(w[size_t(m * each * taps + i)]) * columns[size_t(first + i)];
        y.mutable_values<float>()[size_t((b * outputs + m) * pixels + p)] = float(sum);
      }
    }
  float_out(f, 0, y);
}

void infer_deform_conv(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape *x = in.shape(0), *w = in.shape(1), *offset = in.shape(2);
  if (x == nullptr || w == nullptr || offset == nullptr) return;
  if (x->size() != 4 || w->size() != 4 || offset->size() != 4) in.fail("takes an input, a weight and offsets of 4 axes");
  in.set(0, in.type(0), {(*x)[0], (*w)[0], (*offset)[2], (*offset)[3]});
}

int64_t macs_deform_conv(const Node&, std::span<const Dims> inputs, std::span<const Dims> outputs) {
  return count_of(outputs[0]) * inputs[1][1] * inputs[1][2] * inputs[1][3];
}

}  // namespace

const Op op_grid_sample{"GridSample", "", 2, 2, 1, 1, infer_grid_sample, forward_grid_sample, nullptr, "reads a tensor at the places a grid gives", -1, links_grid_sample};
const Op op_affine_grid{"AffineGrid", "", 2, 2, 1, 1, infer_affine_grid, forward_affine_grid, nullptr, "a grid of places under an affine map"};
const Op op_deform_conv{"DeformConv", "", 3, 5, 1, 1, infer_deform_conv, forward_deform_conv, macs_deform_conv, "convolution with moved and weighted taps", 1};

}  // namespace pare
