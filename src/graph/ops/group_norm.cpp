// Normalizations over groups, instances, chosen axes and by a norm; those over channels and last axes are in normalize.cpp.
#include "graph/ops/links_of.h"

namespace pare {
namespace {

// (x − mean) / √(variance + epsilon) over runs of `run` elements.
Array standardized(Array x, int64_t run, float epsilon) {
  auto xs = x.mutable_values<float>();
  for (size_t start = 0; run > 0 && start < xs.size(); start += size_t(run)) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < run; ++i) mean += xs[start + size_t(i)];
    mean /= double(run);
    for (int64_t i = 0; i < run; ++i) variance += (xs[start + size_t(i)] - mean) * (xs[start + size_t(i)] - mean);
    const double factor = 1 / std::sqrt(variance / double(run) + epsilon);
    for (int64_t i = 0; i < run; ++i) xs[start + size_t(i)] = float((xs[start + size_t(i)] - mean) * factor);
  }
  return x;
}

// y = x·scale[c] + bias[c] per channel (axis 1); `shared` channels have one scale.
void scale_channels(Forward& f, Array y, int64_t shared) {
  const int64_t channels = y.dim(1);
  for (size_t i : {1, 2}) check_dims(f, i, {channels / shared});
  const auto scale = f.in(1).to_floats(), bias = f.in(2).to_floats();
  int64_t inner = 1;
  for (int i = 2; i < y.rank(); ++i) inner *= y.dim(i);
  auto ys = y.mutable_values<float>();
  for (size_t i = 0; i < ys.size(); ++i) {
    const size_t c = i / size_t(inner) % size_t(channels) / size_t(shared);
    ys[i] = ys[i] * scale[c] + bias[c];
  }
  float_out(f, 0, y);
}

void normalize_groups(Forward& f, int64_t groups, bool scale_per_group) {
  const Array x = float_in(f, 0);
  if (x.rank() < 2 || groups < 1 || x.dim(1) % groups != 0 || x.dim(1) == 0)
    throw Error(f.node.where(), "cannot normalize " + dims_text(x.dims()) + " in " + std::to_string(groups) + " groups");
  int64_t run = x.dim(1) / groups;
  for (int i = 2; i < x.rank(); ++i) run *= x.dim(i);
  scale_channels(f, standardized(x, run, f.node.real("epsilon", 1e-5f)), scale_per_group ? x.dim(1) / groups : 1);
}

void forward_group_normalization(Forward& f) { normalize_groups(f, f.node.integer("num_groups", 0), f.opset < 21); }
void forward_instance_normalization(Forward& f) {
  if (f.in(0).rank() < 2) throw Error(f.node.where(), "takes no " + dims_text(f.in(0).dims()));
  normalize_groups(f, f.in(0).dim(1), false);
}

// x / √(mean of squares + epsilon) · scale over the axes from `axis` on (Zhang & Sennrich 2019).
void forward_rms_normalization(Forward& f) {
  Array y = float_in(f, 0);
  const int64_t axis = normal_axis(f.node.integer("axis", -1), y.rank(), f.node.where());
  check_fits(f.in(1).dims(), y.dims(), f.node.where());
  const auto scale = f.in(1).to_floats();
  int64_t run = 1;
  for (int64_t i = axis; i < y.rank(); ++i) run *= y.dim(int(i));
  auto ys = y.mutable_values<float>();
  for (size_t start = 0; run > 0 && start < ys.size(); start += size_t(run)) {
    double sum = 0;
    for (int64_t i = 0; i < run; ++i) sum += double(ys[start + size_t(i)]) * ys[start + size_t(i)];
    const double factor = 1 / std::sqrt(sum / double(run) + f.node.real("epsilon", 1e-5f));
    for (int64_t i = 0; i < run; ++i) ys[start + size_t(i)] = float(ys[start + size_t(i)] * factor);
  }
  for_each_index(y.dims(), broadcast_strides(f.in(1).dims(), y.dims()), [&](int64_t i, int64_t at) { ys[size_t(i)] *= scale[size_t(at)]; });
  float_out(f, 0, y);
}
void infer_rms_normalization(Inference& in) {
  infer_same(in);
  if (const Shape* x = in.shape(0)) normal_axis(in.node().integer("axis", -1), int64_t(x->size()), in.node().where());
}

// (x − mean) / deviation over chosen axes.
void forward_mean_variance(Forward& f) {
  Array y = float_in(f, 0);
  auto axes = f.node.integers("axes", {0, 2, 3});
  Dims kept = y.dims();
  for (int64_t axis : axes) kept[size_t(normal_axis(axis, y.rank(), f.node.where()))] = 1;
  const Dims strides = broadcast_strides(kept, y.dims());
  const size_t lines = size_t(count_of(kept));
  std::vector<double> mean(lines), variance(lines);
  auto ys = y.mutable_values<float>();
  const double count = double(y.count()) / double(std::max<size_t>(lines, 1));
  for_each_index(y.dims(), strides, [&](int64_t i, int64_t at) { mean[size_t(at)] += ys[size_t(i)] / count; });
  for_each_index(y.dims(), strides, [&](int64_t i, int64_t at) { variance[size_t(at)] += (ys[size_t(i)] - mean[size_t(at)]) * (ys[size_t(i)] - mean[size_t(at)]) / count; });
  for_each_index(y.dims(), strides, [&](int64_t i, int64_t at) { ys[size_t(i)] = float((ys[size_t(i)] - mean[size_t(at)]) / (std::sqrt(variance[size_t(at)]) + 1e-9)); });
  float_out(f, 0, y);
}

// x / (Σ|x|ᵖ)^(1/p) along an axis; a line of zeros stays zero.
void forward_lp_normalization(Forward& f) {
  const int64_t axis = normal_axis(f.node.integer("axis", -1), f.in(0).rank(), f.node.where()), p = f.node.integer("p", 2);
  if (p != 1 && p != 2) throw Error(f.node.where(), "has p = " + std::to_string(p) + ", expected 1 or 2");
  Array y = float_in(f, 0);
  int64_t inner = 1;
  for (int64_t i = axis + 1; i < y.rank(); ++i) inner *= y.dim(int(i));
  const int64_t extent = y.dim(int(axis));
  auto ys = y.mutable_values<float>();
  for (int64_t line = 0; extent > 0 && line < y.count() / extent; ++line) {
    float* q = ys.data() + line / inner * inner * extent + line % inner;
    double norm = 0;
    for (int64_t i = 0; i < extent; ++i) norm += p == 1 ? std::abs(double(q[i * inner])) : double(q[i * inner]) * q[i * inner];
    if (p == 2) norm = std::sqrt(norm);
    for (int64_t i = 0; norm != 0 && i < extent; ++i) q[i * inner] = float(q[i * inner] / norm);
  }
  float_out(f, 0, y);
}

}  // namespace

const Op op_group_normalization{"GroupNormalization", "", 3, 3, 1, 1, infer_same, forward_group_normalization, nullptr, "normalization over groups of channels", -1, links_group_normalization, narrow_group_normalization};
const Op op_instance_normalization{"InstanceNormalization", "", 3, 3, 1, 1, infer_same, forward_instance_normalization, nullptr, "normalization of each channel of each sample", -1, links_instance_normalization};
const Op op_rms_normalization{"RMSNormalization", "", 2, 2, 1, 1, infer_rms_normalization, forward_rms_normalization, nullptr, "division by the root of the mean square", -1, links_layer_normalization};
const Op op_mean_variance{"MeanVarianceNormalization", "", 1, 1, 1, 1, infer_same, forward_mean_variance, nullptr, "zero mean and unit variance over axes"};
const Op op_lp_normalization{"LpNormalization", "", 1, 1, 1, 1, infer_same, forward_lp_normalization, nullptr, "division by a norm along an axis", -1, links_along_axis};

}  // namespace pare
