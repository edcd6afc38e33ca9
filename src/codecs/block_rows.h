#pragma once
// Reading and writing the fields of packed blocks: only for the files that define block formats.
#include <cstring>

#include "base/float16.h"
#include "codecs/blocks.h"

namespace pare {

inline float half_at(const uint8_t* bytes) {
  Half half;
  std::memcpy(&half.bits, bytes, 2);
  return to_float(half);
}

inline void put_half(uint8_t* bytes, float value) {
  const Half half = to_half(value);
  std::memcpy(bytes, &half.bits, 2);
}

Array decode_blocks(const Tensor& tensor);
std::string block_problem(const Tensor& tensor);
double block_bits(const Tensor& tensor);
int unfold_blocks(Graph& graph, const Tensor& tensor, const std::string& name);
TensorPtr fold_blocks(const Graph& graph, const Node& node);

template <const Codec* codec>
Tensor encode_nearest(const Array& values, int, int64_t) {
  return encode_blocks(*codec, values);
}

}  // namespace pare

// A codec of blocks: name, summary, layout, and the fields of its BlockFormat.
#define BLOCK_CODEC(name, summary, layout, ...)                                                                     \
  static constexpr BlockFormat block_##name{__VA_ARGS__};                                                           \
  constinit const Codec codec_##name{#name, summary, layout, "blocks lie along the last axis", decode_blocks, encode_nearest<&codec_##name>, \
                                     block_bits, unfold_blocks, fold_blocks, &block_##name};                        \
  std::string problem_##name(const Tensor& tensor) { return block_problem(tensor); }
