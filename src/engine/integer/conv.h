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
  virtual int32_t& bias_of(size_t output) = 0;
};

class ConvStep : public ConvLikeStep {
 public:
  int32_t& bias_of(size_t output) override { return reinterpret_cast<int32_t*>(packed.bias.front().bytes)[output]; }  // one group: as they come
  void run(std::byte* const* slots, int thread, int threads) override {
    kernel->run(packed, arguments<ConvInt8Args>(slots, thread), thread, threads);
  }
  const ConvInt8Kernel* kernel = nullptr;
  PackedConvInt8 packed;
};

// Memory for timing a layer: an input, an output and a residual of its size, and the epilogue its chain asks for.
class ConvTrial {
 public:
  ConvTrial(const Planner& planner, const ConvInt8Shape& shape, const IntegerChain& chain, const IntegerWeights& weights, size_t scratch_bytes);
  // Runs a kernel of conv_int8 or sparse_int8 once, on all threads.
  template <class Kernel, class Packed>
  void run(const Kernel& kernel, const Packed& packed) {
    run_parallel([&](int thread, int threads) {
      ConvInt8Args mine = args_;
      mine.scratch = scratch_.of(thread);
      kernel.run(packed, mine, thread, threads);
    });
  }

 private:
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

// The layer with products of zero weights left out, or the dense one where that is faster; whoever reads the note learns
// both times. `given` points into `weights`.
ConvLayer sparse_where_faster(Planner& planner, const ConvInt8Shape& shape, const ConvInt8Weights& given, const IntegerWeights& weights, const IntegerChain& chain,
                              ConvLayer dense);

}  // namespace pare
