// Plain C++: the reference the vector kernels are compared with. Weights lie as they do for AVX-512.

#include "kernels/int8_epilogue/int8_epilogue_base.h"
#include "kernels/sparse_int8/driver.h"

namespace pare {
namespace {

struct Base {
  static constexpr int kLanes = 16;
  static constexpr int kGroup = 4;

  static void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes, std::uint8_t flip) {
    for (std::size_t i = 0; i < bytes; ++i) to[i] = from[i] ^ flip;
  }
  static void fill(std::uint8_t* to, std::size_t count, int value) { std::memset(to, value, count); }

  static void gather(const SparseTileJob& job) {
    for (const SparseInt8Strip* list = job.lists; list < job.lists_end; ++list)
      for (int p = 0; p < job.count; ++p) {
        const std::ptrdiff_t lane = (list - job.lists) * kLanes;
        std::int32_t* sums = job.sums + p * job.pitch + lane;
        std::memcpy(sums, job.bias + lane, sizeof(*sums) * kLanes);
        const std::uint8_t* index = job.stream[list->line].bytes;
        for (const SparseInt8Window* w = job.windows + list->window; w < job.windows + list[1].window; ++w) {
          const std::uint8_t* x = job.pixels[p] + w->offset;
          for (int item = 0; item < w->items; ++item, index += 128)
            for (int i = 0; i < kLanes * kGroup; ++i) sums[i / kGroup] += x[index[i]] * static_cast<std::int8_t>(index[64 + i]);
        }
      }
  }

  template <int Together>
  static void blocks(const SparseTileJob& job) {
    constexpr int kWidth = Together * kLanes;
    for (const SparseInt8Strip* list = job.lists; list < job.lists_end; ++list)
      for (int p = 0; p < job.count; ++p) {
        const std::ptrdiff_t lane = (list - job.lists) * kWidth;
        std::int32_t* sums = job.sums + p * job.pitch + lane;
        std::memcpy(sums, job.bias + lane, sizeof(*sums) * kWidth);
        const std::uint8_t* weights = job.stream[list->line].bytes;
        for (const SparseInt8Window* w = job.windows + list->window; w < job.windows + list[1].window; ++w, weights += kWidth * kGroup) {
          const std::uint8_t* x = job.pixels[p] + w->offset;
          for (int i = 0; i < kWidth * kGroup; ++i) sums[i / kGroup] += x[i % kGroup] * static_cast<std::int8_t>(weights[i]);
        }
      }
  }

  class Finish {
   public:
    Finish(const PackedSparseInt8& packed, const ConvInt8Args& args) : packed_(packed), args_(args) {}
    void run(const ConvTileOutput& out, int block, const std::int32_t* sums) const {
      const std::uint8_t* channel = &packed_.channel[std::size_t(block) * kSparseInt8Block];
      for (int p = 0; p < out.pixels; ++p)
        for (int i = 0; i < out.vectors * kLanes; ++i, ++sums) {
          const std::size_t index = (out.pixel + p) * out.pitch + out.channel + channel[i];
          if (channel[i] < out.channels) store_int8_sum(args_.epilogue, args_.output, index, *sums, out.multiplier[i]);
        }
    }

   private:
    const PackedSparseInt8& packed_;
    const ConvInt8Args& args_;
  };
};

bool always() {
  return true;
}

}  // namespace

extern const SparseInt8Kernel sparse_int8_base;
const SparseInt8Kernel sparse_int8_base = {"sparse_int8_base", "scalar", always, Base::kLanes, Base::kGroup, 64, kMaxSparsePixels, SparseInt8Driver<Base>::run};

}  // namespace pare
