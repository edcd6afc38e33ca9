#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "codecs/codecs.h"
#include "codecs/line_fit.h"

namespace pare {

// Weights in blocks along the last axis, byte for byte as GGUF files hold them (ggml's quantized types).
// What a block says: element i of part p is  d·scale[p]·level[i] − shift·offset[p].  Types with one scale a block have one
// part of scale 1.
struct BlockScales {
  static constexpr int kMostParts = 16;
  float d = 0, shift = 0;                     // both stored as float16
  int scale[kMostParts] = {}, offset[kMostParts] = {};
};
struct Block : BlockScales {
  static constexpr int kMostElements = 256;
  int8_t level[kMostElements] = {};           // for types with a table: the table's entry
};

struct BlockFormat {
  const char* name;         // ggml's, "Q4_K"
  uint32_t ggml_type;       // its number in GGUF files
  int elements, bytes;      // of a block
  int part;                 // elements that share a scale
  int least, most;          // levels
  const int8_t* table;      // 16 levels that are not evenly spaced, ascending; null: every whole number from least to most
  int scale_least, scale_most;  // of scales beneath d; both 1: there are none
  int offset_most;          // of offsets; 0: the type has none; 1: one for the block, `shift` itself
  void (*unpack)(const uint8_t* bytes, Block& block);
  void (*pack)(const Block& block, uint8_t* bytes);
  int parts() const { return elements / part; }
  LevelRange levels() const { return {least, most, table}; }
  Shift shift_kind() const { return offset_most == 0 ? Shift::none : offset_most == 1 ? Shift::any : Shift::downward; }
};

// The floats of a block, rounded as ggml rounds them: bit for bit.
void block_values(const BlockFormat& format, const Block& block, float* values);

// Blocks whose scales `search` chooses, one for each of `rows` (at most kLines) rows that are `pitch` values apart. `weights` (importance of each
// element, not negative) may be null: all alike.
void fit_blocks(const BlockFormat& format, const float* values, int64_t pitch, int rows, const float* weights, ScaleSearch search, Block* blocks);

const Codec* find_block_codec(uint32_t ggml_type);   // null if it is none of ours

// For codecs with `blocks`: floats, stored as they may be, whose last extent is a multiple of the block; `importance`: empty, or one weight for every
// entry of the last axis. Throws Error where the extent does not fit.
Tensor encode_blocks(const Codec& codec, const Tensor& values, std::span<const float> importance = {}, ScaleSearch search = ScaleSearch::least_squares);
// A tensor of `dims` from its bytes. Throws Error where their number does not fit.
Tensor block_tensor(const Codec& codec, Dims dims, Array bytes);

}  // namespace pare
