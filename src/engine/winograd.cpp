#include "engine/winograd.h"

#include <algorithm>

#include "engine/channel_vectors.h"

namespace pare {
namespace {

constexpr int64_t kCached = 448 << 10;  // bytes of transformed values and products that a thread keeps, to stay in its second cache where six squares fit
constexpr int64_t kApart = 16;          // floats behind each point's values: equal places of all points would meet in one set of the first cache

}  // namespace

const FloatLinearKernel* winograd_products() {
  const FloatLinearKernel* kernel = best_float_linear_kernel(32, FloatWeights::f32);
  return kernel != nullptr && kernel->lanes >= 8 ? kernel : nullptr;
}

std::vector<const WinogradKernel*> winograd_kernels_for(const WinogradLayer& layer) {
  const FloatLinearKernel* products = winograd_products();
  const Dims& w = layer.weight.dims();
  if (products == nullptr || w.size() != 4 || w[2] != 3 || w[3] != 3 || layer.source.layout != layer.target.layout || layer.source.layout == Layout::plain) return {};
  std::vector<const WinogradKernel*> forms;
  for (const WinogradKernel* kernel : best_winograd_kernels()) {
    const int64_t lanes = kernel->lanes;
    const bool whole = w[1] % lanes == 0 && w[0] / layer.groups % lanes == 0;
    const bool vectors = layer.source.layout == Layout::blocked ? layer.groups == 1 || whole : whole;
    // Transforms of fewer channels cost more than they save; of squares that lie mostly outside, too.
    const bool worth = w[1] >= lanes && w[0] / layer.groups >= lanes && layer.target.dims[2] / layer.spread > kernel->tile / 2 && layer.target.dims[3] / layer.spread > kernel->tile / 2;
    const bool squares = layer.spread == 1 || layer.target.dims[1] / layer.groups % lanes == 0;
    if (kernel->lanes == products->lanes && vectors && squares && worth) forms.push_back(kernel);
  }
  return forms;
}

WinogradStep::WinogradStep(const WinogradKernel& kernel, const FloatLinearKernel& linear, const WinogradLayer& layer) : kernel_(kernel), linear_(linear) {
  const Dims &w = layer.weight.dims(), &x = layer.source.dims, &y = layer.target.dims;
  const int64_t lanes = kernel.lanes, points = winograd_points(kernel);
  const ChannelVectors from = channel_vectors(layer.source, lanes), to = channel_vectors(layer.target, lanes);
  groups_ = layer.groups;
  images_ = x[0];
  inputs_ = w[1];
  outputs_ = w[0] / groups_;
  job_.in_blocks = vectors_of(inputs_, lanes);
  job_.x_pixel = from.pixel;
  job_.x_row = from.row;
  job_.x_block = from.block;
  job_.height = x[2];
  job_.width = x[3];
  spread_ = layer.spread;
  job_.y_pixel = to.pixel * spread_;
  job_.y_row = to.row * spread_;
  job_.y_block = to.block;
  job_.out_height = y[2] / spread_;
  job_.out_width = y[3] / spread_;
  job_.outputs = y[1] / groups_;
  std::copy_n(layer.pad, 2, job_.pad);
  job_.first = layer.first;
  job_.last = layer.last;
  const int64_t out_blocks = vectors_of(outputs_, lanes);
  x_group_ = job_.in_blocks * from.block;
  y_group_ = vectors_of(job_.outputs, lanes) * to.block;
  x_image_ = from.image;
  y_image_ = to.image;

  constexpr int64_t kRows = 6;  // squares that AVX2's products multiply at once
  const int64_t bytes = points * (job_.in_blocks + out_blocks) * lanes * int64_t(sizeof(float));
  at_once_ = std::min(std::clamp<int64_t>(kCached / bytes / kRows, 1, 16) * kRows, (winograd_tiles(kernel, job_.out_height, job_.out_width) + 1) / 2 * 2);
  in_stride_ = job_.in_blocks * at_once_ * lanes + kApart;
  out_stride_ = out_blocks * at_once_ * lanes + kApart;

  weight_bytes_ = (float_linear_bytes(linear, inputs_, outputs_) + 63) / 64 * 64;
  weights_ = Array(Type::u8, {groups_ * points * weight_bytes_});
  bias_ = Array(Type::f32, {groups_ * out_blocks * lanes});
  const float *weight = layer.weight.values<float>().data(), *bias = layer.bias.values<float>().data();
  for (int64_t g = 0; g < groups_; ++g) {
    const std::vector<float> values = winograd_weights(kernel, weight + g * outputs_ * inputs_ * 9, outputs_, inputs_);
    for (int64_t p = 0; p < points; ++p)
      pack_float_linear(linear, {values.data() + p * inputs_ * outputs_, outputs_, 1, inputs_, outputs_}, weights_.mutable_bytes() + (g * points + p) * weight_bytes_);
    std::copy_n(bias + g * outputs_, outputs_, bias_.mutable_values<float>().begin() + g * out_blocks * lanes);
  }
}

std::unique_ptr<WinogradStep> make_winograd(Planner& planner, const WinogradKernel& kernel, const WinogradLayer& layer, SlotId source, SlotId residual, SlotId target) {
  auto step = std::make_unique<WinogradStep>(kernel, *winograd_products(), layer);
  step->source = source;
  step->residual = residual;
  step->target = step->writes = target;
  step->scratch = planner.scratch({Type::u8, {step->scratch_bytes(planner.threads)}, Layout::plain});
  step->reads = {source};
  if (residual >= 0) step->reads.push_back(residual);
  step->reads.push_back(step->scratch);
  return step;
}

void WinogradStep::run_squares(const Winograd& job, const std::byte* weights, int64_t first, int64_t count, float* values) const {
  float* products = values + winograd_points(kernel_) * in_stride_;
  kernel_.spread(job, first, count, values, in_stride_);
  FloatLinear product;
  product.rows = count;
  product.inner = inputs_;
  product.columns = vectors_of(outputs_, kernel_.lanes) * kernel_.lanes;  // weights behind the last output are zeros
  product.x_row = product.x_inner = product.y_row = kernel_.lanes;
  product.x_block = product.y_block = count * kernel_.lanes;
  for (int64_t p = 0; p < winograd_points(kernel_); ++p) {
    product.x = values + p * in_stride_;
    product.y = products + p * out_stride_;
    product.weights = weights + p * weight_bytes_;
    linear_.run(product, 0, 1);
  }
  for (int64_t part = 0; part < spread_ * spread_; ++part) {
    Winograd pixels = job;
    pixels.y += (part / spread_ * job.y_row + part % spread_ * job.y_pixel) / spread_;
    pixels.bias += part * job.outputs;
    kernel_.gather(pixels, first, count, products + part * job.outputs * count, out_stride_);
  }
}

void WinogradStep::run(std::byte* const* slots, int thread, int threads) {
  const int64_t squares = winograd_tiles(kernel_, job_.out_height, job_.out_width), all = images_ * groups_ * squares;
  const int64_t out_blocks = vectors_of(outputs_, kernel_.lanes), end = all * (thread + 1) / threads;
  float* values = reinterpret_cast<float*>(slots[scratch]) + thread * thread_floats();
  for (int64_t at = all * thread / threads; at < end;) {
    const int64_t image = at / squares / groups_, group = at / squares % groups_, first = at % squares;
    const int64_t left = std::min(squares - first, end - at), parts = (left + at_once_ - 1) / at_once_, count = (left + parts - 1) / parts;
    Winograd job = job_;
    job.x = reinterpret_cast<const float*>(slots[source]) + image * x_image_ + group * x_group_;
    job.y = reinterpret_cast<float*>(slots[target]) + image * y_image_ + group * y_group_;
    if (residual >= 0) job.residual = reinterpret_cast<const float*>(slots[residual]) + image * y_image_ + group * y_group_;
    job.bias = bias_.values<float>().data() + group * out_blocks * kernel_.lanes;
    run_squares(job, weights_.bytes() + group * winograd_points(kernel_) * weight_bytes_, first, count, values);
    at += count;
  }
}

}  // namespace pare
