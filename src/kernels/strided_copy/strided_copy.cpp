#include "kernels/strided_copy/strided_copy.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace pare {
namespace {

using Axis = StridedCopy::Axis;

constexpr int64_t kTile = 16;

// `rows` x `columns` of which `to` runs along columns and `from` along rows: in tiles, so that both sides use whole
// cache lines.
template <class T>
void transpose(const T* from, T* to, const Axis& row, const Axis& column) {
  for (int64_t r = 0; r < row.extent; r += kTile)
    for (int64_t c = 0; c < column.extent; c += kTile) {
      const int64_t r_end = std::min(r + kTile, row.extent), c_end = std::min(c + kTile, column.extent);
      for (int64_t i = r; i < r_end; ++i)
        for (int64_t j = c; j < c_end; ++j) to[i * row.to + j * column.to] = from[i * row.from + j * column.from];
    }
}

template <class T>
void copy_line(const T* from, T* to, const Axis& axis) {
  if (axis.to == 1 && axis.from == 1) {
    std::memcpy(to, from, size_t(axis.extent) * sizeof(T));
  } else if (axis.to == 1 && axis.from == 0) {
    std::fill_n(to, axis.extent, *from);
  } else if (axis.to == 1 && axis.from == 2) {
    for (int64_t i = 0; i < axis.extent; ++i) to[i] = from[2 * i];
  } else {
    for (int64_t i = 0; i < axis.extent; ++i) to[i * axis.to] = from[i * axis.from];
  }
}

template <size_t Bytes, class T>
void copy_lines(const T* from, T* to, const Axis& row) {
  for (int64_t i = 0; i < row.extent; ++i) std::memcpy(to + i * row.to, from + i * row.from, Bytes);
}

// Short lines cost more in calls than in copying: the inner loop's length is known to the compiler for the usual ones.
template <class T>
void copy_plane(const T* from, T* to, const Axis& row, const Axis& column) {
  const bool crossed = column.to == 1 && column.from != 1 && std::abs(row.from) == 1;
  if (crossed) return transpose(from, to, row, column);
  const size_t line = column.to == 1 && column.from == 1 ? size_t(column.extent) * sizeof(T) : 0;
  if (line == 32) return copy_lines<32>(from, to, row);
  if (line == 64) return copy_lines<64>(from, to, row);
  if (column.extent == 2 && column.from == 0)
    for (int64_t i = 0; i < row.extent; ++i) to[i * row.to] = to[i * row.to + column.to] = from[i * row.from];
  else
    for (int64_t i = 0; i < row.extent; ++i) copy_line(from + i * row.from, to + i * row.to, column);
}

template <class T>
void run(const StridedCopy& copy, const T* from, T* to, int thread, int threads) {
  from += copy.from_offset;
  to += copy.to_offset;
  const size_t rank = copy.axes.size();
  // Threads share the outermost axis; where it is shorter than the team, the first two as one.
  const Axis outer = copy.axes[0], row = copy.axes[rank - 2], column = copy.axes[rank - 1];
  const int64_t first = outer.extent * thread / threads, last = outer.extent * (thread + 1) / threads;
  if (rank == 2) {
    if (first < last) copy_plane(from + first * outer.from, to + first * outer.to, Axis{last - first, outer.from, outer.to}, column);
    return;
  }
  int64_t middle = 1;
  for (size_t k = 1; k + 2 < rank; ++k) middle *= copy.axes[k].extent;
  for (int64_t i = first; i < last; ++i)
    for (int64_t m = 0; m < middle; ++m) {
      int64_t rest = m, from_at = i * outer.from, to_at = i * outer.to;
      for (size_t k = rank - 2; k-- > 1;) {
        const int64_t index = rest % copy.axes[k].extent;
        rest /= copy.axes[k].extent;
        from_at += index * copy.axes[k].from;
        to_at += index * copy.axes[k].to;
      }
      copy_plane(from + from_at, to + to_at, row, column);
    }
}

}  // namespace

StridedCopy arranged(const StridedCopy& copy) {
  StridedCopy result = copy;
  auto& axes = result.axes;
  std::erase_if(axes, [](const Axis& axis) { return axis.extent == 1; });
  // Rows of the target one after the other; of equal strides the repeated one inside.
  std::stable_sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return std::abs(a.to) > std::abs(b.to); });
  for (size_t i = axes.size(); i-- > 1;) {
    Axis& outer = axes[i - 1];
    const Axis inner = axes[i];
    if (outer.from != inner.from * inner.extent || outer.to != inner.to * inner.extent) continue;
    outer = {outer.extent * inner.extent, inner.from, inner.to};
    axes.erase(axes.begin() + long(i));
  }
  // Where the source runs along another axis than the target, that axis comes next to the innermost, for tiles.
  if (axes.size() > 2 && axes.back().from != 1) {
    auto along = std::find_if(axes.begin(), axes.end() - 1, [](const Axis& axis) { return std::abs(axis.from) == 1; });
    if (along < axes.end() - 2) std::rotate(along, along + 1, axes.end() - 1);
  }
  // Planes of a few elements (of pixels moved into channels, say) cost more in finding them than in copying: the nearest long
  // axis then runs inside, whose elements lie apart but not far.
  if (axes.size() > 2) {
    constexpr int64_t kSmallPlane = 32, kLong = 16, kNear = 256;
    const bool line = axes.back().from == 1 && axes.back().to == 1;  // copied at once: the long axis runs around it
    const int64_t plane = (line ? 4 : axes.back().extent) * (axes.end() - 2)->extent;
    const auto found = std::find_if(axes.rbegin() + line, axes.rend() - 1, [](const Axis& axis) {
      return axis.extent >= kLong && std::abs(axis.from) <= kNear && std::abs(axis.to) <= kNear;
    });
    if (plane < kSmallPlane && found != axes.rend() - 1) std::rotate(found.base() - 1, found.base(), axes.end() - line);
  }
  while (axes.size() < 2) axes.insert(axes.begin(), {1, 0, 0});
  return result;
}

void run_strided_copy(const StridedCopy& copy, const std::byte* from, std::byte* to, int thread, int threads) {
  for (const Axis& axis : copy.axes)
    if (axis.extent <= 0) return;
  switch (copy.element_bytes) {
    case 1: return run(copy, reinterpret_cast<const uint8_t*>(from), reinterpret_cast<uint8_t*>(to), thread, threads);
    case 2: return run(copy, reinterpret_cast<const uint16_t*>(from), reinterpret_cast<uint16_t*>(to), thread, threads);
    case 4: return run(copy, reinterpret_cast<const uint32_t*>(from), reinterpret_cast<uint32_t*>(to), thread, threads);
    default: return run(copy, reinterpret_cast<const uint64_t*>(from), reinterpret_cast<uint64_t*>(to), thread, threads);
  }
}

}  // namespace pare
