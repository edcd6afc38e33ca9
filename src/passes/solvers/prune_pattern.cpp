// Masks of a weight matrix: which weights of the least score go, under a pattern. No graph, no statistics.
#include "passes/solvers/prune_pattern.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "base/error.h"

namespace pare {
namespace {

// "16x4" → {16, 4}; false where there are not two numbers with this sign between them.
bool two_numbers(const std::string& text, char sign, int64_t* first, int64_t* second) {
  const size_t at = text.find(sign);
  if (at == std::string::npos) return false;
  const char *begin = text.data(), *end = begin + text.size();
  const auto a = std::from_chars(begin, begin + at, *first), b = std::from_chars(begin + at + 1, end, *second);
  return a.ec == std::errc() && a.ptr == begin + at && b.ec == std::errc() && b.ptr == end;
}

int64_t kept_of(const PrunePattern& pattern, int64_t columns) { return (pattern.keep * columns + pattern.of - 1) / pattern.of; }

// Indices of the `count` first in the order of (score, index).
template <class Score>
std::vector<int64_t> least(int64_t size, int64_t count, Score score) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](int64_t a, int64_t b) { return score(a) != score(b) ? score(a) < score(b) : a < b; };
  if (count < size) std::nth_element(order.begin(), order.begin() + count, order.end(), before);
  order.resize(size_t(std::min(count, size)));
  return order;
}

void prune_unit(const PruneUnit& unit, int64_t cols, std::vector<uint8_t>& mask) {
  for (int64_t r = unit.row; r < unit.row + unit.rows; ++r) std::fill_n(mask.begin() + r * cols + unit.col, unit.cols, uint8_t(0));
}

void prune_fixed(std::span<const float> scores, const MatrixShape& shape, const PrunePattern& pattern, std::vector<uint8_t>& mask) {
  for (int64_t row = 0; row < shape.rows; ++row)
    for (int64_t run = 0; run < shape.cols; run += shape.run)
      for (int64_t first = 0; first < shape.run; first += pattern.of) {
        const int64_t columns = std::min(pattern.of, shape.run - first), at = row * shape.cols + run + first;
        for (int64_t i : least(columns, columns - kept_of(pattern, columns), [&](int64_t k) { return scores[size_t(at + k)]; })) mask[size_t(at + i)] = 0;
      }
}

}  // namespace

PrunePattern parse_pattern(const std::string& text, const std::string& where) {
  PrunePattern pattern;
  if (text == "unstructured") return pattern;
  constexpr int64_t most = 1024;
  int64_t a = 0, b = 0;
  if (two_numbers(text, ':', &a, &b) && a >= 1 && a < b && b <= most) {
    pattern.keep = a;
    pattern.of = b;
    return pattern;
  }
  if (two_numbers(text, 'x', &a, &b) && a >= 1 && b >= 1 && a <= most && b <= most) {
    pattern.block_rows = a;
    pattern.block_cols = b;
    return pattern;
  }
  throw UsageError(where, "pattern=" + text + " is no pattern",
                   "unstructured, N:M (2:4 keeps 2 weights of every 4 inputs, N < M <= 1024), or blocks of outputs x inputs (4x1, 16x4, 32x4)");
}

std::vector<PruneUnit> prune_units(std::span<const float> scores, const MatrixShape& shape, const PrunePattern& pattern) {
  std::vector<PruneUnit> units;
  for (int64_t group = 0; group < shape.rows; group += shape.group_rows)
    for (int64_t row = group; row < group + shape.group_rows; row += pattern.block_rows) {
      const int64_t rows = std::min(pattern.block_rows, group + shape.group_rows - row);
      for (int64_t run = 0; run < shape.cols; run += shape.run)
        for (int64_t col = run; col < run + shape.run; col += pattern.block_cols) {
          const int64_t cols = std::min(pattern.block_cols, run + shape.run - col);
          double sum = 0;
          for (int64_t r = row; r < row + rows; ++r)
            for (int64_t c = col; c < col + cols; ++c) sum += scores[size_t(r * shape.cols + c)];
          units.push_back({float(sum / double(rows * cols)), int32_t(row), int32_t(col), int32_t(rows), int32_t(cols)});
        }
    }
  return units;
}

int64_t prune_least(std::span<const PruneUnit> units, int64_t count, int64_t cols, std::vector<uint8_t>& mask) {
  const bool single = std::all_of(units.begin(), units.end(), [](const PruneUnit& u) { return u.count() == 1; });
  std::vector<int64_t> order = least(int64_t(units.size()), single ? count : int64_t(units.size()), [&](int64_t i) { return units[size_t(i)].score; });
  if (!single) std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return units[size_t(a)].score != units[size_t(b)].score ? units[size_t(a)].score < units[size_t(b)].score : a < b; });
  int64_t pruned = 0;
  for (int64_t i : order) {
    const PruneUnit& unit = units[size_t(i)];
    if (2 * (count - pruned) < unit.count()) break;
    prune_unit(unit, cols, mask);
    pruned += unit.count();
  }
  return pruned;
}

std::vector<uint8_t> prune_mask(std::span<const float> scores, const MatrixShape& shape, const PrunePattern& pattern, int64_t count, bool by_rows) {
  std::vector<uint8_t> mask(size_t(shape.count()), 1);
  if (pattern.fixed()) {
    prune_fixed(scores, shape, pattern, mask);
    return mask;
  }
  const std::vector<PruneUnit> units = prune_units(scores, shape, pattern);
  if (!by_rows) {
    prune_least(units, count, shape.cols, mask);
    return mask;
  }
  // What rounding leaves over in one row goes to the next: the whole matrix loses `count`.
  int64_t pruned = 0, seen = 0;
  for (size_t first = 0; first < units.size();) {
    size_t end = first;
    while (end < units.size() && units[end].row == units[first].row) seen += units[end++].count();
    const auto due = int64_t(double(count) * (double(seen) / double(shape.count())) + 0.5) - pruned;
    pruned += prune_least(std::span(units).subspan(first, end - first), std::max<int64_t>(due, 0), shape.cols, mask);
    first = end;
  }
  return mask;
}

int64_t fixed_count(const MatrixShape& shape, const PrunePattern& pattern) {
  const int64_t whole = shape.run / pattern.of, rest = shape.run % pattern.of;
  const int64_t pruned = whole * (pattern.of - pattern.keep) + (rest - kept_of(pattern, rest));
  return shape.rows * (shape.cols / shape.run) * pruned;
}

}  // namespace pare
