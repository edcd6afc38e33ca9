// Plain C++: the reference the vector kernels are compared with, and the only one in the `scalar` build.

#include "kernels/conv_int8/driver.h"
#include "kernels/int8_epilogue/int8_epilogue_base.h"

namespace pare {
namespace {

struct Base {
  static constexpr int kLanes = 16;
  static constexpr int kMaxVectors = 1;
  static constexpr int kTiles = 1;
  static constexpr int kPixels = 4;

  static int max_pixels(int) { return kPixels; }
  static int max_quads(int) { return 0; }
  static int max_row_quads(int) { return 0; }

  template <int Pixels>
  static void fill_sums(const ConvTileJob& job) {
    std::int32_t sums[Pixels][kLanes];
    for (auto& pixel : sums) std::memcpy(pixel, job.bias, sizeof(pixel));
    const std::int8_t* weights = reinterpret_cast<const std::int8_t*>(job.weights);
    for (int run = 0; run < job.runs; ++run) {
      for (int step = 0; step < job.steps; ++step, weights += kLanes * kConvInt8Step) {
        for (int pixel = 0; pixel < Pixels; ++pixel) {
          const std::uint8_t* x = job.pixels[pixel] + job.run_offsets[run] + step * kConvInt8Step;
          for (int lane = 0; lane < kLanes; ++lane) {
            const std::int8_t* w = weights + lane * kConvInt8Step;
            sums[pixel][lane] += x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3];
          }
        }
      }
    }
    std::memcpy(job.sums, sums, sizeof(sums));
  }

  static void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes, std::uint8_t flip) {
    for (std::size_t i = 0; i < bytes; ++i) to[i] = from[i] ^ flip;
  }
  static void fill(std::uint8_t* to, std::size_t count, int value) { std::memset(to, value, count); }

  struct Tiles {
    Tiles(const ConvInt8Args& given, int) : args(given) {}
    void run(const ConvTileJob& job, const ConvTileOutput& out, ConvTilePixels) const {
      static constexpr void (*fill_tile[])(const ConvTileJob&) = {fill_sums<1>, fill_sums<2>, fill_sums<3>,
                                                                  fill_sums<4>};
      fill_tile[out.pixels - 1](job);
      for (int pixel = 0; pixel < out.pixels; ++pixel) {
        const std::size_t index = (out.pixel + pixel) * out.pitch + out.channel;
        for (int c = 0; c < out.channels; ++c) {
          store_int8_sum(args.epilogue, args.output, index + c, job.sums[pixel * kLanes + c], out.multiplier[c]);
        }
      }
    }
    const ConvInt8Args& args;
  };
};

bool always() {
  return true;
}

}  // namespace

extern const ConvInt8Kernel conv_int8_base;
const ConvInt8Kernel conv_int8_base = {
    "conv_int8_base",         "scalar", always, Base::kLanes, false, Base::kMaxVectors, Base::max_pixels,
    ConvInt8Driver<Base>::run};

}  // namespace pare
