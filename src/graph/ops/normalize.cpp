#include "graph/ops/links_of.h"

namespace pare {
namespace {

// scale · (x − mean) / √(variance + epsilon) + bias, per channel (axis 1); inference form only.
void forward_batch_normalization(Forward& f) {
  if (f.node.integer("training_mode", 0) != 0)
    throw Error(f.node.where(), "is in training mode", "export the model for inference (model.eval())");
  const Array x = float_in(f, 0);
  const auto scale = f.in(1).to_floats(), bias = f.in(2).to_floats(), mean = f.in(3).to_floats(), variance = f.in(4).to_floats();
  const float epsilon = f.node.real("epsilon", 1e-5f);
  const int64_t channels = x.rank() > 1 ? x.dim(1) : 1;
  for (const auto* values : {&scale, &bias, &mean, &variance}) check_count(f.node, int64_t(values->size()), channels, "statistics");
  int64_t inner = 1;
  for (int i = 2; i < x.rank(); ++i) inner *= x.dim(i);
  Array y = x;
  auto ys = y.mutable_values<float>();
  for (size_t i = 0; i < ys.size(); ++i) {
    const size_t c = i / size_t(inner) % size_t(channels);
    ys[i] = float(double(scale.at(c)) * (double(ys[i]) - mean.at(c)) / std::sqrt(double(variance.at(c)) + epsilon) + bias.at(c));
  }
  float_out(f, 0, y);
}

// Outputs 1 and 2, mean and 1/deviation in f32, keep the axes before `axis` and have 1 after it.
void infer_layer_normalization(Inference& in) {
  infer_same(in);
  const Shape* x = in.shape(0);
  for (size_t output : {1, 2}) {
    in.set_type(output, Type::f32);
    if (x == nullptr) continue;
    Shape shape = *x;
    for (auto i = size_t(normal_axis(in.node().integer("axis", -1), int64_t(x->size()), in.node().where())); i < shape.size(); ++i) shape[i] = {1, ""};
    in.set(output, Type::f32, shape);
  }
}

void forward_layer_normalization(Forward& f) {
  Array y = float_in(f, 0);
  const int64_t axis = normal_axis(f.node.integer("axis", -1), y.rank(), f.node.where());
  int64_t inner = 1;
  for (int64_t i = axis; i < y.rank(); ++i) inner *= y.dim(int(i));
  const auto scale = f.in(1).to_floats();
  const auto bias = f.has(2) ? f.in(2).to_floats() : std::vector<float>(scale.size(), 0.f);
  for (const auto* values : {&scale, &bias}) check_count(f.node, int64_t(values->size()), inner, "scales or biases");
  const float epsilon = f.node.real("epsilon", 1e-5f);
  Dims line_dims = y.dims();
  std::fill(line_dims.begin() + axis, line_dims.end(), 1);
  Array means(Type::f32, line_dims), factors(Type::f32, line_dims);
  auto ys = y.mutable_values<float>(), line_means = means.mutable_values<float>(), line_factors = factors.mutable_values<float>();
  for (size_t line = 0; line < line_means.size(); ++line) {
    const size_t start = line * size_t(inner);
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < inner; ++i) mean += ys[start + size_t(i)];
    mean /= double(inner);
    for (int64_t i = 0; i < inner; ++i) variance += (ys[start + size_t(i)] - mean) * (ys[start + size_t(i)] - mean);
    const double factor = 1 / std::sqrt(variance / double(inner) + epsilon);
    for (int64_t i = 0; i < inner; ++i)
      ys[start + size_t(i)] = float((ys[start + size_t(i)] - mean) * factor * scale.at(size_t(i)) + bias.at(size_t(i)));
    line_means[line] = float(mean);
    line_factors[line] = float(factor);
  }
  float_out(f, 0, y);
  if (f.outputs.size() > 1) f.outputs[1] = means;
  if (f.outputs.size() > 2) f.outputs[2] = factors;
}

void infer_softmax(Inference& in) {
  infer_same(in);
  if (const Shape* x = in.shape(0)) normal_axis(in.node().integer("axis", -1), int64_t(x->size()), in.node().where());
}
// Softmax and its kin along one axis (below opset 13: along all axes from it on); normalize(first, step, count) in place.
template <class Normalize>
void along_axis(Forward& f, Normalize normalize) {
  Array y = float_in(f, 0);
  const int64_t axis = normal_axis(f.node.integer("axis", f.opset >= 13 ? -1 : 1), y.rank(), f.node.where());
  int64_t inner = 1, extent = y.rank() ? y.dim(int(axis)) : 1;
  for (int64_t i = axis + 1; i < y.rank(); ++i) (f.opset >= 13 ? inner : extent) *= y.dim(int(i));
  auto ys = y.mutable_values<float>();
  for (int64_t line = 0; line < int64_t(ys.size()) / std::max<int64_t>(extent, 1); ++line)
    normalize(ys.data() + line / inner * inner * extent + line % inner, inner, extent);
  float_out(f, 0, y);
}
// Shifted by the maximum so that exp cannot overflow.
void softmax_line(float* p, int64_t step, int64_t count, bool logarithm) {
  float most = p[0];
  for (int64_t i = 1; i < count; ++i) most = std::max(most, p[i * step]);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(double(p[i * step]) - most);
  for (int64_t i = 0; i < count; ++i) {
    const double shifted = double(p[i * step]) - most;
    p[i * step] = float(logarithm ? shifted - std::log(sum) : std::exp(shifted) / sum);
  }
}
void forward_softmax(Forward& f) {
  along_axis(f, [](float* p, int64_t step, int64_t count) { softmax_line(p, step, count, false); });
}
void forward_log_softmax(Forward& f) {
  along_axis(f, [](float* p, int64_t step, int64_t count) { softmax_line(p, step, count, true); });
}
void forward_hardmax(Forward& f) {
  along_axis(f, [](float* p, int64_t step, int64_t count) {
    int64_t most = 0;
    for (int64_t i = 1; i < count; ++i)
      if (p[i * step] > p[most * step]) most = i;
    for (int64_t i = 0; i < count; ++i) p[i * step] = i == most ? 1.f : 0.f;
  });
}

// Local response normalization across channels (Krizhevsky et al. 2012, section 3.3).
void forward_lrn(Forward& f) {
  const Array x = float_in(f, 0);
  const float alpha = f.node.real("alpha", 1e-4f), beta = f.node.real("beta", 0.75f), bias = f.node.real("bias", 1);
  const int64_t size = f.node.integer("size", 1), channels = x.rank() > 1 ? x.dim(1) : 0;
  if (x.rank() < 2 || size < 1) throw Error(f.node.where(), "cannot normalize " + dims_text(x.dims()) + " over " + std::to_string(size) + " channels");
  int64_t inner = 1;
  for (int i = 2; i < x.rank(); ++i) inner *= x.dim(i);
  Array y(Type::f32, x.dims());
  const auto xs = x.values<float>();
  auto ys = y.mutable_values<float>();
  for (int64_t i = 0; i < x.count(); ++i) {
    const int64_t c = i / inner % channels, first = std::max<int64_t>(0, c - (size - 1) / 2), last = size / 2 > channels ? channels - 1 : std::min(channels - 1, c + size / 2);
    double sum = 0;
    for (int64_t k = first; k <= last; ++k) sum += double(xs[size_t(i + (k - c) * inner)]) * xs[size_t(i + (k - c) * inner)];
    ys[size_t(i)] = float(xs[size_t(i)] / std::pow(bias + alpha / double(size) * sum, double(beta)));
  }
  float_out(f, 0, y);
}

}  // namespace

const Op op_batch_normalization{"BatchNormalization", "", 5, 5, 1, 5, infer_same, forward_batch_normalization, nullptr,
                                "per-channel affine map with stored statistics", -1, links_batch_normalization};
const Op op_layer_normalization{"LayerNormalization", "", 2, 3, 1, 3, infer_layer_normalization, forward_layer_normalization, nullptr,
                                "normalization over the last axes", -1, links_layer_normalization};
const Op op_softmax{"Softmax", "", 1, 1, 1, 1, infer_softmax, forward_softmax, nullptr, "softmax along an axis", -1, links_softmax};
const Op op_log_softmax{"LogSoftmax", "", 1, 1, 1, 1, infer_softmax, forward_log_softmax, nullptr, "logarithm of softmax", -1, links_softmax};
const Op op_hardmax{"Hardmax", "", 1, 1, 1, 1, infer_softmax, forward_hardmax, nullptr, "1 at the largest element along an axis, 0 elsewhere", -1, links_softmax};
const Op op_lrn{"LRN", "", 1, 1, 1, 1, infer_same, forward_lrn, nullptr, "local response normalization across channels", -1, links_along_axis};

}  // namespace pare
