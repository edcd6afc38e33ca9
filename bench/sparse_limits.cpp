// bench_sparse_limits: what stops the sparse kernels. For 1x1 layers of ResNet-50, one thread, least times:
//   fixed     the layer with all weights zero: bias, clipping, stores
//   real      its products as they are, under the best tiling
//   in L1     the same stream of products whose inputs all lie in two channels, which the L1 cache holds
// and beside them the rate at which this core multiplies and adds vectors, from registers and from the L1 cache.
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/array.h"
#include "base/random.h"
#include "kernels/sparse_float/sparse_float.h"
#include "kernels/sparse_int8/sparse_int8.h"

namespace {

struct Layer {
  const char* name;
  int64_t size, inputs, outputs;
};
constexpr Layer kLayers[] = {{"1x1 64>256 @56", 56, 64, 256},    {"1x1 256>64 @56", 56, 256, 64},     {"1x1 512>128 @28", 28, 512, 128},
                             {"1x1 1024>256 @14", 14, 1024, 256}, {"1x1 256>1024 @14", 14, 256, 1024}, {"1x1 2048>512 @7", 7, 2048, 512}};

template <class Run>
double least_us(const Run& run) {
  using Clock = std::chrono::steady_clock;
  double least = 1e30;
  const auto begin = Clock::now();
  run();
  do {
    const auto start = Clock::now();
    run();
    least = std::min(least, std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  } while (Clock::now() - begin < std::chrono::milliseconds(25));
  return least;
}

#if defined(__x86_64__)
volatile float sink;

constexpr int kTimes = 20000, kSums = 12;

// Products of twelve independent sums; `kLoads` of every three products' factors come from memory.
template <int kLoads>
__attribute__((target("avx2,fma"))) void multiply(const float* x) {
  __m256 sums[kSums];
  for (auto& sum : sums) sum = _mm256_setzero_ps();
  __m256 a = _mm256_set1_ps(1e-3f), b = _mm256_set1_ps(1.5f);
  for (int t = 0; t < kTimes; ++t) {
    const float* at = x + t % 16 * 96;
#pragma GCC unroll 12
    for (int s = 0; s < kSums; ++s) sums[s] = _mm256_fmadd_ps(s % 3 < kLoads ? _mm256_loadu_ps(at + s * 8) : b, a, sums[s]);
    asm volatile("" : "+x"(a), "+x"(b));
  }
  __m256 all = sums[0];
  for (const auto& sum : sums) all = _mm256_add_ps(all, sum);
  sink = _mm256_cvtss_f32(all);
}

template <int kLoads>
double products_a_ns(const float* x) {
  return double(kTimes) * kSums * 8 / least_us([&] { multiply<kLoads>(x); }) / 1e3;
}
#endif

// In whole cache lines, as the engine's memory is.
pare::Array filled(int64_t floats, float value) {
  pare::Array array(pare::Type::f32, {floats});
  std::ranges::fill(array.mutable_values<float>(), value);
  return array;
}

struct Times {
  double us = 1e30;
  int rows = 0, columns = 0;
  int64_t channels = 0;
  bool ahead = false;
};

// Under the best of the tilings, with inputs `channels` of the map long, or folded into the first two.
Times best_of(const Layer& layer, const std::vector<float>& weights, int height, bool folded, const pare::Array& x, pare::Array& y) {
  const pare::SparseFloatKernel& kernel = pare::best_sparse_float_kernel();
  pare::SparseLanes map;
  map.height = map.width = layer.size;
  std::vector<int32_t> offsets(size_t(layer.inputs)), channels(size_t(layer.outputs / height));
  for (size_t k = 0; k < offsets.size(); ++k) offsets[k] = int32_t(int64_t(folded ? k % 2 : k) * map.channel());
  for (size_t g = 0; g < channels.size(); ++g) channels[g] = int32_t(g) * height;
  Times best;
  std::vector<int64_t> blocks{layer.inputs};
  for (const int64_t block : {256, 128, 64, 32})
    if (block < layer.inputs) blocks.push_back(block);
  for (const int64_t block : blocks) {
    const pare::SparseFloatWeights packed = pare::pack_sparse_float(weights.data(), nullptr, layer.inputs, offsets, block, height, channels);
    for (const int rows : {1, 2, 4})
      for (int columns = 1; rows * columns <= (height == 1 ? kernel.vectors : kernel.vectors4); ++columns) {
        pare::SparseFloatJob job;
        job.weights = &packed;
        job.rows = map.sub_height();
        job.columns = map.sub_width();
        job.x_row = job.y_row = map.row();
        job.y_channel = map.channel();
        job.tile_rows = rows;
        job.tile_columns = columns;
        job.low = 0;
        job.x = x.values<float>().data();
        job.y = y.mutable_values<float>().data();
        for (job.ahead = false;; job.ahead = true) {
          const double us = least_us([&] { kernel.run(job, 0, packed.groups()); });
          if (us < best.us) best = {us, rows, columns, block, job.ahead};
          if (job.ahead || height > 1) break;
        }
      }
  }
  return best;
}

void decompose(const Layer& layer, int height, double sparsity) {
  pare::SparseLanes map;
  map.height = map.width = layer.size;
  pare::Array x = filled(layer.inputs * map.channel(), 0.5f), y = filled(layer.outputs * map.channel(), 0.0f);
  pare::Random random(3);
  std::vector<float> weights(size_t(layer.outputs * layer.inputs));
  for (int64_t g = 0; g < layer.outputs / height; ++g)
    for (int64_t k = 0; k < layer.inputs; ++k)
      if (random.uniform() >= sparsity)
        for (int h = 0; h < height; ++h) weights[size_t((g * height + h) * layer.inputs + k)] = float(random.normal());
  const auto nonzeros = double(std::count_if(weights.begin(), weights.end(), [](float v) { return v != 0; }));
  // What the lanes compute, places behind the map's end among it; and what counts.
  const double computed = nonzeros * double(map.sub_height() * map.sub_width()) * pare::kSparseLanes, counts = nonzeros * double(layer.size * layer.size);
  const Times real = best_of(layer, weights, height, false, x, y), in_l1 = best_of(layer, weights, height, true, x, y);
  std::fill(weights.begin(), weights.end(), 0.0f);
  const Times fixed = best_of(layer, weights, height, false, x, y);
  std::printf("%-18s %-12s %3.0f %%  %8.1f %8.1f %8.1f us   %6.1f %6.1f products/ns   places used %3.0f %%   %dx%d by %lld%s\n", layer.name, height == 1 ? "unstructured" : "4x1", sparsity * 100,
              fixed.us, real.us, in_l1.us, computed / real.us / 1e3, computed / in_l1.us / 1e3, 100 * counts / computed, real.rows, real.columns, static_cast<long long>(real.channels), real.ahead ? " ahead" : "");
  std::fflush(stdout);
}

// The same of int8 layers in planes (AVX2): all inputs of a quad in the planes of two channels.
void decompose_int8(const Layer& layer, double sparsity) {
  const pare::SparseInt8Kernel* kernel = pare::sparse_int8_kernel("");
  if (kernel == nullptr || !kernel->planes) return;
  const pare::ConvInt8Shape shape{1, int(layer.size), int(layer.size), int(layer.inputs), int(layer.outputs)};
  pare::Random random(3);
  std::vector<std::int8_t> weights(size_t(layer.outputs * layer.inputs)), none(weights.size());
  for (auto& w : weights) w = std::int8_t(random.uniform() < sparsity ? 0 : 1 + int(random.below(60)));
  const auto products = double(std::count_if(weights.begin(), weights.end(), [](std::int8_t w) { return w != 0; })) * double(layer.size * layer.size);
  pare::SparseInt8Form form;
  form.planes = true;
  pare::PackedSparseInt8 real = pare::pack_sparse_int8(*kernel, shape, {weights.data()}, form), fixed = pare::pack_sparse_int8(*kernel, shape, {none.data()}, form), near = real;
  const std::int32_t pitch = [&] {
    std::int32_t least = std::numeric_limits<std::int32_t>::max();
    for (const auto& quad : real.quads)
      for (const std::int32_t offset : quad.offset)
        if (offset > 0) least = std::min(least, offset);
    return least;  // from one channel's plane to the next
  }();
  for (auto& quad : near.quads)
    for (std::int32_t& offset : quad.offset) offset = offset / pitch % 2 * pitch;
  pare::Array x = filled(layer.inputs * layer.size * layer.size / 4 + 16, 0.5f), y = filled(layer.outputs * layer.size * layer.size / 4 + 16, 0.0f),
              scratch = filled(int64_t(real.scratch_bytes / 4) + 16, 0.0f);
  std::vector<float> scales(size_t(layer.outputs), 1e-4f);
  pare::ConvInt8Args args;
  args.input = x.values<float>().data();
  args.output = y.mutable_values<float>().data();
  args.scratch = scratch.mutable_values<float>().data();
  args.epilogue.multiplier = scales.data();
  const auto us = [&](const pare::PackedSparseInt8& packed) { return least_us([&] { kernel->run(packed, args, 0, 1); }); };
  const double fixed_us = us(fixed), real_us = us(real), near_us = us(near);
  std::printf("%-18s %-12s %3.0f %%  %8.1f %8.1f %8.1f us   %6.1f %6.1f products/ns without the fixed part\n", layer.name, "int8", sparsity * 100, fixed_us, real_us, near_us,
              products / (real_us - fixed_us) / 1e3, products / (near_us - fixed_us) / 1e3);
  std::fflush(stdout);
}

}  // namespace

int main() {
#if defined(__x86_64__)
  const pare::Array factors = filled(4096, 1.0f);
  const float* x = factors.values<float>().data();
  if (__builtin_cpu_supports("fma"))
    std::printf("vectors of 8: %.1f products/ns from registers, %.1f with a third of the factors from the L1 cache, %.1f with all\n", products_a_ns<0>(x), products_a_ns<1>(x),
                products_a_ns<3>(x));
#endif
  std::printf("layer              pattern      zeros     fixed     real    in L1        real  in L1\n");
  for (const Layer& layer : kLayers)
    for (const int height : {1, 4})
      for (const double sparsity : {0.5, 0.8, 0.9, 0.95}) decompose(layer, height, sparsity);
  for (const Layer& layer : kLayers)
    for (const double sparsity : {0.85, 0.9}) decompose_int8(layer, sparsity);
}
