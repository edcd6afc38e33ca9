#include <limits>

#include "graph/ops/links_of.h"

namespace pare {
namespace {

Dims spatial(const Dims& dims) { return {dims.begin() + 2, dims.end()}; }

void infer_pool(Inference& in) {
  in.set_type(0, in.type(0));
  in.set_type(1, Type::i64);
  const Shape* x = in.shape(0);
  if (x == nullptr) return;
  if (x->size() < 3) in.fail("input " + shape_text(*x) + " has no spatial axes");
  Dims extents;
  for (size_t i = 2; i < x->size(); ++i) extents.push_back((*x)[i].known() ? (*x)[i].value : int64_t(1) << 20);
  const Window window = window_of(in.node(), extents);
  Shape out = *x;
  for (size_t i = 2; i < x->size(); ++i) out[i] = (*x)[i].known() ? Dim{window.out[i - 2], ""} : Dim{};
  in.set(0, in.type(0), out);
  if (in.node().outputs.size() > 1) in.set(1, Type::i64, out);
}

void infer_global(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  if (x == nullptr || x->size() < 2) return;
  Shape out(x->size(), Dim{1, ""});
  out[0] = (*x)[0];
  out[1] = (*x)[1];
  in.set(0, in.type(0), out);
}

// visit(plane, pixel, tap offsets inside the plane, taps counting as padding)
template <class Visit>
void for_each_window(const Window& window, const Dims& in, int64_t planes, Visit visit) {
  const Dims out_strides = strides_of(window.out), tap_strides = strides_of(window.kernel), in_strides = strides_of(in);
  const int64_t pixels = count_of(window.out), taps = count_of(window.kernel);
  std::vector<int64_t> inside;
  for (int64_t p = 0; p < pixels; ++p) {
    inside.clear();
    int64_t padded = 0;  // taps that fall into the declared padding, not beyond it
    for (int64_t t = 0; t < taps; ++t) {
      int64_t offset = 0;
      bool is_in = true, in_pad = true;
      for (size_t i = 0; i < in.size(); ++i) {
        const int64_t at = p / out_strides[i] % window.out[i] * window.stride[i] + t / tap_strides[i] % window.kernel[i] * window.dilation[i] - window.pad_begin[i];
        is_in &= at >= 0 && at < in[i];
        in_pad &= at < in[i] + window.pad_end[i];
        offset += at * in_strides[i];
      }
      if (is_in) inside.push_back(offset);
      else if (in_pad) ++padded;
    }
    for (int64_t plane = 0; plane < planes; ++plane) visit(plane, p, inside, padded);
  }
}

template <class Reduce>
void pool(Forward& f, Reduce reduce) {
  const Array x = f.in(0).cast(Type::f32);
  const Dims in = spatial(x.dims());
  const Window window = window_of(f.node, in);
  Dims dims{x.dim(0), x.dim(1)};
  dims.insert(dims.end(), window.out.begin(), window.out.end());
  Array y(Type::f32, dims);
  const auto xs = x.values<float>();
  auto ys = y.mutable_values<float>();
  const int64_t plane_size = count_of(in), pixels = count_of(window.out);
  for_each_window(window, in, x.dim(0) * x.dim(1), [&](int64_t plane, int64_t p, const std::vector<int64_t>& inside, int64_t padded) {
    ys[size_t(plane * pixels + p)] = reduce(xs.data() + plane * plane_size, inside, padded);
  });
  f.outputs[0] = y.cast(f.in(0).type());
}

// Place of a plane's element when the first spatial axis runs fastest (storage_order = 1).
int64_t column_major(int64_t offset, const Dims& in) {
  const Dims strides = strides_of(in);
  int64_t place = 0, step = 1;
  for (size_t i = 0; i < in.size(); ++i) {
    place += offset / strides[i] % in[i] * step;
    step *= in[i];
  }
  return place;
}

void forward_max_pool(Forward& f) {
  pool(f, [](const float* plane, const std::vector<int64_t>& inside, int64_t) {
    float most = -std::numeric_limits<float>::infinity();
    for (int64_t offset : inside) most = std::max(most, plane[offset]);
    return most;
  });
  if (f.outputs.size() < 2) return;
  // Second result: where each maximum stands in the whole input.
  const Array x = f.in(0).cast(Type::f32);
  const auto xs = x.values<float>();
  const Dims in = spatial(x.dims());
  const Window window = window_of(f.node, in);
  const bool columns = f.node.integer("storage_order", 0) != 0;
  const int64_t plane_size = count_of(in), pixels = count_of(window.out);
  f.outputs[1] = Array(Type::i64, f.outputs[0].dims());
  auto places = f.outputs[1].mutable_values<int64_t>();
  for_each_window(window, in, x.dim(0) * x.dim(1), [&](int64_t plane, int64_t p, const std::vector<int64_t>& inside, int64_t) {
    const float* elements = xs.data() + plane * plane_size;
    const auto best = std::max_element(inside.begin(), inside.end(), [&](int64_t a, int64_t b) { return elements[a] < elements[b]; });
    if (best == inside.end()) throw Error(f.node.where(), "a window lies in the padding, it has no largest element");
    places[size_t(plane * pixels + p)] = plane * plane_size + (columns ? column_major(*best, in) : *best);
  });
}

// (Σ|x|ᵖ)^(1/p)
double exponent_of(const Node& node) {
  const int64_t p = node.integer("p", 2);
  if (p < 1) throw Error(node.where(), "has p below 1");
  return double(p);
}
void forward_lp_pool(Forward& f) {
  const double p = exponent_of(f.node);
  pool(f, [p](const float* plane, const std::vector<int64_t>& inside, int64_t) {
    double sum = 0;
    for (int64_t offset : inside) sum += std::pow(std::abs(double(plane[offset])), p);
    return float(std::pow(sum, 1 / p));
  });
}

void forward_average_pool(Forward& f) {
  const bool count_pad = f.node.integer("count_include_pad", 0) != 0;
  pool(f, [count_pad](const float* plane, const std::vector<int64_t>& inside, int64_t padded) {
    double sum = 0;
    for (int64_t offset : inside) sum += plane[offset];
    const int64_t count = int64_t(inside.size()) + (count_pad ? padded : 0);
    return float(sum / double(std::max<int64_t>(count, 1)));
  });
}

template <class Reduce>
void global_pool(Forward& f, Reduce reduce) {
  const Array x = float_in(f, 0);
  if (x.rank() < 2) throw Error(f.node.where(), "input " + dims_text(x.dims()) + " has no channels");
  Dims dims(x.dims().size(), 1);
  dims[0] = x.dim(0);
  dims[1] = x.dim(1);
  Array y(Type::f32, dims);
  auto ys = y.mutable_values<float>();
  const auto xs = x.values<float>();
  const size_t inner = ys.empty() ? 0 : xs.size() / ys.size();
  if (inner == 0 && !ys.empty()) throw Error(f.node.where(), "input " + dims_text(x.dims()) + " has nothing to pool");
  for (size_t i = 0; i < ys.size(); ++i) ys[i] = reduce(xs.subspan(i * inner, inner));
  float_out(f, 0, y);
}
void forward_global_average_pool(Forward& f) {
  global_pool(f, [](std::span<const float> plane) {
    double sum = 0;
    for (float v : plane) sum += v;
    return float(sum / double(plane.size()));
  });
}
void forward_global_lp_pool(Forward& f) {
  const double p = exponent_of(f.node);
  global_pool(f, [p](std::span<const float> plane) {
    double sum = 0;
    for (float v : plane) sum += std::pow(std::abs(double(v)), p);
    return float(std::pow(sum, 1 / p));
  });
}
void forward_global_max_pool(Forward& f) {
  global_pool(f, [](std::span<const float> plane) { return *std::max_element(plane.begin(), plane.end()); });
}

}  // namespace

const Op op_max_pool{"MaxPool", "", 1, 1, 1, 2, infer_pool, forward_max_pool, nullptr, "maximum over a window", -1, links_pool};
const Op op_average_pool{"AveragePool", "", 1, 1, 1, 1, infer_pool, forward_average_pool, nullptr, "mean over a window", -1, links_pool};
const Op op_lp_pool{"LpPool", "", 1, 1, 1, 1, infer_pool, forward_lp_pool, nullptr, "norm over a window", -1, links_pool};
const Op op_global_lp_pool{"GlobalLpPool", "", 1, 1, 1, 1, infer_global, forward_global_lp_pool, nullptr, "norm over all spatial axes", -1, links_pool};
const Op op_global_average_pool{"GlobalAveragePool", "", 1, 1, 1, 1, infer_global, forward_global_average_pool, nullptr, "mean over all spatial axes", -1, links_pool};
const Op op_global_max_pool{"GlobalMaxPool", "", 1, 1, 1, 1, infer_global, forward_global_max_pool, nullptr, "maximum over all spatial axes", -1, links_pool};

}  // namespace pare
