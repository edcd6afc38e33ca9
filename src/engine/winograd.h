#pragma once
// 3x3 convolutions by Winograd's transforms and our own matrix products.
#include "engine/plan.h"
#include "kernels/float_winograd/float_winograd.h"

namespace pare {

// A convolution of 3x3 weights [outputs, inputs / groups, 3, 3], stride and dilation 1.
struct WinogradLayer {
  Array weight, bias;  // f32
  int64_t groups = 1;
  int64_t pad[2] = {1, 1};  // in front
  Storage source, target;   // both blocked, or both with channels innermost
  FloatFunction first, last;
  // Above 1: a group's outputs are ordered [row in a square][column][channel], and those of a pixel fill a square of so many pixels a side of the
  // target, as DepthToSpace would put them.
  int64_t spread = 1;
};

class WinogradStep : public Step {
 public:
  WinogradStep(const WinogradKernel& kernel, const FloatLinearKernel& linear, const WinogradLayer& layer);
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override;
  int64_t scratch_bytes(int threads) const { return threads * thread_floats() * int64_t(sizeof(float)); }

  SlotId source = -1, target = -1, residual = -1, scratch = -1;

 private:
  int64_t thread_floats() const { return winograd_points(kernel_) * (in_stride_ + out_stride_); }
  void run_squares(const Winograd& job, const std::byte* weights, int64_t first, int64_t count, float* values) const;

  const WinogradKernel& kernel_;
  const FloatLinearKernel& linear_;
  Winograd job_;  // of one group of one image, without pointers
  int64_t images_, groups_, inputs_, outputs_;  // inputs and outputs of a group
  int64_t spread_;
  int64_t x_image_, x_group_, y_image_, y_group_;
  int64_t at_once_ = 0;                         // squares
  int64_t in_stride_ = 0, out_stride_ = 0;      // floats from a point's values to the next one's
  int64_t weight_bytes_ = 0;                    // of a point
  Array weights_, bias_;                        // [group][point] packed; [group][outputs filled up]
};

// The layer's step with its scratch; residual -1: none.
std::unique_ptr<WinogradStep> make_winograd(Planner& planner, const WinogradKernel& kernel, const WinogradLayer& layer, SlotId source, SlotId residual, SlotId target);

// The kernel that multiplies, and those that transform; empty where the layer is none for them.
const FloatLinearKernel* winograd_products();
std::vector<const WinogradKernel*> winograd_kernels_for(const WinogradLayer& layer);

}  // namespace pare
