#include "passes/solvers/weight_grid.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"

namespace pare {

BlockGrid::BlockGrid(const BlockFormat& format, int64_t rows, int64_t n, ScaleSearch search)
    : WeightGrid(rows, n, format.elements, format.part, format.levels(), format.offset_most > 0), format_(format), search_(search), bytes_(size_t(rows * n / format.elements * format.bytes)) {}

void BlockGrid::choose(int64_t row, int64_t first, const float* values, const float* importance) {
  const Block block = fit_block(format_, values, importance, search_);
  format_.pack(block, bytes_.data() + (row * n_ + first) / format_.elements * format_.bytes);
  for (int p = 0; p < format_.parts(); ++p) {
    const size_t at = scale_at(row, first + p * part_);
    step_[at] = block.d * float(block.scale[p]);
    if (!shift_.empty()) shift_[at] = block.shift * float(block.offset[p]);
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

void GroupGrid::choose(int64_t row, int64_t first, const float* values, const float* importance) {
  const auto count = size_t(std::min(part_, n_ - first));
  std::vector<float> alike;
  if (importance == nullptr) alike.assign(count, 1.f);
  const size_t at = scale_at(row, first);
  Line line = fit_line(range_, {values, count}, importance == nullptr ? alike.data() : importance, shift_.empty() ? Shift::none : Shift::any, search_);
  if (!(line.step > 0)) line = {std::abs(values[0]), 0};   // all alike: they are one step, or 0
  step_[at] = line.step > 0 ? line.step : 1;
  if (shift_.empty()) return;
  zero_[at] = int8_t(std::clamp(std::lrint(line.shift / step_[at]), long(range_.least), long(range_.most)));
  shift_[at] = step_[at] * float(zero_[at]);
}

void round_rows(WeightGrid& grid, const float* weights, std::span<const float> importance) {
  const int64_t n = grid.columns();
  parallel_for(grid.rows(), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r)
      for (int64_t c = 0; c < n; c += grid.stretch()) {
        grid.choose(r, c, weights + r * n + c, importance.empty() ? nullptr : importance.data() + c);
        grid.round_stretch(r, c, weights + r * n + c);
      }
  });
}

}  // namespace pare
