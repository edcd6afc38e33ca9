// bench_sparse_int8 [--threads N] [--filter TEXT] [--rounds N]: int8 layers with pruned weights against dense ones, ours and
// oneDNN's. All of a line are timed in turns; ratios are medians over rounds of (dense one / sparse one) within a round.
// Weights are normal, masks random, levels chosen as quantize-static does on this CPU. Outputs are compared with the dense
// kernel's before anything is timed.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>

#include "base/random.h"
#include "base/threads.h"
#include "kernels/sparse_int8/sparse_int8.h"
#include "passes/solvers/small_sums.h"

namespace {

using pare::ConvInt8Args;
using pare::ConvInt8Shape;
using pare::Int8Line;

struct Layer {
  const char* name;
  ConvInt8Shape shape;
};

ConvInt8Shape square(int size, int in_c, int out_c, int kernel, int stride = 1) {
  const int pad = kernel / 2;
  return {1, size, size, in_c, out_c, 1, kernel, kernel, stride, stride, 1, 1, pad, pad, pad, pad};
}

// The shapes of ResNet-50, MobileNetV2, ResNet-20 and MiniLM.
const Layer kLayers[] = {
    {"1x1 64>256 @56", square(56, 64, 256, 1)},    {"1x1 256>64 @56", square(56, 256, 64, 1)},     {"1x1 512>128 @28", square(28, 512, 128, 1)},
    {"1x1 128>512 @28", square(28, 128, 512, 1)},  {"1x1 1024>256 @14", square(14, 1024, 256, 1)}, {"1x1 256>1024 @14", square(14, 256, 1024, 1)},
    {"1x1 2048>512 @7", square(7, 2048, 512, 1)},  {"1x1 512>2048 @7", square(7, 512, 2048, 1)},   {"3x3 64 @56", square(56, 64, 64, 3)},
    {"3x3 128 @28", square(28, 128, 128, 3)},      {"3x3 256 @14", square(14, 256, 256, 3)},       {"3x3 512 @7", square(7, 512, 512, 3)},
    {"3x3 128 @56 /2", square(56, 128, 128, 3, 2)}, {"1x1 24>144 @56", square(56, 24, 144, 1)},    {"1x1 144>24 @56", square(56, 144, 24, 1)},
    {"1x1 64>384 @14", square(14, 64, 384, 1)},    {"1x1 384>64 @14", square(14, 384, 64, 1)},     {"1x1 320>1280 @7", square(7, 320, 1280, 1)},
    {"3x3 16 @32", square(32, 16, 16, 3)},         {"3x3 32 @16", square(16, 32, 32, 3)},          {"3x3 64 @8", square(8, 64, 64, 3)},
    {"linear 384>1536 x128", {.batch = 128, .in_c = 384, .out_c = 1536}}, {"linear 1536>384 x128", {.batch = 128, .in_c = 1536, .out_c = 384}},
    {"linear 4096>4096 x1", {.batch = 1, .in_c = 4096, .out_c = 4096}},
};

struct Pattern {
  const char* name;
  int outputs, inputs;  // of a block
  int of;               // N:M along the inputs: M, or 0
};
const Pattern kPatterns[] = {{"unstructured", 1, 1, 0}, {"N:64", 1, 1, 64}, {"16x4", 16, 4, 0}, {"32x4", 32, 4, 0}};
const double kSparsities[] = {0.3, 0.4, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95};

// [out_c][in_c][kh][kw], with exactly the given fraction of blocks zero (of M inputs in the N:M pattern).
std::vector<float> pruned(const ConvInt8Shape& s, const Pattern& p, double sparsity, pare::Random& random) {
  const int taps = s.kernel_h * s.kernel_w, inputs = s.in_c * taps;
  std::vector<float> w(std::size_t(s.out_c) * inputs);
  const int across = (s.out_c + p.outputs - 1) / p.outputs, along = inputs / p.inputs;
  std::vector<char> stays(std::size_t(across) * along);
  const std::size_t part = p.of > 0 ? std::min(p.of, along) : stays.size();
  for (std::size_t begin = 0; begin < stays.size(); begin += part) {
    const std::size_t end = std::min(begin + part, stays.size());
    std::fill(stays.begin() + begin, stays.begin() + begin + std::size_t(double(end - begin) * (1 - sparsity) + 0.5), 1);
    pare::shuffle(std::span(stays).subspan(begin, end - begin), random);
  }
  for (int o = 0; o < s.out_c; ++o)
    for (int k = 0; k < inputs; ++k)  // counted tap by tap: blocks are of neighbouring channels
      if (stays[std::size_t(o / p.outputs) * along + std::min(k / p.inputs, along - 1)])
        w[(std::size_t(o) * s.in_c + k % s.in_c) * taps + k / s.in_c] = float(random.normal());
  return w;
}

// Levels a scale for each output: to the nearest, or chosen for sums of 16 bits where the dense kernel adds in those.
std::vector<std::int8_t> rounded(const ConvInt8Shape& s, const std::vector<float>& w, bool small_sums) {
  const std::size_t inputs = w.size() / std::size_t(s.out_c);
  const std::int64_t dims[] = {s.out_c, s.in_c, s.kernel_h, s.kernel_w};
  const pare::WeightOrder order = small_sums ? pare::weight_order(dims, 0) : pare::WeightOrder{};
  std::vector<std::int8_t> levels(w.size());
  std::vector<std::int32_t> wide(inputs);
  for (std::size_t o = 0; o < std::size_t(s.out_c); ++o) {
    const std::span<const float> own(w.data() + o * inputs, inputs);
    float most = 1e-20f;
    for (const float v : own) most = std::max(most, std::abs(v));
    float scale = most / 127;
    if (!order.offsets.empty())
      pare::round_to_small_sums(own, order, scale, wide);
    else
      for (std::size_t i = 0; i < inputs; ++i) wide[i] = std::int32_t(std::lround(own[i] / scale));
    for (std::size_t i = 0; i < inputs; ++i) levels[o * inputs + i] = std::int8_t(wide[i]);
  }
  return levels;
}

// oneDNN's convolution with the same scales, rounding to u8.
std::function<void()> make_onednn(const ConvInt8Shape& s, const std::vector<std::int8_t>& w, const std::vector<float>& scales, std::uint8_t* x, std::uint8_t* y) {
  using namespace dnnl;
  using M = memory;
  static const engine cpu(engine::kind::cpu, 0);
  static stream order(cpu);
  const M::dims in{s.batch, s.in_c, s.in_h, s.in_w}, weights{s.out_c, s.in_c, s.kernel_h, s.kernel_w}, out{s.batch, s.out_c, s.out_h(), s.out_w()};
  const M::desc in_desc(in, M::data_type::u8, M::format_tag::nhwc), out_desc(out, M::data_type::u8, M::format_tag::nhwc);
  const M::desc plain(weights, M::data_type::s8, M::format_tag::oihw), any(weights, M::data_type::s8, M::format_tag::any);
  primitive_attr attributes;
  attributes.set_output_scales(2, scales);
  const convolution_forward::desc desc(prop_kind::forward_inference, algorithm::convolution_direct, in_desc, any, out_desc, {s.stride_h, s.stride_w},
                                       {s.pad_top, s.pad_left}, {s.pad_bottom, s.pad_right});
  const convolution_forward::primitive_desc primitive(desc, attributes, cpu);
  const M given(plain, cpu, const_cast<std::int8_t*>(w.data()));
  const M packed(primitive.weights_desc(), cpu);
  reorder(given, packed).execute(order, const_cast<M&>(given), const_cast<M&>(packed));
  order.wait();
  const convolution_forward layer(primitive);
  const M source(in_desc, cpu, x), target(out_desc, cpu, y);
  return [=] {
    layer.execute(order, {{DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_DST, target}});
    order.wait();
  };
}

struct Bench {
  ConvInt8Shape shape;
  int rounds;
  std::vector<std::function<void()>> runs;
  std::vector<std::vector<double>> times;

  void time() {
    using Clock = std::chrono::steady_clock;
    times.assign(runs.size(), {});
    const auto begin = Clock::now();
    runs.front()();
    runs.front()();
    const double once = std::chrono::duration<double>(Clock::now() - begin).count() / 2;
    const int repeats = std::clamp(int(300e-6 / once), 1, 200);
    for (int round = 0; round < rounds; ++round)
      for (std::size_t i = 0; i < runs.size(); ++i) {
        runs[i]();
        const auto start = Clock::now();
        for (int r = 0; r < repeats; ++r) runs[i]();
        times[i].push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count() / repeats);
      }
  }
  // Median over rounds of oneDNN's time divided by run i's, or of the faster dense one's.
  double ratio(std::size_t i, bool onednn = true) const {
    std::vector<double> ratios;
    for (std::size_t r = 0; r < times[i].size(); ++r) ratios.push_back((onednn ? times[1][r] : std::min(times[0][r], times[1][r])) / times[i][r]);
    std::nth_element(ratios.begin(), ratios.begin() + ratios.size() / 2, ratios.end());
    return ratios[ratios.size() / 2];
  }
  double least(std::size_t i) const { return *std::min_element(times[i].begin(), times[i].end()); }
};

template <class Kernel, class Packed>
std::function<void()> runner(const Kernel& kernel, const Packed& packed, ConvInt8Args args, std::vector<std::vector<Int8Line>>& scratch) {
  return [&kernel, &packed, args, &scratch] {
    pare::run_parallel([&](int thread, int threads) {
      ConvInt8Args mine = args;
      mine.scratch = scratch[std::size_t(thread)].data();
      kernel.run(packed, mine, thread, threads);
    });
  };
}

void bench_layer(const Layer& layer, const Pattern& pattern, double sparsity, int rounds) {
  const ConvInt8Shape& s = layer.shape;
  const auto& dense = *std::find_if(pare::conv_int8_kernels().begin(), pare::conv_int8_kernels().end(), [](const auto& k) { return k.supported(); });
  pare::Random random(7);
  const auto w = rounded(s, pruned(s, pattern, sparsity, random), dense.pairs);
  // In whole lines, as the engine's memory is.
  std::vector<Int8Line> x(std::size_t(s.batch) * s.in_h * s.in_w * s.in_c / 64 + 1);
  for (auto& line : x)
    for (auto& b : line.bytes) b = static_cast<std::uint8_t>(random.bits());
  std::vector<float> scales(std::size_t(s.out_c), 2e-4f);
  const std::size_t count = std::size_t(s.batch) * s.out_h() * s.out_w() * s.out_c;
  std::vector<Int8Line> y(count / 64 + 1, Int8Line{}), expected;
  ConvInt8Args args;
  args.input = x.data();
  args.output = y.data();
  args.epilogue.multiplier = scales.data();
  const auto& sparse = *pare::sparse_int8_kernel("");
  const auto tilings = pare::conv_int8_tilings(dense, s);
  std::vector<pare::PackedConvInt8> dense_packed;
  std::vector<pare::PackedSparseInt8> sparse_packed;
  for (const auto& tiling : tilings) dense_packed.push_back(pare::pack_conv_int8(dense, s, {w.data()}, tiling));
  const auto forms = pare::sparse_int8_forms(sparse, s, w.data());
  for (const auto& form : forms) sparse_packed.push_back(pare::pack_sparse_int8(sparse, s, {w.data()}, form));
  std::size_t bytes = 64;
  for (const auto& p : dense_packed) bytes = std::max(bytes, p.scratch_bytes);
  for (const auto& p : sparse_packed) bytes = std::max(bytes, p.scratch_bytes);
  std::vector<std::vector<Int8Line>> scratch(std::size_t(pare::threads()), std::vector<Int8Line>(bytes / 64 + 1));

  // The dense tiling that is best here, as the engine finds it.
  Bench tiling_bench{s, 5, {}, {}};
  for (const auto& p : dense_packed) tiling_bench.runs.push_back(runner(dense, p, args, scratch));
  tiling_bench.time();
  std::size_t best = 0;
  for (std::size_t i = 1; i < tilings.size(); ++i)
    if (tiling_bench.least(i) < tiling_bench.least(best)) best = i;

  Bench bench{s, rounds, {}, {}};
  bench.runs.push_back(tiling_bench.runs[best]);
  bench.runs.push_back(make_onednn(s, w, scales, x.front().bytes, y.front().bytes));
  for (const auto& p : sparse_packed) bench.runs.push_back(runner(sparse, p, args, scratch));
  bench.runs.front()();
  expected = y;
  for (std::size_t i = 2; i < bench.runs.size(); ++i) {
    std::fill(y.begin(), y.end(), Int8Line{});
    bench.runs[i]();
    if (std::memcmp(y.data(), expected.data(), count) != 0) throw std::runtime_error(std::string(layer.name) + ": the sparse kernel's output differs from the dense one's");
  }
  bench.time();
  std::size_t fastest = 2;
  for (std::size_t i = 3; i < bench.runs.size(); ++i)
    if (bench.ratio(i) > bench.ratio(fastest)) fastest = i;
  const auto& form = forms[fastest - 2];
  // What the layer takes without a product: its input brought in order, its output rounded and stored.
  const std::vector<std::int8_t> nothing(w.size());
  const auto empty = pare::pack_sparse_int8(sparse, s, {nothing.data()}, form);
  Bench fixed{s, 5, {runner(sparse, empty, args, scratch)}, {}};
  fixed.time();
  const double macs = double(count) * s.in_c * s.kernel_h * s.kernel_w;
  const double stored = double(sparse_packed[fastest - 2].stream.size()) * 64 / (double(w.size()) * (1 - sparsity));
  const auto cost = pare::sparse_int8_cost(sparse, sparse_packed[fastest - 2]);
  std::printf("%-21s %-12s %3.0f %%  dense %8.1f us  oneDNN %8.1f us (%4.0f GMAC/s)  sparse %8.1f us (%5.1f without products)  %5.2fx of oneDNN %5.2fx of the faster  (estimated %5.2fx, %s %d, %.2f bytes a weight)\n", layer.name,
              pattern.name, sparsity * 100, bench.least(0), bench.least(1), macs / std::min(bench.least(0), bench.least(1)) / 1e3, bench.least(fastest), fixed.least(0), bench.ratio(fastest), bench.ratio(fastest, false),
              cost.dense / cost.sparse, form.planes ? "planes" : form.together > 0 ? "blocks" : "gather", form.together > 0 ? form.together : form.step, stored);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("int8 layers with pruned weights against dense ones");
  int threads = 1, rounds = 15;
  std::string filter;
  std::vector<int> sparsities;
  std::vector<std::string> patterns;
  app.add_option("--threads", threads)->check(CLI::Range(1, 256));
  app.add_option("--rounds", rounds)->check(CLI::Range(1, 1000));
  app.add_option("--filter", filter, "only layers whose name has this text");
  app.add_option("--sparsity", sparsities, "in per cent")->delimiter(',');
  app.add_option("--pattern", patterns)->delimiter(',');
  CLI11_PARSE(app, argc, argv);
  pare::set_threads(threads);
  if (pare::sparse_int8_kernel("") == nullptr) return std::puts("no sparse int8 kernel runs on this CPU"), 1;
  try {
    for (const Layer& layer : kLayers)
      for (const Pattern& pattern : kPatterns)
        for (double sparsity : kSparsities) {
          const bool wanted = std::string(layer.name).find(filter) != std::string::npos &&
                              (sparsities.empty() || std::find(sparsities.begin(), sparsities.end(), int(sparsity * 100 + 0.5)) != sparsities.end()) &&
                              (patterns.empty() || std::find(patterns.begin(), patterns.end(), pattern.name) != patterns.end());
          if (wanted) bench_layer(layer, pattern, sparsity, rounds);
        }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
