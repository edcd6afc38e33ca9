#include "codecs/nbits.h"

#include <algorithm>

#include "codecs/codecs.h"
#include "graph/nbits.h"

namespace pare {
namespace {

int64_t blocks_of(const NBitsMatrix& matrix) { return (matrix.rows + matrix.block - 1) / matrix.block; }
int64_t half(int64_t bits) { return int64_t(1) << (bits - 1); }

// Element i of integers packed from the low bits on.
void put(uint8_t* bytes, int64_t i, int64_t bits, int64_t value) { bytes[i * bits / 8] |= uint8_t(value << (i * bits % 8)); }

bool sound_sizes(const NBitsMatrix& matrix) { return matrix.bits != 2 && sound_n_bits(matrix.rows, matrix.columns, matrix.bits, matrix.block); }  // no codec holds 2 bits without sign

}  // namespace

std::optional<NBitsMatrix> n_bits_matrix(const Tensor& weight, bool transposed) {
  const bool four = weight.codec == &codec_int4 || weight.codec == &codec_uint4, is_signed = weight.codec == &codec_int4 || weight.codec == &codec_int8;
  if (!four && weight.codec != &codec_int8 && weight.codec != &codec_uint8) return std::nullopt;
  if (weight.dims.size() != 2 || weight.group == 0 || weight.axis != (transposed ? 1 : 0) || weight.parts[1].count() == 1) return std::nullopt;
  NBitsMatrix matrix{weight.dims[transposed ? 1 : 0], weight.dims[transposed ? 0 : 1], four ? 4 : 8, weight.group, {}, {}, {}};
  // A block that reaches far beyond the inputs would be filled up to many times the weight.
  if (!sound_sizes(matrix) || (matrix.block > 16 && matrix.block / 2 >= matrix.rows)) return std::nullopt;
  const int64_t blocks = blocks_of(matrix), blob = packed_bytes(matrix.block, matrix.bits), row_of_zeros = packed_bytes(blocks, matrix.bits);
  const int64_t shift = is_signed ? half(matrix.bits) : 0;
  const Array wide = weight.parts[0].aligned().cast(Type::i32);
  const auto q = wide.values<int32_t>();
  const std::vector<float> scale = weight.parts[1].to_floats();
  const bool with_zeros = weight.parts.size() > 2 || !is_signed;
  std::vector<int64_t> zero(scale.size(), 0);
  if (weight.parts.size() > 2) zero = weight.parts[2].to_integers();
  matrix.bytes = Array(Type::u8, {matrix.columns, blocks, blob});
  matrix.scales = Array(Type::f32, {matrix.columns * blocks});
  if (with_zeros) matrix.zeros = Array(Type::u8, {matrix.columns * row_of_zeros});
  uint8_t *bytes = matrix.bytes.mutable_values<uint8_t>().data(), *zeros = with_zeros ? matrix.zeros.mutable_values<uint8_t>().data() : nullptr;
  float* scales = matrix.scales.mutable_values<float>().data();
  for (int64_t n = 0; n < matrix.columns; ++n)
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t from = transposed ? n * blocks + b : b * matrix.columns + n, first = b * matrix.block;
      scales[n * blocks + b] = scale[size_t(from)];
      if (with_zeros) put(zeros + n * row_of_zeros, b, matrix.bits, zero[size_t(from)] + shift);
      for (int64_t k = first; k < first + matrix.block; ++k) {  // what fills up is zero
        const int64_t value = k < matrix.rows ? q[size_t(transposed ? n * matrix.rows + k : k * matrix.columns + n)] : zero[size_t(from)];
        put(bytes + (n * blocks + b) * blob, k - first, matrix.bits, value + shift);
      }
    }
  return matrix;
}

std::optional<Tensor> tensor_of_n_bits(const NBitsMatrix& matrix) {
  if (!sound_sizes(matrix) || matrix.bytes.type() != Type::u8 || matrix.scales.type() != Type::f32) return std::nullopt;
  const int64_t blocks = blocks_of(matrix), blob = packed_bytes(matrix.block, matrix.bits), row_of_zeros = packed_bytes(blocks, matrix.bits);
  const bool with_zeros = !matrix.zeros.empty();
  if (matrix.bytes.count() != matrix.columns * blocks * blob || matrix.scales.count() != matrix.columns * blocks) return std::nullopt;
  if (with_zeros && (matrix.zeros.type() != Type::u8 || matrix.zeros.count() != matrix.columns * row_of_zeros)) return std::nullopt;
  const int64_t shift = with_zeros ? 0 : half(matrix.bits);
  const Array scales = matrix.scales.aligned();
  const uint8_t *bytes = matrix.bytes.values<uint8_t>().data(), *zeros = with_zeros ? matrix.zeros.values<uint8_t>().data() : nullptr;
  const float* scale = scales.values<float>().data();
  Array values(Type::i32, {matrix.rows, matrix.columns}), steps(Type::f32, {blocks, matrix.columns}), offsets(Type::i32, {blocks, matrix.columns});
  auto q = values.mutable_values<int32_t>(), z = offsets.mutable_values<int32_t>();
  auto s = steps.mutable_values<float>();
  for (int64_t n = 0; n < matrix.columns; ++n) {
    for (int64_t b = 0; b < blocks; ++b) {
      s[size_t(b * matrix.columns + n)] = scale[n * blocks + b];
      if (with_zeros) z[size_t(b * matrix.columns + n)] = int32_t(packed_at(zeros + n * row_of_zeros, b, matrix.bits));
    }
    for (int64_t k = 0; k < matrix.rows; ++k)
      q[size_t(k * matrix.columns + n)] = int32_t(packed_at(bytes + (n * blocks + k / matrix.block) * blob, k % matrix.block, matrix.bits) - shift);
  }
  const Type type = matrix.bits == 4 ? with_zeros ? Type::u4 : Type::i4 : with_zeros ? Type::u8 : Type::i8;
  return affine_tensor(values.cast(type), steps, with_zeros ? offsets.cast(type) : Array(), 0, matrix.block);
}

}  // namespace pare
