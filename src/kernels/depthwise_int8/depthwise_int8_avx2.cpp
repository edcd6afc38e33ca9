// AVX2: blocks of 16 channels. Inputs of two taps are widened to 16 bits and interleaved, vpmaddwd multiplies and adds
// them exactly. Interleaving leaves channels 0-3, 8-11 in the low and 4-7, 12-15 in the high vector; weights are stored
// so.

#include <algorithm>
#include <cstring>

#include "kernels/depthwise_int8/pack.h"
#include "kernels/int8_epilogue/int8_epilogue_avx2.h"

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

__m256i widened(const std::uint8_t* x, int channels, __m256i flip) {
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

class Driver {
 public:
  Driver(const PackedDepthwiseInt8& packed, const DepthwiseInt8Args& args)
      : packed_(packed), s_(packed.shape), args_(args), flip_(_mm256_set1_epi16(packed.input_signed ? 0x80 : 0)) {
    std::memset(border_, packed.input_signed ? packed.input_zero ^ 0x80 : packed.input_zero, sizeof(border_));
  }

  void run(int thread, int threads) const {
    const std::int64_t out_h = s_.out_h(), rows = out_h * s_.batch;
    for (std::int64_t row = rows * thread / threads; row < rows * (thread + 1) / threads; ++row) {
      for (int ow = 0; ow < s_.out_w(); ++ow) {
        const std::size_t pixel = row * s_.out_w() + ow;
        for (int c = 0; c < s_.channels; c += kBlock)
          run_block(static_cast<int>(row / out_h), static_cast<int>(row % out_h), ow, pixel, c);
      }
    }
  }

 private:
  const std::uint8_t* tap_input(int image, int ih, int iw, int channel) const {
    if (ih < 0 || ih >= s_.in_h || iw < 0 || iw >= s_.in_w) return border_;
    return static_cast<const std::uint8_t*>(args_.input) +
           ((std::size_t(image) * s_.in_h + ih) * s_.in_w + iw) * s_.channels + channel;
  }

  void run_block(int image, int oh, int ow, std::size_t pixel, int channel) const {
    const int channels = std::min(kBlock, s_.channels - channel);
    const __m256i* weights =
        reinterpret_cast<const __m256i*>(packed_.weights[std::size_t(channel / kBlock) * tap_pairs(s_)].bytes);
    __m256i low = _mm256_setzero_si256(), high = low, first = low;
    const int taps = s_.kernel_h * s_.kernel_w;
    for (int tap = 0; tap < taps; ++tap) {
      const int ih = oh * s_.stride_h + tap / s_.kernel_w * s_.dilation_h - s_.pad_top;
      const int iw = ow * s_.stride_w + tap % s_.kernel_w * s_.dilation_w - s_.pad_left;
      const __m256i x = widened(tap_input(image, ih, iw, channel), channels, flip_);
      if (tap % 2 == 0) first = x;
      if (tap % 2 == 0 && tap + 1 < taps) continue;
      low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(first, x), _mm256_load_si256(weights++)));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(first, x), _mm256_load_si256(weights++)));
    }
    const std::int32_t* bias = packed_.bias.data() + channel;
    const __m256i sums[2] = {_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31)};
    for (int half = 0; half * 8 < channels; ++half) {
      const __m256i sum =
          _mm256_add_epi32(sums[half], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bias + half * 8)));
      const int begin = channel + half * 8;
      const Int8Epilogue256 epilogue{args_.epilogue, args_.output};
      epilogue.store(pixel * depthwise_int8_pitch(s_, args_.epilogue) + begin, sum, args_.epilogue.multiplier + begin,
                     std::min(8, s_.channels - begin));
    }
  }

  const PackedDepthwiseInt8& packed_;
  const DepthwiseInt8Shape& s_;
  const DepthwiseInt8Args& args_;
  __m256i flip_;
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
