#pragma once
// Attention of a block of query rows of one head, all keys: softmax(q·kᵀ·scale + mask)·v. Scores stay in the cache; the
// streaming form (Dao et al. 2022) would save nothing here, a block's scores fit.

#include <cstdint>
#include <span>

namespace pare {

constexpr int64_t kKeyBlock = 16;

// How keys and values are kept; i8: whole numbers times a scale for each key.
enum class KeyValues : uint8_t { f32, f16, i8 };
constexpr int64_t key_value_bytes(KeyValues kept) {
  return kept == KeyValues::f32 ? 4 : kept == KeyValues::f16 ? 2 : 1;
}

// Rows lie `*_stride` elements apart; elements of a row side by side.
struct FloatAttention {
  const float *query = nullptr, *key = nullptr;
  // Instead of `key`: keys as columns, in blocks, [block][width][kKeyBlock], kept as `kept` says; `value` too.
  const void *key_columns = nullptr, *value = nullptr;
  KeyValues kept = KeyValues::f32;                             // others only with key_columns
  const float *key_scales = nullptr, *value_scales = nullptr;  // [keys], of i8
  const float* mask = nullptr;     // [rows][keys], rows mask_stride apart (0: one row for all), or null
  float* output = nullptr;         // [rows][value_width]
  int64_t query_stride = 0, key_stride = 0, value_stride = 0, mask_stride = 0, output_stride = 0;
  int64_t rows = 0, keys = 0, width = 0, value_width = 0;
  float scale = 1;
  float* scratch = nullptr;        // float_attention_scratch() floats, 64-byte aligned
};

// Floats of scratch that a call with at most so many rows needs; width 0 for keys that come as columns.
int64_t float_attention_scratch(int64_t rows, int64_t keys, int64_t width, int64_t value_width, int bits = 32);

struct FloatAttentionKernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  int bits;  // that are multiplied: 32 (float), 16 (queries, keys, values and weights rounded to bfloat16; neither columns nor kept values)
  void (*run)(const FloatAttention& job);
};

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const FloatAttentionKernel> float_attention_kernels();
const FloatAttentionKernel& best_float_attention_kernel();
const FloatAttentionKernel* best_brain_attention_kernel();  // of 16 bits; null: none runs here

}  // namespace pare
