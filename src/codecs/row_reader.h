#pragma once
#include <optional>
#include <vector>

#include "codecs/blocks.h"

namespace pare {

// Rows of a tensor along its first axis, one by one: floats, where it is stored in 8 or 16 bits or in blocks; else the elements as they are.
// The tensor's own bytes are read, wherever they lie.
class RowReader {
 public:
  // Null for codecs and extents whose rows do not stand for themselves.
  static std::optional<RowReader> of(const Tensor& tensor);
  int64_t rows() const { return rows_; }
  int64_t length() const { return length_; }   // elements of a row
  void copy_row(int64_t index, std::byte* to) const;
  // Memory that holds a file's bytes of these rows is free for others.
  void give_back(int64_t first, int64_t count) const { values_.give_back(size_t(first) * row_bytes(), size_t(count) * row_bytes()); }

 private:
  void copy_blocks(int64_t index, float* to) const;
  size_t row_bytes() const { return values_.size_bytes() / size_t(rows_); }
  Array values_;
  std::vector<float> scales_, zeros_;   // one for all, or one a row; no scales: elements are copied as they are
  int64_t rows_ = 0, length_ = 0;
  const BlockFormat* blocks_ = nullptr;
};

}  // namespace pare
