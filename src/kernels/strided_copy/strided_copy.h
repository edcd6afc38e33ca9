#pragma once
// Copies elements from one strided arrangement to another: transposing, slicing, joining, repeating and blocking are all
// this loop with other strides.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pare {

// For every index i: to[to_offset + Σ i_k·axes[k].to] = from[from_offset + Σ i_k·axes[k].from]. Strides and offsets in
// elements; a stride of 0 repeats. No two indices may meet in `to`.
struct StridedCopy {
  struct Axis {
    int64_t extent, from, to;
  };
  std::vector<Axis> axes;
  int64_t from_offset = 0, to_offset = 0;
  int element_bytes = 4;  // 1, 2, 4 or 8
};

// The same copy with as few axes as possible, in the order that is fastest: to be called once before the runs.
StridedCopy arranged(const StridedCopy& copy);
// The share of `thread` out of `threads` of an arranged copy; the caller waits for all of them.
void run_strided_copy(const StridedCopy& copy, const std::byte* from, std::byte* to, int thread, int threads);

}  // namespace pare
