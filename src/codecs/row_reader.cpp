// Rows from the bytes of a file or a tensor, without the others.
#include "codecs/row_reader.h"

#include <cstring>

#include "base/float16.h"

namespace pare {
namespace {

// The file's bytes need not be aligned.
template <class Stored>
void expand_16(const std::byte* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) {
    Stored value;
    std::memcpy(&value, from + i * int64_t(sizeof value), sizeof value);
    to[i] = to_float(value);
  }
}

}  // namespace

std::optional<RowReader> RowReader::of(const Tensor& tensor) {
  RowReader reader;
  if (tensor.dims.empty() || tensor.dims[0] == 0) return std::nullopt;
  reader.rows_ = tensor.dims[0];
  reader.length_ = tensor.count() / reader.rows_;
  reader.values_ = tensor.parts[0];
  if (tensor.plain()) return type_bits(tensor.type) % 8 == 0 && tensor.type != Type::string ? std::optional(reader) : std::nullopt;
  reader.blocks_ = tensor.codec->blocks;
  if (reader.blocks_ != nullptr) return tensor.dims.size() == 2 ? std::optional(reader) : std::nullopt;
  const Type type = reader.values_.type();
  if (type == Type::bf16 || type == Type::f16) {
    reader.scales_ = {1};
    return reader;
  }
  if ((type != Type::i8 && type != Type::u8) || tensor.parts.size() < 2 || tensor.group != 0) return std::nullopt;
  reader.scales_ = tensor.parts[1].to_floats();
  if (tensor.parts.size() > 2) reader.zeros_ = tensor.parts[2].to_floats();
  const bool by_row = tensor.axis == 0 && int64_t(reader.scales_.size()) == reader.rows_;
  return by_row || reader.scales_.size() == 1 ? std::optional(reader) : std::nullopt;
}

void RowReader::copy_row(int64_t index, std::byte* to) const {
  const std::byte* from = values_.bytes() + size_t(index) * row_bytes();
  auto* y = reinterpret_cast<float*>(to);
  if (blocks_ != nullptr) {
    copy_blocks(index, y);
  } else if (scales_.empty()) {
    std::memcpy(to, from, row_bytes());
  } else if (values_.type() == Type::bf16) {
    expand_16<BFloat16>(from, length_, y);
  } else if (values_.type() == Type::f16) {
    expand_16<Half>(from, length_, y);
  } else {
    const float scale = scales_[scales_.size() == 1 ? 0 : size_t(index)], zero = zeros_.empty() ? 0 : zeros_[zeros_.size() == 1 ? 0 : size_t(index)];
    const auto expand = [&](const auto* x) {
      for (int64_t i = 0; i < length_; ++i) y[i] = (float(x[i]) - zero) * scale;
    };
    if (values_.type() == Type::i8) expand(reinterpret_cast<const int8_t*>(from));
    else expand(reinterpret_cast<const uint8_t*>(from));
  }
}

void RowReader::copy_blocks(int64_t index, float* to) const {
  const int64_t count = length_ / blocks_->elements;
  const auto* from = reinterpret_cast<const uint8_t*>(values_.bytes()) + size_t(index) * row_bytes();
  Block block;
  for (int64_t b = 0; b < count; ++b) {
    blocks_->unpack(from + b * blocks_->bytes, block);
    block_values(*blocks_, block, to + b * blocks_->elements);
  }
}

}  // namespace pare
