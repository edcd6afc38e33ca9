// The loops of every row, compiled once for each instruction set; included by those files only.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/float_linear/float_linear.h"
#include "kernels/float_linear/panels.h"
#include "kernels/float_functions.h"
#include "kernels/float_vectors.h"

namespace pare {
namespace {

#if defined(__AVX512F__)
constexpr int kMaxRows[] = {0, 16, 12, 8};  // sums + weights + one broadcast fit the registers
#else
constexpr int kMaxRows[] = {0, 8, 6, 4};
#endif
constexpr int64_t kBlockBytes = 96 * 1024;  // of rows that meet one panel after the other: they stay in the second cache

#if defined(__AVX512F__)
inline __mmask16 mask_of(int lanes) { return static_cast<__mmask16>((1u << lanes) - 1); }
#endif

__attribute__((noinline, unused)) Floats with_zeros_behind(Floats v, int lanes) {
  for (int l = lanes; l < kVector; ++l) v[l] = 0;
  return v;
}

// Plain floats.
struct Single {
  using Element = float;
  using Stored = float;    // of the weights in memory
  using Weights = Floats;  // and in registers
  static constexpr int kStep = 1;
  static constexpr FloatWeights kWeights = FloatWeights::f32;
  static Weights weights(const Stored* w) { return *reinterpret_cast<const Floats*>(w); }
  static Floats multiply_add(Floats sum, const Element* x, Weights w) { return sum + *x * w; }
  static Floats load(const Element* x, int lanes) {
#if defined(__AVX512F__)
    return (Floats)_mm512_maskz_loadu_ps(mask_of(lanes), x);
#else
    if (lanes == kVector) return *reinterpret_cast<const Floats*>(x);
    Floats v{};
    for (int l = 0; l < lanes; ++l) v[l] = x[l];
    return v;
#endif
  }
  static void store(Element* y, Floats v, int lanes) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(y, mask_of(lanes), (__m512)v);
#else
    if (lanes == kVector) *reinterpret_cast<Floats*>(y) = v;
    else
      for (int l = 0; l < lanes; ++l) y[l] = v[l];
#endif
  }
};

// Weights of 16 bits become floats in registers.
struct HalfWeights : Single {
  using Stored = uint16_t;
  static constexpr FloatWeights kWeights = FloatWeights::f16;
  static Weights weights(const Stored* w) { return floats_of_halves(w); }
};
struct BrainWeights : Single {
  using Stored = uint16_t;
  static constexpr FloatWeights kWeights = FloatWeights::bf16;
  static Weights weights(const Stored* w) { return floats_of_brains(w); }
};

// Some rows of a panel.
template <class Type>
struct Tile {
  const FloatLinear& job;
  const typename Type::Element* x;         // first row
  const typename Type::Stored* weights;    // of the panel
  const float* bias;
  std::byte* y;                            // first row, first vector
  const std::byte* residual;
  int last_lanes;                          // of the panel's last vector
};

template <class Type>
int64_t y_bytes(const FloatLinear& job) { return job.wide ? 4 : int64_t(sizeof(typename Type::Element)); }

// The columns behind the last one become zeros or are left alone.
template <class Type>
inline __attribute__((always_inline)) void store_result(const Tile<Type>& tile, Floats v, int64_t at, int lanes) {
  if (tile.job.whole && lanes < kVector) {
    v = with_zeros_behind(v, lanes);
    lanes = kVector;
  }
  if (Type::kStep > 1 && tile.job.wide) Single::store(reinterpret_cast<float*>(tile.y) + at, v, lanes);
  else Type::store(reinterpret_cast<typename Type::Element*>(tile.y) + at, v, lanes);
}

template <class Type>
inline __attribute__((always_inline)) Floats with_residual(const Tile<Type>& tile, Floats v, int64_t at, int lanes) {
  if (tile.residual == nullptr) return v;
  if (Type::kStep > 1 && tile.job.wide) return v + Single::load(reinterpret_cast<const float*>(tile.residual) + at, lanes);
  return v + Type::load(reinterpret_cast<const typename Type::Element*>(tile.residual) + at, lanes);
}

template <class Type, class Function>
inline __attribute__((always_inline)) void for_sums(const Tile<Type>& tile, const float* sums, int rows, int vectors, Function function) {
  for (int p = 0; p < rows; ++p)
    for (int v = 0; v < vectors; ++v, sums += kVector) {
      const int64_t at = p * tile.job.y_row + v * tile.job.y_block;
      const int lanes = v + 1 == vectors ? tile.last_lanes : kVector;
      store_result(tile, function(*reinterpret_cast<const Floats*>(sums), at, lanes), at, lanes);
    }
}

// Functions that cost more than a few instructions run over the sums in memory; the usual ones in a loop of their own,
// which keeps their constants in registers.
template <class Type>
__attribute__((noinline)) void finish_sums(const Tile<Type>& tile, const float* sums, int rows, int vectors) {
  constexpr bool kCoarse = Type::kStep > 1;
  const FloatFunction first = tile.job.first, last = tile.job.last;
  if (first.none() && last.kind == FloatFunction::swish && tile.residual == nullptr)
    for_sums(tile, sums, rows, vectors, [&](Floats v, int64_t, int) { return applied<FloatFunction::swish, kCoarse>(last, v); });
  else if (first.none() && last.kind == FloatFunction::gelu && tile.residual == nullptr)
    for_sums(tile, sums, rows, vectors, [&](Floats v, int64_t, int) { return applied<FloatFunction::gelu, kCoarse>(last, v); });
  else
    for_sums(tile, sums, rows, vectors, [&](Floats v, int64_t at, int lanes) { return applied<kCoarse>(last, with_residual(tile, applied<kCoarse>(first, v), at, lanes)); });
}

template <class Type, int Rows, int Vectors>
inline __attribute__((always_inline)) void add_products(const Tile<Type>& tile, Floats (&sums)[Rows][Vectors]) {
  const FloatLinear& job = tile.job;
  const typename Type::Stored* w = tile.weights;
  const int64_t row = job.x_row, row3 = 3 * row;
  for (int64_t begin = 0; begin < job.inner; begin += job.x_inner) {
    // A pointer for every fourth row saves general registers.
    const typename Type::Element* bases[(Rows + 3) / 4];
#pragma GCC unroll 4
    for (int i = 0; i < (Rows + 3) / 4; ++i) bases[i] = tile.x + begin / job.x_inner * job.x_block + 4 * i * row;
    const int64_t count = std::min(job.x_inner, job.inner - begin);
    for (int64_t k = 0; k < count; k += Type::kStep, w += Vectors * kVector * Type::kStep) {
      typename Type::Weights column[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) column[v] = Type::weights(w + v * kVector * Type::kStep);
#pragma GCC unroll 16
      for (int p = 0; p < Rows; ++p) {
        const typename Type::Element* x = bases[p / 4] + k + (p % 4 == 3 ? row3 : (p % 4) * row);
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sums[p][v] = Type::multiply_add(sums[p][v], x, column[v]);
      }
    }
  }
}

// A row alone reads each weight once, from memory: several sums a column, so that none waits for another, and what
// comes next is asked for early.
template <class Type, int Vectors>
inline __attribute__((always_inline)) void add_products_of_row(const Tile<Type>& tile, Floats (&sums)[1][Vectors]) {
  constexpr int kChains = 4;
  constexpr int64_t kAhead = 5 << 10;  // bytes: what memory delivers while it answers
  const FloatLinear& job = tile.job;
  const typename Type::Stored* w = tile.weights;
  Floats more[kChains][Vectors] = {};
  for (int64_t begin = 0; begin < job.inner; begin += job.x_inner) {
    const typename Type::Element* x = tile.x + begin / job.x_inner * job.x_block;
    const int64_t count = std::min(job.x_inner, job.inner - begin);
    const auto add = [&](int64_t k, Floats(&to)[Vectors]) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v)
        to[v] = Type::multiply_add(to[v], x + k, Type::weights(w + v * kVector * Type::kStep));
      w += Vectors * kVector * Type::kStep;
    };
    int64_t k = 0;
    for (; k + kChains * Type::kStep <= count; k += kChains * Type::kStep) {
      constexpr int64_t kBytes = kChains * Type::kStep * Vectors * kVector * int64_t(sizeof *w);
#pragma GCC unroll 8
      for (int64_t line = 0; line < kBytes; line += 64)
        __builtin_prefetch(reinterpret_cast<const std::byte*>(w) + kAhead + line);
#pragma GCC unroll 4
      for (int i = 0; i < kChains; ++i) add(k + i * Type::kStep, more[i]);
    }
    for (; k < count; k += Type::kStep) add(k, more[0]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) sums[0][v] += (more[0][v] + more[1][v]) + (more[2][v] + more[3][v]);
}

template <class Type, int Rows, int Vectors>
void run_tile(const Tile<Type>& tile) {
  const FloatLinear& job = tile.job;
  Floats sums[Rows][Vectors];
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    const Floats bias = tile.bias == nullptr ? Floats{} : *reinterpret_cast<const Floats*>(tile.bias + v * kVector);
#pragma GCC unroll 16
    for (int p = 0; p < Rows; ++p) sums[p][v] = bias;
  }
  if constexpr (Rows == 1)
    add_products_of_row<Type, Vectors>(tile, sums);
  else
    add_products<Type, Rows, Vectors>(tile, sums);
  if (job.first.none() && job.last.kind == FloatFunction::limits) {
#pragma GCC unroll 16
    for (int p = 0; p < Rows; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v)
      {
        const int64_t at = p * job.y_row + v * job.y_block;
        const int lanes = v + 1 == Vectors ? tile.last_lanes : kVector;
        store_result(tile, applied<FloatFunction::limits, false>(job.last, with_residual(tile, sums[p][v], at, lanes)), at, lanes);
      }
    return;
  }
  alignas(64) float memory[Rows * Vectors * kVector];
#pragma GCC unroll 16
  for (int p = 0; p < Rows; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) *reinterpret_cast<Floats*>(memory + (p * Vectors + v) * kVector) = sums[p][v];
  finish_sums(tile, memory, Rows, Vectors);
}

template <class Type, int Vectors, int... I>
void run_rows(const Tile<Type>& tile, int64_t rows, std::integer_sequence<int, I...>) {
  static constexpr void (*tiles[])(const Tile<Type>&) = {run_tile<Type, I + 1, Vectors>...};
  tiles[rows - 1](tile);
}

// Rows [first, last) of a panel, in tiles of nearly equal height.
template <class Type, int Vectors>
void run_panel(Tile<Type> tile, int64_t first, int64_t last) {
  const Tile<Type> origin = tile;
  const int64_t row_bytes = tile.job.y_row * y_bytes<Type>(tile.job), rows = last - first, tiles = (rows + kMaxRows[Vectors] - 1) / kMaxRows[Vectors];
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t begin = first + rows * i / tiles, end = first + rows * (i + 1) / tiles;
    tile.x = origin.x + begin * tile.job.x_row;
    tile.y = origin.y + begin * row_bytes;
    if (origin.residual != nullptr) tile.residual = origin.residual + begin * row_bytes;
    run_rows<Type, Vectors>(tile, end - begin, std::make_integer_sequence<int, kMaxRows[Vectors]>{});
  }
}

template <class Type>
void run_linear(const FloatLinear& job, int thread, int threads) {
  using Element = typename Type::Element;
  const LinearPanels panels((job.columns + kVector - 1) / kVector);
  // The larger of the two operands is parted, so that each thread's caches hold only its part of it.
  const bool by_columns = job.columns > job.rows && panels.count >= 2 * threads;
  const int64_t first_row = by_columns ? 0 : job.rows * thread / threads, last_row = by_columns ? job.rows : job.rows * (thread + 1) / threads;
  const int64_t first_panel = by_columns ? panels.count * thread / threads : 0, last_panel = by_columns ? panels.count * (thread + 1) / threads : panels.count;
  const int64_t block = std::max<int64_t>(kBlockBytes / int64_t(sizeof(Element)) / std::max<int64_t>(job.inner, 1) / 48 * 48, 48);
  for (int64_t row = first_row; row < last_row; row += block)
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
      const int64_t vector = panels.begin(panel), vectors = panels.begin(panel + 1) - vector;
      const int64_t columns = std::min(vectors * kVector, job.columns - vector * kVector);
      const Tile<Type> tile{job,
                            static_cast<const Element*>(job.x),
                            static_cast<const typename Type::Stored*>(job.weights) + vector * kVector * job.inner,
                            job.bias == nullptr ? nullptr : job.bias + vector * kVector,
                            static_cast<std::byte*>(job.y) + vector * job.y_block * y_bytes<Type>(job),
                            job.residual == nullptr ? nullptr
                                                    : static_cast<const std::byte*>(job.residual) +
                                                          vector * job.y_block * y_bytes<Type>(job),
                            int(columns - (vectors - 1) * kVector)};
      const int64_t last = std::min(row + block, last_row);
      if (vectors == 1) run_panel<Type, 1>(tile, row, last);
      else if (vectors == 2) run_panel<Type, 2>(tile, row, last);
      else run_panel<Type, 3>(tile, row, last);
    }
}

template <class Type>
constexpr FloatLinearKernel linear_row(const char* name, const char* isa, bool (*supported)()) {
  return {name, isa, supported, kVector, Type::kStep, 8 * int(sizeof(typename Type::Element)), Type::kWeights,
          run_linear<Type>};
}

}  // namespace
}  // namespace pare
