#pragma once
// Layers that compute in 8-bit integers: what their lowerings share.
#include <limits>

#include "engine/plan.h"
#include "kernels/conv_int8/conv_int8.h"
#include "kernels/int8_epilogue/int8_epilogue.h"

namespace pare {

// The nodes behind an integer layer that its epilogue takes up: (ReLU, Clip)* [Q → DQ] [Add] (ReLU, Clip)* [Q].
struct IntegerChain {
  std::vector<int> nodes;
  std::string text;                          // "+Add+Relu"
  ValueId result = kNone;                    // integer where `out` is set, else float
  std::optional<Planner::Quantized> out, mid, residual;
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();           // of the result
  float mid_low = -std::numeric_limits<float>::infinity(), mid_high = std::numeric_limits<float>::infinity();   // before the sum
};
IntegerChain integer_chain(const Planner& planner, ValueId value);

// The epilogue without pointers. `scales` become the multipliers: input scale · weight scale [c] divided by what follows.
Int8Epilogue epilogue_of(const IntegerChain& chain, std::vector<float>& scales);

// The integer limits that [low, high] leaves in a quantized type.
struct IntegerLimits {
  int low, high;
};
IntegerLimits limits_of(const Planner::Quantized& q, float low, float high);

// An int8 weight without zero point, one scale per output channel, and its bias in int32 units of input scale · weight scale.
struct IntegerWeights {
  Array weights;                 // i8, as the node holds it
  std::vector<float> scales;     // [outputs]
  std::vector<int32_t> bias;     // [outputs], zeros where there is none
};
// Null (with a refusal) if the constants have another form. `axis`: the output channels'.
std::optional<IntegerWeights> integer_weights(Planner& planner, const Node& node, int axis, float input_scale);

// Memory of its own for each thread, 64-byte aligned.
class ThreadScratch {
 public:
  void resize(int threads, size_t bytes) {
    stride_ = (bytes + 127) / 64;
    lines_.resize(size_t(threads) * stride_);
  }
  void* of(int thread) { return lines_.empty() ? nullptr : &lines_[size_t(thread) * stride_]; }

 private:
  size_t stride_ = 0;
  std::vector<Int8Line> lines_;
};

// The kernel row to use: the best, or the first of the instruction set the session asks for. A family that has no row for
// "avx512vnni" takes the one for its beginning, "avx512".
template <class Kernel>
const Kernel& choose_kernel(std::span<const Kernel> kernels, const std::string& isa) {
  for (const Kernel& kernel : kernels)
    if (kernel.supported() && (isa.empty() || isa.starts_with(kernel.isa))) return kernel;
  throw UsageError("kernels", "no integer kernel '" + isa + "' runs on this CPU", "`pare kernels` lists them");
}

bool is_eight_bit(Type type);
// Emits the step that turns a deferred DequantizeLinear's result into floats.
void emit_dequantize(Planner& planner, int node);

}  // namespace pare
