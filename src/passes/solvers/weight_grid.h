#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "codecs/blocks.h"

namespace pare {

// Rows of weights on their way to few bits. Solvers choose scales for a stretch of columns, then round weight after weight; a
// stretch is what the storage decides at once, and holds one or more parts of columns that share a step.
// Rows may be worked on by several threads.
class WeightGrid {
 public:
  virtual ~WeightGrid() = default;
  int64_t rows() const { return rows_; }
  int64_t columns() const { return n_; }
  int64_t stretch() const { return stretch_; }
  // The scales of `rows` rows' columns from `first`, a multiple of stretch(), on; rows of `values` are `pitch` apart. `importance` of each
  // column: null, all alike.
  void choose(int64_t row, int64_t rows, int64_t first, const float* values, int64_t pitch, const float* importance) {
    for (int64_t r = 0; r < rows; r += kLines) choose_lines(row + r, int(std::min<int64_t>(kLines, rows - r)), first, values + r * pitch, pitch, importance);
  }
  // The nearest value there is under the scales chosen; its level is kept.
  float round(int64_t row, int64_t col, float value) {
    const size_t at = scale_at(row, col);
    const float step = step_[at], shift = shift_.empty() ? 0 : shift_[at];
    const int level = step == 0 ? nearest_level(range_, 0) : nearest_level(range_, (value + shift) / step);
    level_[size_t(row * n_ + col)] = int8_t(level);
    return step * float(level) - shift;
  }
  // The nearest levels of a stretch's columns at once, by the step's reciprocal.
  void round_stretch(int64_t row, int64_t first, const float* values) {
    for (int64_t col = first, end = std::min(n_, first + stretch_); col < end;) {
      const size_t at = scale_at(row, col);
      const int64_t next = std::min(end, (col / part_ + 1) * part_);
      round_levels(range_, {values + (col - first), size_t(next - col)}, step_[at], shift_.empty() || step_[at] == 0 ? 0 : shift_[at], level_.data() + row * n_ + col);
      col = next;
    }
  }
  // Change of a value when its part's step grows by 1, under the level it has.
  virtual float unit(int64_t row, int64_t col) const { return float(level_[size_t(row * n_ + col)]); }
  // Takes another step for the part that holds `col`, as near as it can be stored; returns by how much it grew: 0 where steps
  // are not free.
  virtual float restep(int64_t row, int64_t col, float step) = 0;
  float step(int64_t row, int64_t col) const { return step_[scale_at(row, col)]; }
  int64_t part() const { return part_; }

 protected:
  WeightGrid(int64_t rows, int64_t n, int64_t stretch, int64_t part, const LevelRange& range, bool shifts)
      : rows_(rows), n_(n), stretch_(stretch), part_(part), parts_((n + part - 1) / part), range_(range), step_(size_t(rows * parts_)), shift_(shifts ? size_t(rows * parts_) : 0), level_(size_t(rows * n)) {}
  // choose() of at most kLines rows.
  virtual void choose_lines(int64_t row, int rows, int64_t first, const float* values, int64_t pitch, const float* importance) = 0;
  size_t scale_at(int64_t row, int64_t col) const { return size_t(row * parts_ + col / part_); }

  int64_t rows_, n_, stretch_, part_, parts_;
  LevelRange range_;
  std::vector<float> step_, shift_;
  std::vector<int8_t> level_;
};

// Blocks as GGUF files hold them.
class BlockGrid : public WeightGrid {
 public:
  // n: a multiple of the format's elements.
  BlockGrid(const BlockFormat& format, int64_t rows, int64_t n, ScaleSearch search);
  float restep(int64_t row, int64_t col, float step) override;
  Array bytes() const;   // of all blocks, with the levels rounded to

 private:
  void choose_lines(int64_t row, int rows, int64_t first, const float* values, int64_t pitch, const float* importance) override;
  const BlockFormat& format_;
  ScaleSearch search_;
  std::vector<uint8_t> bytes_;
};

// Whole numbers with a float scale a group of columns (the last may be shorter), and a whole zero point if they are `shifted`:
// ONNX's DequantizeLinear.
class GroupGrid : public WeightGrid {
 public:
  GroupGrid(int bits, bool shifted, int64_t rows, int64_t n, int64_t group, ScaleSearch search);
  float unit(int64_t row, int64_t col) const override { return float(level(row, col) - zero(row, col / part_)); }
  float restep(int64_t row, int64_t col, float step) override;
  int64_t parts() const { return parts_; }
  int8_t level(int64_t row, int64_t col) const { return level_[size_t(row * n_ + col)]; }
  float scale(int64_t row, int64_t part) const { return step_[size_t(row * parts_ + part)]; }
  int8_t zero(int64_t row, int64_t part) const { return shift_.empty() ? int8_t(0) : zero_[size_t(row * parts_ + part)]; }

 private:
  void choose_lines(int64_t row, int rows, int64_t first, const float* values, int64_t pitch, const float* importance) override;
  ScaleSearch search_;
  std::vector<int8_t> zero_;
};

// The scales of all rows. `importance`: of each column, or null.
void choose_rows(WeightGrid& grid, const float* weights, const float* importance);
// All rows, each weight by itself: scales chosen, then nearest. `importance`: of each column, or empty.
void round_rows(WeightGrid& grid, const float* weights, std::span<const float> importance);

}  // namespace pare
