#pragma once
// Steps of integer convolutions and linear layers, dense and sparse.
#include <memory>
#include <string>
#include <vector>

#include "base/threads.h"
#include "engine/integer/integer.h"

namespace pare {

// What convolution, depthwise convolution and linear layers have in common as steps.
class IntegerStep : public Step {
 public:
  bool team() const override { return true; }
  SlotId source = -1, residual = -1;
  int64_t offset = 0;  // bytes, of the output in its slot
  std::vector<float> multipliers;
  Int8Epilogue epilogue;
  std::shared_ptr<const ByteTable> table;  // the epilogue's
  ThreadScratch scratch;

 protected:
  template <class Args>
  Args arguments(std::byte* const* slots, int thread) {
    Args args;
    args.input = slots[source];
    args.output = slots[writes] + offset;
    args.scratch = scratch.of(thread);
    args.epilogue = epilogue;
    args.epilogue.multiplier = multipliers.data();
    args.epilogue.residual = residual >= 0 ? slots[residual] : nullptr;
    return args;
  }
};

class ConvLikeStep : public IntegerStep {
 public:
  virtual int32_t& bias_of(size_t output) = 0;  // of layers of one group
  virtual void compute(const ConvInt8Args& args, int thread, int threads) const = 0;
  void run(std::byte* const* slots, int thread, int threads) override { compute(arguments<ConvInt8Args>(slots, thread), thread, threads); }
};

// A kernel with the weights that were packed for it.
template <class Kernel, class Packed>
class PackedStep : public ConvLikeStep {
 public:
  int32_t& bias_of(size_t output) override { return reinterpret_cast<int32_t*>(packed.bias.front().bytes)[output]; }
  void compute(const ConvInt8Args& args, int thread, int threads) const override { kernel->run(packed, args, thread, threads); }
  const Kernel* kernel = nullptr;
  Packed packed;
};
using ConvStep = PackedStep<ConvInt8Kernel, PackedConvInt8>;

// Memory for timing a layer: an input, an output and a residual of its size, and the epilogue its chain asks for.
class ConvTrial {
 public:
  ConvTrial(const Planner& planner, const ConvInt8Shape& shape, const IntegerChain& chain, const IntegerWeights& weights, size_t scratch_bytes);
  // Runs a kernel of conv_int8 or its like once, on all threads.
  template <class Kernel, class Packed>
  void run(const Kernel& kernel, const Packed& packed) {
    in_parallel([&](const ConvInt8Args& args, int thread, int threads) { kernel.run(packed, args, thread, threads); });
  }
  void run(const ConvLikeStep& step) {
    in_parallel([&](const ConvInt8Args& args, int thread, int threads) { step.compute(args, thread, threads); });
  }

 private:
  template <class Compute>
  void in_parallel(const Compute& compute) {
    run_parallel([&](int thread, int threads) {
      ConvInt8Args mine = args_;
      mine.scratch = scratch_.of(thread);
      compute(mine, thread, threads);
    });
  }

  std::vector<Int8Line> input_, output_, residual_;
  std::vector<float> multipliers_;
  ThreadScratch scratch_;
  ConvInt8Args args_;
};

// What a layer's tuning is remembered by: the kernel, the shape, the kind of epilogue.
std::string conv_key(const char* kernel, const ConvInt8Shape& shape, const IntegerChain& chain, int threads);

// A layer ready for finish(): how it is computed, in words, and what was measured.
struct ConvLayer {
  std::unique_ptr<IntegerStep> step;
  std::string implementation, note;
  size_t scratch_bytes = 0;
};

// A 3x3 layer by fewer multiplications (kernels/int8_winograd), or as it is given where that is faster. `given` points into `weights`.
ConvLayer winograd_where_faster(Planner& planner, const ConvInt8Shape& shape, const ConvInt8Weights& given, const IntegerWeights& weights, const IntegerChain& chain,
                                ConvLayer dense);

// The layer with products of zero weights left out, or the dense one where that is faster; whoever reads the note learns
// both times. `given` points into `weights`.
ConvLayer sparse_where_faster(Planner& planner, const ConvInt8Shape& shape, const ConvInt8Weights& given, const IntegerWeights& weights, const IntegerChain& chain,
                              ConvLayer dense);

}  // namespace pare
