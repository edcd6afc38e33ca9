// Scales, offsets and levels of blocks, those of 16 rows side by side: a line for each part (line_fit.h), then numbers beneath a common scale where
// the type has them, their neighbours tried too, then the common scales again for these. Judged by Σ weight·(value − decoded)².
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/float16.h"
#include "codecs/blocks.h"

namespace pare {
namespace {

constexpr int kMostParts = BlockScales::kMostParts, kMostTrials = 9;

// The common factor d of `wanted` ≈ d·number with whole numbers up to `most`, and these.
double common_factor(const double* wanted, const double* importance, int count, int least, int most, int* numbers) {
  int largest = 0;
  for (int p = 1; p < count; ++p)
    if (std::abs(wanted[p]) > std::abs(wanted[largest])) largest = p;
  std::fill(numbers, numbers + count, 0);
  if (wanted[largest] == 0) return 0;
  double best = std::numeric_limits<double>::infinity(), factor = 0;
  int trial[kMostParts];
  const bool both = least < 0;
  for (int k = -4; k <= 4; ++k) {
    const double edge = (both ? least : most) + (both ? -0.2 : 0.2) * k;
    double d = wanted[largest] / edge, up = 0, down = 0, error = 0;
    for (int p = 0; p < count; ++p) {
      trial[p] = int(std::lrint(std::clamp(wanted[p] / d, double(least), double(most))));
      up += importance[p] * trial[p] * wanted[p];
      down += importance[p] * trial[p] * trial[p];
    }
    if (down == 0) continue;
    d = up / down;
    for (int p = 0; p < count; ++p) error += importance[p] * (wanted[p] - d * trial[p]) * (wanted[p] - d * trial[p]);
    if (error >= best) continue;
    best = error;
    factor = d;
    std::copy_n(trial, count, numbers);
  }
  return factor;
}

float half_of(double value) { return to_float(to_half(float(value))); }

// The scales of the blocks that begin 16 rows; rows that are left over repeat the last.
class BlockFit {
 public:
  BlockFit(const BlockFormat& format, const float* values, int64_t pitch, int rows, const float* weights) : format_(format), weights_(weights) {
    best_scale_search_kernel().lay_side_by_side(values, pitch, rows, format.elements, values_);
    for (int p = 0; p < format.parts(); ++p) {
      importance_[p] = weights == nullptr ? format.part : 0;
      for (int i = 0; i < format.part && weights != nullptr; ++i) importance_[p] += weights[p * format.part + i];
    }
  }

  const BlockScales* choose(ScaleSearch search) {
    set_factors(search);
    double least[kLines];
    std::fill(least, least + kLines, std::numeric_limits<double>::infinity());
    bool done[kLines] = {};  // a row's result does not depend on those beside it
    for (int round = 0; round < 3 && !std::all_of(done, done + kLines, [](bool d) { return d; }); ++round) {
      double error[kLines] = {};
      for (int p = 0; p < format_.parts(); ++p) {
        settle_part(p);
        for (int l = 0; l < kLines; ++l) error[l] += sums_[p].ee[l];
      }
      for (int l = 0; l < kLines; ++l) {
        done[l] = done[l] || !(error[l] < least[l]);
        if (done[l]) continue;
        least[l] = error[l];
        best_[l] = now_[l];
        refine_factors(l);
      }
    }
    return best_;
  }

 private:
  LineSet part(int p) const { return {format_.levels(), values_ + p * format_.part, weights_ == nullptr ? nullptr : weights_ + p * format_.part, format_.part}; }

  void set_factors(ScaleSearch search) {
    FittedLines lines[kMostParts];
    for (int p = 0; p < format_.parts(); ++p) lines[p] = fit_lines(part(p), format_.shift_kind(), search);
    for (int l = 0; l < kLines; ++l) {
      BlockScales& scales = now_[l];
      if (format_.scale_most == 1) {
        scales.d = half_of(lines[0].step[l]);
        scales.shift = half_of(lines[0].shift[l]);
        scales.scale[0] = scales.offset[0] = 1;
        continue;
      }
      double steps[kMostParts] = {}, shifts[kMostParts] = {};
      for (int p = 0; p < format_.parts(); ++p) {
        steps[p] = lines[p].step[l];
        shifts[p] = lines[p].shift[l];
      }
      scales.d = half_of(common_factor(steps, importance_, format_.parts(), format_.scale_least, format_.scale_most, scales.scale));
      if (format_.offset_most > 0) scales.shift = half_of(common_factor(shifts, importance_, format_.parts(), 0, format_.offset_most, scales.offset));
    }
  }

  // Scale and offset numbers of a part next to the rounded ones: whichever decode best.
  void settle_part(int p) {
    const int reach = format_.scale_most > 1 ? 1 : 0, offset_reach = format_.offset_most > 1 ? 1 : 0;
    int scale[kMostTrials][kLines], offset[kMostTrials][kLines], trials = 0;
    PerLine steps[kMostTrials], shifts[kMostTrials];
    for (int s = -reach; s <= reach; ++s)
      for (int o = -offset_reach; o <= offset_reach; ++o, ++trials)
        for (int l = 0; l < kLines; ++l) {
          scale[trials][l] = std::clamp(now_[l].scale[p] + s, format_.scale_least, format_.scale_most);
          offset[trials][l] = std::clamp(now_[l].offset[p] + o, 0, std::max(format_.offset_most, now_[l].offset[p]));
          steps[trials][l] = now_[l].d * float(scale[trials][l]);
          shifts[trials][l] = now_[l].shift * float(offset[trials][l]);
        }
    sums_[p] = best_scale_search_kernel().settle(part(p), steps, format_.offset_most > 0 ? shifts : nullptr, trials);
    for (int l = 0; l < kLines; ++l) {
      now_[l].scale[p] = scale[sums_[p].trial[l]][l];
      now_[l].offset[p] = offset[sums_[p].trial[l]][l];
    }
  }

  // d and shift that suit all parts' levels and numbers best, in turn.
  void refine_factors(int l) {
    BlockScales& scales = now_[l];
    double up = 0, down = 0, shift_up = 0, shift_down = 0;
    const float before = scales.d;
    for (int p = 0; p < format_.parts(); ++p) {
      const double scale = scales.scale[p], squares = sums_[p].ll[l];
      up += scale * (sums_[p].le[l] + before * scale * squares);   // Σ weight·scale·level·(value + shift), as e leaves it
      down += scale * scale * squares;
    }
    if (down > 0) scales.d = half_of(up / down);
    if (format_.offset_most == 0) return;
    for (int p = 0; p < format_.parts(); ++p) {
      const double offset = scales.offset[p], grown = (double(scales.d) - before) * scales.scale[p];
      shift_up += offset * (grown * sums_[p].l[l] - sums_[p].e[l] + double(scales.shift) * offset * importance_[p]);
      shift_down += offset * offset * importance_[p];
    }
    if (shift_down > 0 && (format_.offset_most == 1 || shift_up > 0)) scales.shift = half_of(shift_up / shift_down);
  }

  const BlockFormat& format_;
  const float* weights_;
  PerLine values_[Block::kMostElements];
  double importance_[kMostParts] = {};
  LineSums sums_[kMostParts];       // of the parts, under now_
  BlockScales now_[kLines], best_[kLines];
};

}  // namespace

void block_values(const BlockFormat& format, const Block& block, float* values) {
  for (int i = 0; i < format.elements; ++i) {
    const int p = i / format.part;
    const float step = block.d * float(block.scale[p]);
    values[i] = format.offset_most == 0 ? step * float(block.level[i]) : step * float(block.level[i]) - block.shift * float(block.offset[p]);
  }
}

void fit_blocks(const BlockFormat& format, const float* values, int64_t pitch, int rows, const float* weights, ScaleSearch search, Block* blocks) {
  BlockFit fit(format, values, pitch, rows, weights);
  const BlockScales* scales = fit.choose(search);
  for (int r = 0; r < rows; ++r) {
    static_cast<BlockScales&>(blocks[r]) = scales[r];
    for (int p = 0; p < format.parts(); ++p) {
      const float step = scales[r].d * float(scales[r].scale[p]), shift = scales[r].shift * float(scales[r].offset[p]);
      round_levels(format.levels(), {values + r * pitch + p * format.part, size_t(format.part)}, step, shift, blocks[r].level + p * format.part);
    }
  }
}

}  // namespace pare
