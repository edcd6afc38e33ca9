// Integer convolutions of 3x3 kernels: by the definition or by fewer multiplications, whichever is measured to be faster here. Both give
// the same bits.
#include "engine/integer/conv.h"
#include "kernels/int8_winograd/int8_winograd.h"

namespace pare {
namespace {

// Transformed weights are eight times as large, and are read once for every few squares: beyond this they would come from the third cache
// and make the model's memory a matter of its widest layers.
constexpr size_t kMostWeightBytes = 1280 << 10;

using WinogradInt8Step = PackedStep<WinogradInt8Kernel, PackedWinogradInt8>;

}  // namespace

ConvLayer winograd_where_faster(Planner& planner, const ConvInt8Shape& shape, const ConvInt8Weights& given, const IntegerWeights& weights, const IntegerChain& chain,
                                ConvLayer dense) {
  const WinogradInt8Kernel* kernel = planner.options.tune ? winograd_int8_kernel(planner.options.kernels) : nullptr;
  if (kernel == nullptr || !fits_winograd_int8(*kernel, shape, given.weights) || winograd_int8_weight_bytes(shape) > kMostWeightBytes) return dense;
  // What is remembered is a choice between two kernels.
  const std::string against = static_cast<const ConvStep&>(*dense.step).kernel->name, key = conv_key(kernel->name, shape, chain, planner.threads) + " or " + against;
  const auto known = planner.cache.find(key);
  if (known && *known == 0) return dense;
  auto step = std::make_unique<WinogradInt8Step>();
  step->kernel = kernel;
  step->packed = pack_winograd_int8(*kernel, shape, given);
  const size_t scratch_bytes = step->packed.scratch_bytes;
  if (!known) {
    ConvTrial trial(planner, shape, chain, weights, std::max(scratch_bytes, dense.scratch_bytes));
    const int choice = fastest_of(2, [&](int i) { trial.run(i == 0 ? static_cast<const ConvLikeStep&>(*dense.step) : *step); });
    planner.cache.store(key, choice);
    if (choice == 0) return dense;
  }
  return {std::move(step), std::string("int8 winograd ") + kernel->isa, "", scratch_bytes};
}

}  // namespace pare
