// Integer convolutions and linear layers whose weights are mostly zero: dense or sparse by what is measured here.
#include <fmt/format.h>

#include <algorithm>

#include "engine/integer/conv.h"
#include "kernels/sparse_int8/sparse_int8.h"

namespace pare {
namespace {

// Below this it is not worth a trial: unstructured weights break even at 35 to 50 %, blocks at 25 to 35 %.
constexpr double kLeastSparsity = 0.25;
// Without measuring, a layer runs sparse where the estimate leaves a margin for what it does not know.
constexpr double kMargin = 0.85;

class SparseStep : public PackedStep<SparseInt8Kernel, PackedSparseInt8> {
 public:
  int32_t& bias_of(size_t output) override { return sparse_int8_bias(packed, output); }
};

// What is remembered: 0 for dense, else a form.
constexpr int kPlanesChoice = 1 << 16;
int choice_of(const SparseInt8Form& form) { return form.planes ? kPlanesChoice : form.together * 256 + form.step; }

SparseInt8Form form_of(int choice, const SparseInt8Kernel& kernel) {
  if (choice == kPlanesChoice) return {.planes = true};
  return {choice / 256, choice % 256, kernel.max_pixels};
}

// Fractions of zero weights, and of 16 outputs x 4 inputs that are zero throughout: layers of one shape with the same are
// taken to run alike.
struct Zeros {
  double weights = 0, blocks = 0;
};

Zeros count_zeros(const ConvInt8Shape& shape, const int8_t* weights) {
  const size_t taps = size_t(shape.kernel_h) * size_t(shape.kernel_w), inputs = size_t(shape.in_c) * taps;
  const size_t fours = (size_t(shape.in_c) + 3) / 4 * taps;
  std::vector<char> filled;
  Zeros zeros;
  size_t blocks = 0;
  for (size_t o = 0; o < size_t(shape.out_c); ++o) {
    if (o % 16 == 0) filled.assign(fours, 0), blocks += fours;
    for (size_t i = 0; i < inputs; ++i) {
      if (weights[o * inputs + i] != 0)
        filled[i / taps / 4 * taps + i % taps] = 1;
      else
        zeros.weights += 1;
    }
    if (o % 16 == 15 || o + 1 == size_t(shape.out_c)) zeros.blocks += double(std::count(filled.begin(), filled.end(), 0));
  }
  zeros.weights /= double(std::max<size_t>(inputs * size_t(shape.out_c), 1));
  zeros.blocks /= double(std::max<size_t>(blocks, 1));
  return zeros;
}

struct Decision {
  int choice = 0;
  double dense_ms = -1, sparse_ms = -1;  // negative: not measured
};

// Dense and the most promising forms in turns.
Decision measure(Planner& planner, const SparseInt8Kernel& kernel, const ConvInt8Shape& shape, const ConvInt8Weights& given, const IntegerWeights& weights,
                 const IntegerChain& chain, const ConvLayer& dense) {
  const std::vector<SparseInt8Form> forms = sparse_int8_forms(kernel, shape, given.weights);
  std::vector<PackedSparseInt8> packed;
  size_t scratch_bytes = dense.scratch_bytes;
  for (const SparseInt8Form& form : forms) {
    packed.push_back(pack_sparse_int8(kernel, shape, given, form));
    scratch_bytes = std::max(scratch_bytes, packed.back().scratch_bytes);
  }
  if (packed.empty()) return {};
  if (!planner.options.tune) {
    const SparseInt8Cost cost = sparse_int8_cost(kernel, packed.front());
    return {cost.sparse < kMargin * cost.dense ? choice_of(forms.front()) : 0};
  }
  ConvTrial trial(planner, shape, chain, weights, scratch_bytes);
  const std::vector<double> times = least_times(int(packed.size()) + 1, [&](int i) {
    if (i == 0)
      trial.run(static_cast<const ConvLikeStep&>(*dense.step));
    else
      trial.run(kernel, packed[size_t(i) - 1]);
  });
  const size_t best = size_t(std::min_element(times.begin() + 1, times.end()) - times.begin());
  return {times[best] < times[0] ? choice_of(forms[best - 1]) : 0, times[0] / 1e3, times[best] / 1e3};
}

// The same from what was measured before: the choice and both times, in units of 10 ns.
Decision remembered(Planner& planner, const std::string& key, const std::function<Decision()>& measured) {
  const auto choice = planner.cache.find(key), dense = planner.cache.find(key + " dense"), sparse = planner.cache.find(key + " sparse");
  if (choice && dense && sparse) return {*choice, *dense / 1e5, *sparse / 1e5};
  const Decision decision = measured();
  if (decision.dense_ms < 0) return decision;
  planner.cache.store(key, decision.choice);
  planner.cache.store(key + " dense", int(std::min(decision.dense_ms * 1e5, 2e9)));
  planner.cache.store(key + " sparse", int(std::min(decision.sparse_ms * 1e5, 2e9)));
  return decision;
}

}  // namespace

ConvLayer sparse_where_faster(Planner& planner, const ConvInt8Shape& shape, const ConvInt8Weights& given, const IntegerWeights& weights, const IntegerChain& chain,
                              ConvLayer dense) {
  const SparseInt8Kernel* kernel = sparse_int8_kernel(planner.options.kernels);
  if (kernel == nullptr || shape.groups != 1) return dense;
  const Zeros zeros = count_zeros(shape, given.weights);
  if (zeros.weights < kLeastSparsity) return dense;
  const auto measured = [&] { return measure(planner, *kernel, shape, given, weights, chain, dense); };
  const std::string key = fmt::format("{} 2 zeros {:.0f} {:.0f}", conv_key(kernel->name, shape, chain, planner.threads), zeros.weights * 100, zeros.blocks * 100);
  const Decision decision = planner.options.tune ? remembered(planner, key, measured) : measured();
  if (decision.dense_ms >= 0)
    dense.note = fmt::format("{:.0f} % of the weights are zero: dense {:.3g} ms, sparse {:.3g} ms", zeros.weights * 100, decision.dense_ms, decision.sparse_ms);
  if (decision.choice == 0) return dense;
  auto sparse = std::make_unique<SparseStep>();
  sparse->kernel = kernel;
  sparse->packed = pack_sparse_int8(*kernel, shape, given, form_of(decision.choice, *kernel));
  const size_t scratch_bytes = sparse->packed.scratch_bytes;
  const SparseInt8Form& form = sparse->packed.form;
  const std::string how = form.planes ? "planes" : form.together > 0 ? fmt::format("blocks {}x4", form.together * kSparseInt8Strip) : "gathered";
  return {std::move(sparse), fmt::format("sparse int8 {} {:.0f} % {}", kernel->isa, zeros.weights * 100, how), dense.note, scratch_bytes};
}

}  // namespace pare
