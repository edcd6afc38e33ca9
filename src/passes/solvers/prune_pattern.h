#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace pare {

// How the weights of a layer lie as a matrix, an output a row. `run`: columns side by side that belong to one tap of the
// kernel, its input channels; `group_rows`: rows that read the same inputs (grouped convolutions: those of one group).
// Blocks and N:M groups never leave a run nor a group of rows.
struct MatrixShape {
  int64_t rows = 0, cols = 0, run = 0, group_rows = 0;
  int64_t count() const { return rows * cols; }
  bool operator==(const MatrixShape&) const = default;
};

// Which weights are pruned together. Unstructured: blocks of one weight.
struct PrunePattern {
  int64_t keep = 0, of = 0;                  // N:M: of every `of` inputs of an output, `keep` stay; of = 0: not this kind
  int64_t block_rows = 1, block_cols = 1;    // otherwise: outputs and inputs of a block
  bool fixed() const { return of != 0; }     // the pattern itself says how many weights go
  bool operator==(const PrunePattern&) const = default;
};
// "unstructured", "2:4", "16x4"; throws UsageError (`where`) for anything else.
PrunePattern parse_pattern(const std::string& text, const std::string& where);

// What is pruned or kept as one: a block of the pattern, at the edge of a run or group a part of one.
struct PruneUnit {
  float score = 0;                           // mean over its weights: the loss of a weight
  int32_t row = 0, col = 0, rows = 1, cols = 1;
  int64_t count() const { return int64_t(rows) * cols; }
};
// The units of a matrix in row order; `scores` (row major, not negative): what it costs to lose each weight. Not for N:M.
std::vector<PruneUnit> prune_units(std::span<const float> scores, const MatrixShape& shape, const PrunePattern& pattern);

// Whether each weight is kept (1) or pruned (0): the `count` weights of least score, in units of the pattern (with
// blocks the number comes as near as whole blocks permit). `by_rows`: every row, or row of blocks, loses the same share.
// N:M: `count` is not used; in a rest of r < M columns the ceiling of N·r/M stays. Of equal scores the first goes first.
std::vector<uint8_t> prune_mask(std::span<const float> scores, const MatrixShape& shape, const PrunePattern& pattern, int64_t count, bool by_rows);

// Of these units the least, until `count` weights are as nearly reached as whole units permit: 0 in `mask` (`cols` elements
// a row). Returns how many weights went.
int64_t prune_least(std::span<const PruneUnit> units, int64_t count, int64_t cols, std::vector<uint8_t>& mask);

// Weights that an N:M pattern prunes.
int64_t fixed_count(const MatrixShape& shape, const PrunePattern& pattern);

}  // namespace pare
