#pragma once
// Depthwise convolutions of float images by our own kernel.
#include "engine/plan.h"
#include "kernels/float_depthwise/float_depthwise.h"

namespace pare {

// A convolution of weights [channels, 1, height, width] with as many groups as channels.
struct DepthwiseLayer {
  Array weight, bias;  // f32
  int64_t stride[2] = {1, 1}, dilation[2] = {1, 1}, pad[2] = {0, 0};  // height, width; pads in front
  Storage source, target;  // both blocked, or both with channels innermost
  FloatFunction first, last;
};

class DepthwiseFloatStep : public Step {
 public:
  DepthwiseFloatStep(const FloatDepthwiseKernel& kernel, const DepthwiseLayer& layer);
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override;

  SlotId source = -1, target = -1, residual = -1;

 private:
  const FloatDepthwiseKernel& kernel_;
  FloatDepthwise job_;  // of one image, without what lies in slots
  int64_t images_, x_image_, y_image_;
  std::vector<float> weights_, bias_;
};

// The kernel for a layer, or null where it is none for it.
const FloatDepthwiseKernel* depthwise_kernel_for(const DepthwiseLayer& layer);

}  // namespace pare
