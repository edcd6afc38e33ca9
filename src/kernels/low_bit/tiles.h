// From a shape to the tile compiled for it; included by the files of instruction sets only.
#pragma once
#include "kernels/low_bit/low_bit.h"
#include "kernels/low_bit/planes.h"

namespace pare {
namespace {

// What an instruction set defines: kRows, rows that share unpacked levels, and
//   template <int rows> static void run(const PackedLowBit&, const LowBitArgs&, int64_t strip, int64_t first_row)
template <LowBitPlanes planes, int kGroup, bool kOffsets, bool kTable>
struct Tile;

template <class T>
void run_share(const PackedLowBit& packed, const LowBitArgs& args, int64_t first, int64_t last) {
  for (int64_t strip = first; strip < last; ++strip) {
    int64_t row = 0;
    for (; row + T::kRows <= args.rows; row += T::kRows)
      T::template run<T::kRows>(packed, args, strip, row);
    for (; row < args.rows; ++row) T::template run<1>(packed, args, strip, row);
  }
}

using Share = void (*)(const PackedLowBit&, const LowBitArgs&, int64_t, int64_t);

template <LowBitPlanes planes>
Share share_of(const LowBitShape& shape) {
  if constexpr (planes == LowBitPlanes::nibble)
    if (shape.table) return run_share<Tile<planes, 32, false, true>>;
  if (shape.group == 16)
    return shape.offsets ? run_share<Tile<planes, 16, true, false>> : run_share<Tile<planes, 16, false, false>>;
  return shape.offsets ? run_share<Tile<planes, 32, true, false>> : run_share<Tile<planes, 32, false, false>>;
}

void run(const PackedLowBit& packed, const LowBitArgs& args, int thread, int threads) {
  using P = LowBitPlanes;
  constexpr Share (*kShares[])(const LowBitShape&) = {share_of<P::pair>,        share_of<P::pair_bit>,
                                                      share_of<P::nibble>,      share_of<P::nibble_bit>,
                                                      share_of<P::nibble_pair>, share_of<P::byte>};
  const int64_t strips = packed.shape.strips();
  kShares[size_t(packed.shape.planes)](packed.shape)(packed, args, strips * thread / threads,
                                                     strips * (thread + 1) / threads);
}

}  // namespace
}  // namespace pare
