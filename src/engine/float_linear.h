#pragma once
// Linear layers, and 1x1 convolutions by our own float kernels.
#include <optional>

#include "engine/plan.h"
#include "kernels/float_linear/float_linear.h"

namespace pare {

// A Gemm or MatMul with a constant matrix and the bias behind it:
// y[rows, columns] = x[rows, inner] · w + b. w is [inner, columns], or `transposed`.
struct Linear {
  ValueId result = kNone;  // behind the Add of a bias
  int add = -1;
  int64_t rows = 1, inner = 1, columns = 1;
  Array weight, bias;
  bool transposed = false;
  Array turned() const;  // the weight as [columns, inner]
};
std::optional<Linear> linear_of(Planner& planner, const Node& node);

class FloatLinearStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override;

  const FloatLinearKernel* kernel = nullptr;
  FloatLinear job;               // without pointers
  int64_t images = 1;            // one after the other
  int64_t x_image = 0, y_image = 0;  // elements from one to the next
  SlotId source = -1, target = -1, residual = -1;
  Array weights, bias;           // packed; filled up
};

// The kernel for a layer whose inputs have this type (f32 or bf16), or null. Each element of `inner` must be there: rows of
// bf16 are read in pairs.
const FloatLinearKernel* float_linear_kernel(Type type, int64_t inner);

// A step without slots and strides; `bias` has one value a column, or is empty.
std::unique_ptr<FloatLinearStep> make_float_linear(const FloatLinearKernel& kernel, const FloatMatrix& matrix,
                                                   const Array& bias);
// The same without weights: `packed` holds them.
std::unique_ptr<FloatLinearStep> make_float_linear(const FloatLinearKernel& kernel, int64_t inner, int64_t columns,
                                                   Array packed, const Array& bias);

}  // namespace pare
