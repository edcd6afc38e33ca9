#include "engine/depthwise.h"

#include <algorithm>

#include "engine/channel_vectors.h"
#include "kernels/choose_kernel.h"

namespace pare {

const FloatDepthwiseKernel* depthwise_kernel_for(const DepthwiseLayer& layer) {
  const Dims& w = layer.weight.dims();
  const Dims& x = layer.source.dims;
  if (w.size() != 4 || x.size() != 4 || w[1] != 1 || w[0] != x[1] || layer.target.dims[1] != x[1]) return nullptr;
  if (layer.source.layout != layer.target.layout || layer.source.layout == Layout::plain) return nullptr;
  const FloatDepthwiseKernel& kernel = choose_kernel(float_depthwise_kernels());
  // With channels innermost the last vector would reach into the next pixel.
  return layer.source.layout == Layout::blocked || x[1] % kernel.lanes == 0 ? &kernel : nullptr;
}

DepthwiseFloatStep::DepthwiseFloatStep(const FloatDepthwiseKernel& kernel, const DepthwiseLayer& layer) : kernel_(kernel) {
  const Dims &w = layer.weight.dims(), &x = layer.source.dims, &y = layer.target.dims;
  const ChannelVectors from = channel_vectors(layer.source, kernel.lanes), to = channel_vectors(layer.target, kernel.lanes);
  images_ = x[0];
  job_.channels = x[1];
  job_.height = x[2];
  job_.width = x[3];
  job_.x_pixel = from.pixel;
  job_.x_row = from.row;
  job_.x_block = from.block;
  job_.out_height = y[2];
  job_.out_width = y[3];
  job_.y_pixel = to.pixel;
  job_.y_row = to.row;
  job_.y_block = to.block;
  x_image_ = from.image;
  y_image_ = to.image;
  job_.first = layer.first;
  job_.last = layer.last;
  for (size_t i = 0; i < 2; ++i) {
    job_.kernel[i] = w[i + 2];
    job_.stride[i] = layer.stride[i];
    job_.dilation[i] = layer.dilation[i];
    job_.pad[i] = layer.pad[i];
  }
  weights_ = pack_depthwise(kernel, layer.weight.values<float>().data(), x[1], w[2] * w[3]);
  bias_.assign(size_t(from.blocks * kernel.lanes), 0.f);
  std::copy_n(layer.bias.values<float>().data(), x[1], bias_.begin());
  job_.weights = weights_.data();
  job_.bias = bias_.data();
}

void DepthwiseFloatStep::run(std::byte* const* slots, int thread, int threads) {
  const int64_t all = images_ * job_.out_height;
  FloatDepthwise job = job_;
  for (int64_t at = all * thread / threads, end = all * (thread + 1) / threads; at < end; ++at) {
    const int64_t row = at % job_.out_height, image = at / job_.out_height;
    job.x = reinterpret_cast<const float*>(slots[source]) + image * x_image_;
    job.y = reinterpret_cast<float*>(slots[target]) + image * y_image_;
    if (residual >= 0) job.residual = reinterpret_cast<const float*>(slots[residual]) + image * y_image_;
    kernel_.run(job, row);
  }
}

}  // namespace pare
