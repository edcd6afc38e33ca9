// Plain C++: what the vector kernels are compared with, and the only one in the `scalar` build.

#include "kernels/int8_epilogue/int8_epilogue_base.h"
#include "kernels/int8_winograd/loops.h"

namespace pare {
namespace {

struct Base {
  typedef std::int16_t Shorts __attribute__((vector_size(16)));
  typedef std::uint32_t Ints __attribute__((vector_size(16)));
  static constexpr int kMaxVectors = 2;
  static constexpr int max_squares(int) { return 4; }

  static Ints add_pairs(Ints sums, Shorts a, Shorts b) {
    for (int i = 0; i < 4; ++i) sums[i] += static_cast<std::uint32_t>(a[2 * i] * b[2 * i]) + static_cast<std::uint32_t>(a[2 * i + 1] * b[2 * i + 1]);
    return sums;
  }

  struct Finish {
    Finish(const ConvInt8Args& given, int) : args(given) {}
    template <int Vectors>
    void run(const Ints (&sums)[kWinogradInt8Tile][Vectors], const ConvTileOutput& out, std::size_t pixel) const {
      for (int p = 0; p < out.pixels; ++p)
        for (int c = 0; c < out.channels; ++c)
          store_int8_sum(args.epilogue, args.output, (pixel + std::size_t(p)) * std::size_t(out.pitch) + std::size_t(out.channel + c), static_cast<std::int32_t>(sums[p][c / 4][c % 4]), out.multiplier[c]);
    }
    const ConvInt8Args& args;
  };
};

bool always() { return true; }

}  // namespace

extern const WinogradInt8Kernel int8_winograd_base;
const WinogradInt8Kernel int8_winograd_base = {"int8_winograd_base", "scalar", always, 8, 4, Base::kMaxVectors, WinogradInt8Loops<Base>::run};

}  // namespace pare
