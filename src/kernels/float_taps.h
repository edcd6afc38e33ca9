#pragma once
// Which taps of a window lie on the picture; included by files of one instruction set only.
#include <cstdint>

namespace pare {
namespace {

// The taps of a window along one axis that lie on `extent` places, where it begins at `at`.
struct Taps {
  int64_t first, last;
};
inline Taps taps_of(int64_t at, int64_t dilation, int64_t kernel, int64_t extent) {
  const int64_t first = at < 0 ? (-at + dilation - 1) / dilation : 0;
  int64_t last = at < extent ? (extent - 1 - at) / dilation + 1 : 0;
  if (last > kernel) last = kernel;
  return {first, last > first ? last : first};
}

}  // namespace
}  // namespace pare
