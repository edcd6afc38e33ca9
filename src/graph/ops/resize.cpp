#include "graph/ops/links_of.h"

namespace pare {
namespace {

// One axis of a Resize: where each place of the result lies in the input.
struct Axis {
  int64_t in = 0, out = 0;
  double scale = 1;                // out per in
  double begin = 0, end = 1;       // the region of interest, as fractions of the input
};

std::vector<int64_t> resized_axes(const Node& node, int64_t rank) {
  std::vector<int64_t> axes = node.integers("axes");
  if (axes.empty())
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  for (int64_t& axis : axes) axis = normal_axis(axis, rank, node.where());
  return axes;
}

void check_length(const Node& node, size_t found, size_t wanted, const char* what) {
  if (found != wanted) throw Error(node.where(), "has " + std::to_string(found) + " " + what + " for " + std::to_string(wanted) + " axes");
}

// Extents and scales from the input's extents and either scales or sizes, by the policy for the aspect ratio.
void apply_scales(const Node& node, std::vector<Axis>& all, const std::vector<int64_t>& axes, const std::vector<float>& scales) {
  check_length(node, scales.size(), axes.size(), "scales");
  for (size_t i = 0; i < axes.size(); ++i) {
    Axis& axis = all[size_t(axes[i])];
    axis.scale = scales[i];
    const double extent = std::floor(float(axis.in) * scales[i]);
    if (!(scales[i] > 0) || !(extent < 1e9)) throw Error(node.where(), "scale " + std::to_string(scales[i]) + " is not usable");
    axis.out = int64_t(extent);
  }
}
void apply_sizes(const Node& node, std::vector<Axis>& all, const std::vector<int64_t>& axes, const std::vector<int64_t>& sizes) {
  check_length(node, sizes.size(), axes.size(), "sizes");
  const std::string policy = node.text("keep_aspect_ratio_policy", "stretch");
  double common = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    Axis& axis = all[size_t(axes[i])];
    if (sizes[i] < 0 || sizes[i] > int64_t(1) << 31) throw Error(node.where(), "size " + std::to_string(sizes[i]) + " is not usable");
    axis.out = sizes[i];
    axis.scale = axis.in > 0 ? double(axis.out) / double(axis.in) : 1;
    common = i == 0 ? axis.scale : policy == "not_smaller" ? std::max(common, axis.scale) : std::min(common, axis.scale);
  }
  if (policy == "stretch") return;
  for (int64_t k : axes) {
    Axis& axis = all[size_t(k)];
    axis.scale = common;
    axis.out = int64_t(std::floor(common * double(axis.in) + 0.5));
  }
}

std::vector<Axis> axes_of(const Dims& x) {
  std::vector<Axis> all;
  for (int64_t extent : x) all.push_back({extent, extent});
  return all;
}

void infer_resize(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  if (x == nullptr) return;
  Dims extents;
  for (const Dim& dim : *x) extents.push_back(dim.known() ? dim.value : 1);
  std::vector<Axis> all = axes_of(extents);
  const std::vector<int64_t> axes = resized_axes(in.node(), int64_t(x->size()));
  const Tensor *scales = in.constant(2), *sizes = in.constant(3);
  const bool by_sizes = sizes != nullptr && sizes->count() > 0, by_scales = scales != nullptr && scales->count() > 0;
  Shape out = *x;
  for (int64_t axis : axes) out[size_t(axis)] = {};
  if (by_sizes) apply_sizes(in.node(), all, axes, sizes->decode().to_integers());
  else if (by_scales) apply_scales(in.node(), all, axes, scales->decode().to_floats());
  else return in.set(0, in.type(0), out);
  // Sizes that are taken as they stand do not need the input's extents; the aspect ratio needs all of them.
  const bool stretched = by_sizes && in.node().text("keep_aspect_ratio_policy", "stretch") == "stretch";
  bool all_known = true;
  for (int64_t axis : axes) all_known &= (*x)[size_t(axis)].known();
  for (int64_t k : axes) {
    const Axis& axis = all[size_t(k)];
    if (stretched || (by_sizes ? all_known : (*x)[size_t(k)].known())) out[size_t(k)] = {axis.out, ""};
    else if (by_scales && axis.scale == 1) out[size_t(k)] = (*x)[size_t(k)];
  }
  in.set(0, in.type(0), out);
}

// ONNX Resize, coordinate_transformation_mode.
double source_place(const Node& node, const std::string& mode, const Axis& axis, int64_t at) {
  const double x = double(at), length = axis.scale * double(axis.in);
  if (mode == "half_pixel") return (x + 0.5) / axis.scale - 0.5;
  if (mode == "asymmetric") return x / axis.scale;
  if (mode == "pytorch_half_pixel") return length > 1 ? (x + 0.5) / axis.scale - 0.5 : 0;
  if (mode == "align_corners") {
    // The onnx package takes in · scale as it is, ONNX Runtime rounds it down first: they differ where it is no integer.
    const double whole = std::round(length), last = (std::abs(length - whole) < 1e-5 ? whole : length) - 1;
    return axis.out <= 1 ? 0 : x * double(axis.in - 1) / last;
  }
  if (mode == "tf_half_pixel_for_nn") return (x + 0.5) / axis.scale;
  if (mode == "half_pixel_symmetric") {
    const double center = double(axis.in) / 2, offset = center * (1 - double(axis.out) / length);
    return offset + (x + 0.5) / axis.scale - 0.5;
  }
  if (mode == "tf_crop_and_resize") {
    const double last = double(axis.in - 1);
    return axis.out > 1 ? axis.begin * last + x * (axis.end - axis.begin) * last / double(axis.out - 1) : 0.5 * (axis.begin + axis.end) * last;
  }
  throw Error(node.where(), "coordinate_transformation_mode '" + mode + "' is not known");
}

double nearest_place(const Node& node, const std::string& mode, double x) {
  if (mode == "round_prefer_floor") return std::ceil(x - 0.5);
  if (mode == "round_prefer_ceil") return std::floor(x + 0.5);
  if (mode == "floor") return std::floor(x);
  if (mode == "ceil") return std::ceil(x);
  throw Error(node.where(), "nearest_mode '" + mode + "' is not known");
}

// Weight of a neighbour `d` away. Cubic: Keys 1981, equation 4, with his a as cubic_coeff_a.
double weight(bool cubic, double d, double a) {
  d = std::abs(d);
  if (!cubic) return std::max(0.0, 1 - d);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? a * (((d - 5) * d + 8) * d - 4) : 0;
}

// The input places that make up one place of the result, with weights that add up to 1.
struct Taps {
  std::vector<int64_t> at;
  std::vector<double> weights;
  bool outside = false;  // of the region of interest: the extrapolation value stands here
};

// Antialiasing stretches the kernel by 1/scale where the result is smaller. Places outside hold the edge's element.
Taps interpolate(const Node& node, bool cubic, const Axis& axis, double x) {
  Taps taps;
  const double a = node.real("cubic_coeff_a", -0.75f), reach = cubic ? 2 : 1;
  const bool antialias = node.integer("antialias", 0) != 0;
  const double stretch = antialias ? std::min(axis.scale, 1.0) : 1;
  const bool exclude = node.integer("exclude_outside", 0) != 0;
  double sum = 0;
  for (auto k = int64_t(std::floor(x - reach / stretch)); double(k) <= x + reach / stretch; ++k) {
    const double w = weight(cubic, (double(k) - x) * stretch, a);
    if (w == 0 || (exclude && (k < 0 || k >= axis.in))) continue;
    taps.at.push_back(std::clamp<int64_t>(k, 0, axis.in - 1));
    taps.weights.push_back(w);
    sum += w;
  }
  for (double& w : taps.weights) w /= sum;
  return taps;
}

std::vector<Taps> taps_of(const Node& node, const Axis& axis) {
  const std::string mode = node.text("mode", "nearest"), transform = node.text("coordinate_transformation_mode", "half_pixel");
  const std::string rounding = node.text("nearest_mode", "round_prefer_floor");
  if (mode != "nearest" && mode != "linear" && mode != "cubic") throw Error(node.where(), "mode '" + mode + "' is not known");
  std::vector<Taps> all;
  for (int64_t i = 0; i < axis.out; ++i) {
    const double x = axis.scale == 1 && axis.in == axis.out && transform != "tf_crop_and_resize" ? double(i) : source_place(node, transform, axis, i);
    if (!(std::abs(x) < 1e9)) throw Error(node.where(), "reads at place " + std::to_string(x) + " of an axis");
    Taps taps;
    if (mode == "nearest") {
      const double last = double(axis.in - 1);
      taps = {{int64_t(std::clamp(nearest_place(node, rounding, x), 0.0, last))}, {1}};
    } else {
      taps = interpolate(node, mode == "cubic", axis, x);
    }
    taps.outside = transform == "tf_crop_and_resize" && (x < 0 || x > double(axis.in - 1));
    all.push_back(std::move(taps));
  }
  return all;
}

// Interpolates along one axis of lines: outer x in x inner → outer x out x inner.
std::vector<double> along(const std::vector<double>& x, const std::vector<Taps>& taps, int64_t outer, int64_t in, int64_t inner) {
  std::vector<double> y(size_t(outer) * taps.size() * size_t(inner), 0.0);
  for (int64_t o = 0; o < outer; ++o)
    for (size_t i = 0; i < taps.size(); ++i)
      for (size_t t = 0; t < taps[i].at.size(); ++t)
        for (int64_t k = 0; k < inner; ++k)
          y[size_t((o * int64_t(taps.size()) + int64_t(i)) * inner + k)] += taps[i].weights[t] * x[size_t((o * in + taps[i].at[t]) * inner + k)];
  return y;
}

std::vector<Axis> forward_axes(const Forward& f) {
  const Dims& x = f.in(0).dims();
  std::vector<Axis> all = axes_of(x);
  const std::vector<int64_t> axes = resized_axes(f.node, int64_t(x.size()));
  const bool by_scales = f.has(2) && f.in(2).count() > 0, by_sizes = f.has(3) && f.in(3).count() > 0;
  if (by_scales == by_sizes) throw Error(f.node.where(), "needs scales or sizes, one of them");
  if (by_sizes) apply_sizes(f.node, all, axes, f.in(3).to_integers());
  else apply_scales(f.node, all, axes, f.in(2).to_floats());
  if (f.node.text("coordinate_transformation_mode", "") == "tf_crop_and_resize") {
    if (!f.has(1)) throw Error(f.node.where(), "crops and has no region of interest");
    const std::vector<float> region = f.in(1).to_floats();
    check_length(f.node, region.size(), 2 * axes.size(), "bounds of the region of interest, a begin and an end,");
    for (size_t i = 0; i < axes.size(); ++i) {
      all[size_t(axes[i])].begin = region[i];
      all[size_t(axes[i])].end = region[i + axes.size()];
    }
  }
  return all;
}

void forward_resize(Forward& f) {
  const std::vector<Axis> axes = forward_axes(f);
  const Array x = f.in(0).cast(Type::f64);
  std::vector<double> values(x.values<double>().begin(), x.values<double>().end());
  Dims dims = x.dims();
  std::vector<std::vector<Taps>> taps;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].in == 0 && axes[i].out > 0) throw Error(f.node.where(), "cannot make something out of an empty axis");
    taps.push_back(taps_of(f.node, axes[i]));
    int64_t outer = 1, inner = 1;
    for (size_t k = 0; k < i; ++k) outer *= dims[k];
    for (size_t k = i + 1; k < dims.size(); ++k) inner *= dims[k];
    values = along(values, taps[i], outer, dims[i], inner);
    dims[i] = axes[i].out;
  }
  if (f.node.text("coordinate_transformation_mode", "") == "tf_crop_and_resize") {
    const double outside = f.node.real("extrapolation_value", 0);
    const Dims strides = strides_of(dims);
    for (size_t i = 0; i < values.size(); ++i)
      for (size_t k = 0; k < dims.size(); ++k)
        if (taps[k][size_t(int64_t(i) / strides[k] % dims[k])].outside) values[i] = outside;
  }
  const Type type = f.in(0).type();
  if (is_integer(type))
    for (double& v : values) v = std::nearbyint(v);
  f.outputs[0] = Array::of<double>(dims, values).cast(type);
}

}  // namespace

const Op op_resize{"Resize", "", 1, 4, 1, 1, infer_resize, forward_resize, nullptr, "another extent by nearest, linear or cubic interpolation", -1, links_resize, narrow_resize};

}  // namespace pare
