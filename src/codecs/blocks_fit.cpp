// Scales, offsets and levels of a block: a line for each part (line_fit.h), then numbers beneath a common scale where the type
// has them, their neighbours tried too, then the common scales again for these. Judged by Σ weight·(value − decoded)².
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/float16.h"
#include "codecs/blocks.h"

namespace pare {
namespace {

constexpr int kMost = Block::kMostElements;

// One part: `count` values that share a step.
struct Part {
  const float* values;
  const float* weights;
  int count;
  std::span<const float> span() const { return {values, size_t(count)}; }
};

double part_error(const Part& part, const int8_t* level, double step, double shift) {
  double error = 0;
  for (int i = 0; i < part.count; ++i) {
    const double miss = part.values[i] - (step * level[i] - shift);
    error += part.weights[i] * miss * miss;
  }
  return error;
}

// The common factor d of `wanted` ≈ d·number with whole numbers up to `most`, and these.
double common_factor(const double* wanted, const double* importance, int count, int least, int most, int* numbers) {
  int largest = 0;
  for (int p = 1; p < count; ++p)
    if (std::abs(wanted[p]) > std::abs(wanted[largest])) largest = p;
  std::fill(numbers, numbers + count, 0);
  if (wanted[largest] == 0) return 0;
  double best = std::numeric_limits<double>::infinity(), factor = 0;
  int trial[Block::kMostParts];
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

// Scale and offset numbers of a part next to the rounded ones: whichever decodes best. Returns its error.
double settle_part(const BlockFormat& format, const Part& part, Block& block, int p) {
  double best = std::numeric_limits<double>::infinity();
  const int scale = block.scale[p], offset = block.offset[p], reach = format.scale_most > 1 ? 1 : 0;
  const int offset_reach = format.offset_most > 1 ? 1 : 0;
  int8_t level[kMost], *kept = block.level + p * format.part;
  for (int s = std::max(scale - reach, format.scale_least); s <= std::min(scale + reach, format.scale_most); ++s)
    for (int o = std::max(offset - offset_reach, 0); o <= std::min(offset + offset_reach, std::max(format.offset_most, offset)); ++o) {
      const float step = block.d * float(s), shift = block.shift * float(o);
      round_levels(format.levels(), part.span(), step, shift, level);
      const double error = part_error(part, level, step, shift);
      if (error >= best) continue;
      best = error;
      block.scale[p] = s;
      block.offset[p] = o;
      std::copy_n(level, part.count, kept);
    }
  return best;
}

// d and shift that suit all parts' levels and numbers best, in turn.
void refine_factors(const BlockFormat& format, const float* values, const float* weights, Block& block) {
  double up = 0, down = 0, shift_up = 0, shift_down = 0;
  for (int i = 0; i < format.elements; ++i) {
    const int p = i / format.part;
    const double unit = double(block.scale[p]) * block.level[i], base = double(block.shift) * block.offset[p];
    up += weights[i] * unit * (values[i] + base);
    down += weights[i] * unit * unit;
  }
  if (down > 0) block.d = half_of(up / down);
  if (format.offset_most == 0) return;
  for (int i = 0; i < format.elements; ++i) {
    const int p = i / format.part;
    const double rest = double(block.d) * block.scale[p] * block.level[i] - values[i];
    shift_up += weights[i] * block.offset[p] * rest;
    shift_down += weights[i] * double(block.offset[p]) * block.offset[p];
  }
  if (shift_down > 0 && (format.offset_most == 1 || shift_up > 0)) block.shift = half_of(shift_up / shift_down);
}

void set_factors(const BlockFormat& format, const Line* lines, const double* importance, Block& block) {
  if (format.scale_most == 1) {
    block.d = half_of(lines[0].step);
    block.scale[0] = block.offset[0] = 1;
    block.shift = half_of(lines[0].shift);
    return;
  }
  double steps[Block::kMostParts], shifts[Block::kMostParts];
  for (int p = 0; p < format.parts(); ++p) {
    steps[p] = lines[p].step;
    shifts[p] = lines[p].shift;
  }
  block.d = half_of(common_factor(steps, importance, format.parts(), format.scale_least, format.scale_most, block.scale));
  if (format.offset_most > 0) block.shift = half_of(common_factor(shifts, importance, format.parts(), 0, format.offset_most, block.offset));
}

}  // namespace

void block_values(const BlockFormat& format, const Block& block, float* values) {
  for (int i = 0; i < format.elements; ++i) {
    const int p = i / format.part;
    const float step = block.d * float(block.scale[p]);
    values[i] = format.offset_most == 0 ? step * float(block.level[i]) : step * float(block.level[i]) - block.shift * float(block.offset[p]);
  }
}

Block fit_block(const BlockFormat& format, const float* values, const float* weights, ScaleSearch search) {
  float alike[kMost];
  if (weights == nullptr) {
    std::fill(alike, alike + format.elements, 1.f);
    weights = alike;
  }
  Line lines[Block::kMostParts];
  double importance[Block::kMostParts];
  for (int p = 0; p < format.parts(); ++p) {
    const Part part{values + p * format.part, weights + p * format.part, format.part};
    lines[p] = fit_line(format.levels(), part.span(), part.weights, format.shift_kind(), search);
    importance[p] = 0;
    for (int i = 0; i < part.count; ++i) importance[p] += part.weights[i];
    if (lines[p].error == std::numeric_limits<double>::infinity()) lines[p] = {0, 0, 0};
  }
  Block block, best;
  set_factors(format, lines, importance, block);
  double least = std::numeric_limits<double>::infinity();
  for (int round = 0; round < 3; ++round) {
    double error = 0;
    for (int p = 0; p < format.parts(); ++p) error += settle_part(format, {values + p * format.part, weights + p * format.part, format.part}, block, p);
    if (error >= least) break;
    least = error;
    best = block;
    refine_factors(format, values, weights, block);
  }
  return best;
}

}  // namespace pare
