#pragma once
// Where the planes of a unit lie, in bytes behind its scales; −1: there is none.
#include "kernels/low_bit/low_bit.h"

namespace pare {

struct PlaneLayout {
  int bytes = -1, nibbles = -1, pairs = -1, bits = -1;
  int pair_shift = 0, bit_shift = 0;   // which bits of the level these planes hold
};

constexpr PlaneLayout plane_layout(LowBitPlanes planes) {
  constexpr int kNibbles = 512, kPairs = 256;
  constexpr PlaneLayout kLayouts[] = {
      {-1, -1, 0, -1, 0, 0},        {-1, -1, 0, kPairs, 0, 2},    {-1, 0, -1, -1, 0, 0},
      {-1, 0, -1, kNibbles, 0, 4},  {-1, 0, kNibbles, -1, 4, 0},  {0, -1, -1, -1, 0, 0}};
  return kLayouts[size_t(planes)];
}

constexpr int plane_bits(LowBitPlanes planes) {
  constexpr int kBits[] = {2, 3, 4, 5, 6, 8};
  return kBits[size_t(planes)];
}
// Of a unit.
constexpr size_t plane_bytes(LowBitPlanes planes) { return size_t(plane_bits(planes)) * LowBitShape::kUnit * LowBitShape::kStrip / 8; }

}  // namespace pare
