// AVX2: blocks of 16 channels. Inputs of two taps are widened to 16 bits and interleaved, vpmaddwd multiplies and adds
// them exactly. Interleaving leaves channels 0-3, 8-11 in the low and 4-7, 12-15 in the high vector; weights are stored
// so. Where all columns of the kernel lie within the image, pixels of a row are computed in spans without looking at
// borders.

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/conv_int8/finish_avx2.h"
#include "kernels/depthwise_int8/pack.h"

namespace pare {
namespace {

constexpr int kBlock = 16;

int tap_pairs(const DepthwiseInt8Shape& s) {
  return (s.kernel_h * s.kernel_w + 1) / 2;
}

// Weights: [block][pair of taps][low, high][8 channels][2 taps] s16
PackedDepthwiseInt8 pack(const DepthwiseInt8Shape& shape, const DepthwiseInt8Weights& source) {
  PackedDepthwiseInt8 packed = start_depthwise_int8_pack(shape, source, kBlock);
  const int taps = shape.kernel_h * shape.kernel_w, pairs = tap_pairs(shape);
  packed.weights.assign(std::size_t(packed.padded_channels / kBlock) * pairs, Int8Line{});
  std::int16_t* weights = reinterpret_cast<std::int16_t*>(packed.weights.front().bytes);
  for (int c = 0; c < shape.channels; ++c) {
    const int in_block = c % kBlock;
    const int place = in_block % 4 + in_block / 8 * 4 + in_block / 4 % 2 * 8;
    for (int tap = 0; tap < taps; ++tap) {
      weights[(std::size_t(c / kBlock) * pairs + tap / 2) * 32 + place * 2 + tap % 2] = source.weights[c * taps + tap];
    }
  }
  return packed;
}

inline __attribute__((always_inline)) __m256i widened(const std::uint8_t* x, int channels, __m256i flip) {
  __m128i bytes;
  if (channels == kBlock) {
    bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  } else {
    alignas(16) std::uint8_t part[kBlock] = {};
    std::memcpy(part, x, channels);
    bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(part));
  }
  return _mm256_xor_si256(_mm256_cvtepu8_epi16(bytes), flip);
}

// Where the taps of a span's first pixel read its block of channels, and how far the next pixel's lie.
struct Taps {
  std::vector<const std::uint8_t*> from;
  std::vector<std::ptrdiff_t> step;
};

class Driver {
 public:
  Driver(const PackedDepthwiseInt8& packed, const DepthwiseInt8Args& args)
      : packed_(packed),
        s_(packed.shape),
        args_(args),
        taps_(s_.kernel_h * s_.kernel_w),
        flip_(_mm256_set1_epi16(packed.input_signed ? 0x80 : 0)),
        finish_(args.epilogue, args.output) {
    std::memset(border_, packed.input_signed ? packed.input_zero ^ 0x80 : packed.input_zero, sizeof(border_));
  }

  void run(int thread, int threads) const {
    const std::int64_t out_h = s_.out_h(), rows = out_h * s_.batch;
    // Columns whose whole kernel lies within the image.
    const int reach = s_.dilation_w * (s_.kernel_w - 1);
    const int begin = std::min(s_.out_w(), (s_.pad_left + s_.stride_w - 1) / s_.stride_w);
    const int last = s_.in_w - 1 - reach + s_.pad_left;
    const int end = std::max(begin, last < 0 ? 0 : std::min(s_.out_w(), last / s_.stride_w + 1));
    for (std::int64_t row = rows * thread / threads; row < rows * (thread + 1) / threads; ++row) {
      run_border(row, 0, begin);
      run_inside(row, begin, end);
      run_border(row, end, s_.out_w());
    }
  }

 private:
  static constexpr int kSpan = 8;  // pixels

  const std::uint8_t* image(std::int64_t row) const {
    return static_cast<const std::uint8_t*>(args_.input) +
           std::size_t(row / s_.out_h()) * s_.in_h * s_.in_w * s_.channels;
  }

  // The taps of pixel `ow`. Rows outside the image, and columns if it is at the border, read the zero point.
  void find_taps(std::int64_t row, int ow, int channel, Taps& taps) const {
    const std::uint8_t* from = image(row) + channel;
    for (int kh = 0, tap = 0; kh < s_.kernel_h; ++kh) {
      const int ih = static_cast<int>(row % s_.out_h()) * s_.stride_h + kh * s_.dilation_h - s_.pad_top;
      for (int kw = 0; kw < s_.kernel_w; ++kw, ++tap) {
        const int iw = ow * s_.stride_w + kw * s_.dilation_w - s_.pad_left;
        const bool inside = ih >= 0 && ih < s_.in_h && iw >= 0 && iw < s_.in_w;
        taps.from[tap] = inside ? from + (std::size_t(ih) * s_.in_w + iw) * s_.channels : border_;
        taps.step[tap] = inside ? std::ptrdiff_t(s_.stride_w) * s_.channels : 0;
      }
    }
  }

  void run_border(std::int64_t row, int begin, int end) const {
    Taps taps = room();
    for (int ow = begin; ow < end; ++ow)
      for (int c = 0; c < s_.channels; c += kBlock) {
        find_taps(row, ow, c, taps);
        run_span(taps, row * s_.out_w() + ow, 1, c);
      }
  }

  void run_inside(std::int64_t row, int begin, int end) const {
    Taps taps = room();
    for (int c = 0; c < s_.channels && begin < end; c += kBlock) {
      find_taps(row, begin, c, taps);
      for (int ow = begin; ow < end; ow += kSpan) {
        const int count = std::min(kSpan, end - ow);
        run_span(taps, row * s_.out_w() + ow, count, c);
        for (int tap = 0; tap < taps_; ++tap) taps.from[tap] += taps.step[tap] * count;
      }
    }
  }

  Taps room() const { return {std::vector<const std::uint8_t*>(taps_), std::vector<std::ptrdiff_t>(taps_)}; }

  // `count` pixels from `pixel`, one block of channels.
  void run_span(const Taps& taps, std::size_t pixel, int count, int channel) const {
    alignas(32) std::int32_t sums[kSpan * kBlock];
    const int channels = std::min(kBlock, s_.channels - channel);
    int p = 0;
    if (channels == kBlock) {
      for (; p + 4 <= count; p += 4) add_taps<4>(taps, p, channel, channels, sums + p * kBlock);
    }
    for (; p < count; ++p) add_taps<1>(taps, p, channel, channels, sums + p * kBlock);
    finish_.run(
        sums, {pixel, count, kBlock / 8, channel, channels, static_cast<int>(depthwise_int8_pitch(s_, args_.epilogue)),
               args_.epilogue.multiplier + channel});
  }

  template <int Pixels>
  void add_taps(const Taps& taps, int first, int channel, int channels, std::int32_t* sums) const {
    const __m256i* weights =
        reinterpret_cast<const __m256i*>(packed_.weights[std::size_t(channel / kBlock) * tap_pairs(s_)].bytes);
    if (Pixels > 1) channels = kBlock;
    __m256i low[Pixels], high[Pixels];
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) low[p] = high[p] = _mm256_setzero_si256();
    for (int tap = 0; tap < taps_; tap += 2, weights += 2) {
      const int other = std::min(tap + 1, taps_ - 1);  // of an odd number of taps the last again, with a weight of zero
      const std::ptrdiff_t x_step = taps.step[tap], y_step = taps.step[other];
      const std::uint8_t *from_x = taps.from[tap] + first * x_step, *from_y = taps.from[other] + first * y_step;
      const __m256i w_low = _mm256_load_si256(weights), w_high = _mm256_load_si256(weights + 1);
#pragma GCC unroll 4
      for (int p = 0; p < Pixels; ++p, from_x += x_step, from_y += y_step) {
        const __m256i x = widened(from_x, channels, flip_), y = widened(from_y, channels, flip_);
        low[p] = _mm256_add_epi32(low[p], _mm256_madd_epi16(_mm256_unpacklo_epi16(x, y), w_low));
        high[p] = _mm256_add_epi32(high[p], _mm256_madd_epi16(_mm256_unpackhi_epi16(x, y), w_high));
      }
    }
    const __m256i* bias = reinterpret_cast<const __m256i*>(packed_.bias.data() + channel);
    const __m256i bias0 = _mm256_loadu_si256(bias), bias1 = _mm256_loadu_si256(bias + 1);
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) {
      __m256i* to = reinterpret_cast<__m256i*>(sums + p * kBlock);
      _mm256_store_si256(to, _mm256_add_epi32(_mm256_permute2x128_si256(low[p], high[p], 0x20), bias0));
      _mm256_store_si256(to + 1, _mm256_add_epi32(_mm256_permute2x128_si256(low[p], high[p], 0x31), bias1));
    }
  }

  const PackedDepthwiseInt8& packed_;
  const DepthwiseInt8Shape& s_;
  const DepthwiseInt8Args& args_;
  int taps_;
  __m256i flip_;
  Finish256 finish_;
  alignas(64) std::uint8_t border_[kBlock];
};

void run(const PackedDepthwiseInt8& packed, const DepthwiseInt8Args& args, int thread, int threads) {
  Driver(packed, args).run(thread, threads);
}

bool supported() {
  return __builtin_cpu_supports("avx2");
}

}  // namespace

extern const DepthwiseInt8Kernel depthwise_int8_avx2;
const DepthwiseInt8Kernel depthwise_int8_avx2 = {"depthwise_int8_avx2", "avx2", supported, pack, run};

}  // namespace pare
