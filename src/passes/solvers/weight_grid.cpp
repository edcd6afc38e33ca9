#include "passes/solvers/weight_grid.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"

namespace pare {

BlockGrid::BlockGrid(const BlockFormat& format, int64_t rows, int64_t n, ScaleSearch search)
    : WeightGrid(rows, n, format.elements, format.part, format.levels(), format.offset_most > 0), format_(format), search_(search), bytes_(size_t(rows * n / format.elements * format.bytes)) {}

void BlockGrid::choose_lines(int64_t row, int rows, int64_t first, const float* values, int64_t pitch, const float* importance) {
  Block blocks[kLines];
  fit_blocks(format_, values, pitch, rows, importance, search_, blocks);
  for (int r = 0; r < rows; ++r) {
    format_.pack(blocks[r], bytes_.data() + ((row + r) * n_ + first) / format_.elements * format_.bytes);
    for (int p = 0; p < format_.parts(); ++p) {
      const size_t at = scale_at(row + r, first + p * part_);
      step_[at] = blocks[r].d * float(blocks[r].scale[p]);
      if (!shift_.empty()) shift_[at] = blocks[r].shift * float(blocks[r].offset[p]);
    }
  }
}

float BlockGrid::restep(int64_t row, int64_t col, float step) {
  if (format_.scale_most != 1) return 0;   // steps of parts follow from the block's
  uint8_t* bytes = bytes_.data() + (row * n_ + col) / format_.elements * format_.bytes;
  Block block;
  format_.unpack(bytes, block);
  block.d = step;
  format_.pack(block, bytes);
  format_.unpack(bytes, block);
  float& kept = step_[scale_at(row, col)];
  const float grown = block.d - kept;
  kept = block.d;
  return grown;
}

float GroupGrid::restep(int64_t row, int64_t col, float step) {
  const size_t at = scale_at(row, col);
  if (!(step > 0)) return 0;
  const float grown = step - step_[at];
  step_[at] = step;
  if (!shift_.empty()) shift_[at] = step * float(zero_[at]);
  return grown;
}

Array BlockGrid::bytes() const {
  Array packed(Type::u8, {int64_t(bytes_.size())});
  auto* to = reinterpret_cast<uint8_t*>(packed.mutable_bytes());
  parallel_for(rows_ * n_ / format_.elements, [&](int64_t first, int64_t last) {
    Block block;
    for (int64_t i = first; i < last; ++i) {
      format_.unpack(bytes_.data() + i * format_.bytes, block);
      std::copy_n(level_.begin() + i * format_.elements, format_.elements, block.level);
      format_.pack(block, to + i * format_.bytes);
    }
  });
  return packed;
}

GroupGrid::GroupGrid(int bits, bool shifted, int64_t rows, int64_t n, int64_t group, ScaleSearch search)
    : WeightGrid(rows, n, group, group, {-(1 << (bits - 1)), (1 << (bits - 1)) - 1, nullptr, true}, shifted), search_(search), zero_(shift_.size()) {}

void GroupGrid::choose_lines(int64_t row, int rows, int64_t first, const float* values, int64_t pitch, const float* importance) {
  const int64_t count = std::min(part_, n_ - first);
  const std::unique_ptr<PerLine[]> side_by_side(new PerLine[size_t(count)]);
  best_scale_search_kernel().lay_side_by_side(values, pitch, rows, count, side_by_side.get());
  const FittedLines lines = fit_lines({range_, side_by_side.get(), importance, count}, shift_.empty() ? Shift::none : Shift::any, search_);
  for (int r = 0; r < rows; ++r) {
    const size_t at = scale_at(row + r, first);
    float step = lines.step[r], shift = lines.shift[r];
    if (!(step > 0)) {   // all alike: they are one step, or 0
      step = std::abs(values[r * pitch]);
      shift = 0;
    }
    step_[at] = step > 0 ? step : 1;
    if (shift_.empty()) continue;
    zero_[at] = int8_t(std::clamp(std::lrint(shift / step_[at]), long(range_.least), long(range_.most)));
    shift_[at] = step_[at] * float(zero_[at]);
  }
}

void choose_rows(WeightGrid& grid, const float* weights, const float* importance) {
  const int64_t n = grid.columns();
  parallel_for(grid.rows(), [&](int64_t first, int64_t last) {
    for (int64_t c = 0; c < n; c += grid.stretch()) grid.choose(first, last - first, c, weights + first * n + c, n, importance == nullptr ? nullptr : importance + c);
  });
}

void round_rows(WeightGrid& grid, const float* weights, std::span<const float> importance) {
  choose_rows(grid, weights, importance.empty() ? nullptr : importance.data());
  const int64_t n = grid.columns();
  parallel_for(grid.rows(), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r)
      for (int64_t c = 0; c < n; c += grid.stretch()) grid.round_stretch(r, c, weights + r * n + c);
  });
}

}  // namespace pare
