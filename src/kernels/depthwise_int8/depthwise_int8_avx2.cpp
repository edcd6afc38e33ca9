// AVX2: blocks of 16 channels. Rows of the input are interleaved by twos and widened to 16 bits, once for a span of
// output columns: each column then has pairs {x of a row, x of the row below} for its channels, and vpmaddwd multiplies
// and adds two taps exactly. With an odd number of kernel rows the last pair has room for one more row; where rows
// neither stride nor dilate, two rows of outputs share their pairs.

#include <algorithm>
#include <cstring>

#include "kernels/conv_int8/finish_avx2.h"
#include "kernels/depthwise_int8/pack.h"

namespace pare {
namespace {

constexpr int kBlock = 16;
constexpr int kSpan = 32;  // output columns: interleaved, four rows of them leave half of a 32 KB L1 to the input
constexpr int kMaxPixels = 4;

int rows_together(const DepthwiseInt8Shape& s) {
  return s.stride_h == 1 && s.dilation_h == 1 && s.kernel_h % 2 == 1 ? 2 : 1;
}

int row_pairs(const DepthwiseInt8Shape& s) {
  return (s.kernel_h + 1) / 2;
}

// Input columns under a span of `count` output columns.
int columns_under(const DepthwiseInt8Shape& s, int count) {
  return (count - 1) * s.stride_w + s.dilation_w * (s.kernel_w - 1) + 1;
}

// Weights: [block][output row of those together][pair of rows][column of taps][16 channels][row of the pair] s16
PackedDepthwiseInt8 pack(const DepthwiseInt8Shape& shape, const DepthwiseInt8Weights& source) {
  PackedDepthwiseInt8 packed = start_depthwise_int8_pack(shape, source, kBlock);
  const int together = rows_together(shape), pairs = row_pairs(shape);
  packed.weights.assign(std::size_t(packed.padded_channels / kBlock) * together * pairs * shape.kernel_w, Int8Line{});
  std::int16_t* weights = reinterpret_cast<std::int16_t*>(packed.weights.front().bytes);
  const std::int8_t* weight = source.weights;
  for (int c = 0; c < shape.channels; ++c)
    for (int kh = 0; kh < shape.kernel_h; ++kh)
      for (int kw = 0; kw < shape.kernel_w; ++kw, ++weight)
        for (int row = 0; row < together; ++row) {
          const int pair = (kh + row) / 2;
          const std::size_t line = ((std::size_t(c / kBlock) * together + row) * pairs + pair) * shape.kernel_w + kw;
          weights[line * 32 + c % kBlock * 2 + (kh + row) % 2] = *weight;
        }
  packed.scratch_bytes = std::size_t(pairs) * columns_under(shape, std::min(kSpan, shape.out_w())) * sizeof(Int8Line);
  return packed;
}

class Driver {
 public:
  Driver(const PackedDepthwiseInt8& packed, const DepthwiseInt8Args& args)
      : packed_(packed),
        s_(packed.shape),
        args_(args),
        together_(rows_together(s_)),
        pairs_(row_pairs(s_)),
        pitch_(static_cast<int>(depthwise_int8_pitch(s_, args.epilogue))),
        flip_(_mm_set1_epi8(static_cast<char>(packed.input_signed ? 0x80 : 0))),
        zero_(_mm256_set1_epi16(static_cast<short>(packed.input_zero))),
        finish_(args.epilogue, args.output, s_.channels) {
    std::memset(outside_, packed.input_signed ? packed.input_zero ^ 0x80 : packed.input_zero, sizeof(outside_));
  }

  void run(int thread, int threads) const {
    const std::int64_t groups = (s_.out_h() + together_ - 1) / together_, all = groups * s_.batch;
    for (std::int64_t group = all * thread / threads; group < all * (thread + 1) / threads; ++group) {
      const int image = static_cast<int>(group / groups), row = static_cast<int>(group % groups) * together_;
      for (int col = 0; col < s_.out_w(); col += kSpan)
        for (int channel = 0; channel < s_.channels; channel += kBlock) run_span(image, row, col, channel);
    }
  }

 private:
  // Up to kSpan columns of the output rows together, one block of channels.
  void run_span(int image, int row, int col, int channel) const {
    const int channels = std::min(kBlock, s_.channels - channel), count = std::min(kSpan, s_.out_w() - col);
    for (int pair = 0; pair < pairs_; ++pair) {
      const int first = row * s_.stride_h - s_.pad_top + 2 * pair * s_.dilation_h;
      const int last =
          s_.kernel_h + together_ - 2;  // of the rows together; in a pair that ends behind it any row will do
      const int second = 2 * pair < last ? first + s_.dilation_h : first;
      __m256i* to = static_cast<__m256i*>(args_.scratch) + std::size_t(2) * pair * columns_under(s_, count);
      const int from_col = col * s_.stride_w - s_.pad_left;
      const Row a = place(image, first, channel), b = place(image, second, channel);
      if (channels == kBlock)
        interleave(a, b, from_col, columns_under(s_, count), to, load_block);
      else if (s_.channels >= kBlock)
        interleave(a, b, from_col, columns_under(s_, count), to, [=](const auto* x) { return load_end(x, channels); });
      else
        interleave(a, b, from_col, columns_under(s_, count), to, [=](const auto* x) { return load_few(x, channels); });
    }
    for (int i = 0; i < together_ && row + i < s_.out_h(); ++i) {
      const std::size_t pixel = (std::size_t(image) * s_.out_h() + row + i) * s_.out_w() + col;
      ConvTileOutput out{pixel, 0, (channels + 7) / 8, channel, channels, pitch_, args_.epilogue.multiplier + channel};
      channels > 8 ? multiply<2>(i, count, out) : multiply<1>(i, count, out);
    }
  }

  // A row of the input; rows outside the image read the zero point.
  struct Row {
    const std::uint8_t* at;  // the block's first channel of column 0
    std::ptrdiff_t step;     // to the next column
  };

  Row place(int image, int row, int channel) const {
    if (row < 0 || row >= s_.in_h) return {outside_ + kBlock, 0};
    const auto* input = static_cast<const std::uint8_t*>(args_.input);
    return {input + (std::size_t(image) * s_.in_h + row) * s_.in_w * s_.channels + channel, s_.channels};
  }

  static __m128i load_block(const std::uint8_t* x) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(x)); }

  // The last `channels` of a pixel that has 16 or more, with channels in front of them: nothing behind a pixel is read.
  static __m128i load_end(const std::uint8_t* x, int channels) {
    const __m128i lanes = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm_shuffle_epi8(load_block(x + channels - kBlock),
                            _mm_add_epi8(lanes, _mm_set1_epi8(static_cast<char>(kBlock - channels))));
  }

  static __m128i load_few(const std::uint8_t* x, int channels) {
    alignas(16) std::uint8_t part[kBlock] = {};
    std::memcpy(part, x, channels);
    return _mm_load_si128(reinterpret_cast<const __m128i*>(part));
  }

  // Columns [begin, begin + count) of two rows to pairs of 16 bits: [column][16 channels][2].
  template <class Load>
  void interleave(Row a, Row b, int begin, int count, __m256i* to, Load load) const {
    const int before = std::clamp(-begin, 0, count), inside = std::clamp(s_.in_w - begin, before, count);
    const __m128i flip = flip_;
    for (int i = 0; i < before; ++i, to += 2) to[0] = to[1] = zero_;
    const std::uint8_t *from = a.at + (begin + before) * a.step, *below = b.at + (begin + before) * b.step;
    for (int i = before; i < inside; ++i, to += 2, from += a.step, below += b.step) {
      const __m128i x = _mm_xor_si128(load(from), flip), y = _mm_xor_si128(load(below), flip);
      to[0] = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(x, y));
      to[1] = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(x, y));
    }
    for (int i = inside; i < count; ++i, to += 2) to[0] = to[1] = zero_;
  }

  template <int Vectors>
  void multiply(int row, int count, ConvTileOutput& out) const {
    const std::size_t lines = std::size_t(pairs_) * s_.kernel_w;
    const Int8Line* weights = &packed_.weights[(std::size_t(out.channel / kBlock) * together_ + row) * lines];
    const auto* from = static_cast<const Int8Line*>(args_.scratch);
    const int columns = columns_under(s_, count);
    run_tiles<kMaxPixels, Vectors>(from, columns, weights, count / kMaxPixels, out);
    from += std::size_t(count / kMaxPixels * kMaxPixels) * s_.stride_w;
    switch (count % kMaxPixels) {
      case 1:
        return run_tiles<1, Vectors>(from, columns, weights, 1, out);
      case 2:
        return run_tiles<2, Vectors>(from, columns, weights, 1, out);
      case 3:
        return run_tiles<3, Vectors>(from, columns, weights, 1, out);
    }
  }

  // Neighbouring tiles; `from`: the first pixel's first column. Pairs of rows are `columns` apart.
  template <int Pixels, int Vectors>
  void run_tiles(const Int8Line* from, int columns, const Int8Line* first_weights, int tiles,
                 ConvTileOutput& out) const {
    const __m256i* bias = reinterpret_cast<const __m256i*>(packed_.bias.data() + out.channel);
    const __m256i bias0 = _mm256_loadu_si256(bias), bias1 = _mm256_loadu_si256(bias + Vectors - 1);
    const std::ptrdiff_t step = s_.stride_w, apart = s_.dilation_w;
    const int pairs = pairs_, kernel_w = s_.kernel_w;
    out.pixels = Pixels;
    for (int tile = 0; tile < tiles; ++tile, from += Pixels * step, out.pixel += Pixels) {
      __m256i sums[Pixels][Vectors];
#pragma GCC unroll 4
      for (int p = 0; p < Pixels; ++p) sums[p][0] = bias0, sums[p][Vectors - 1] = bias1;
      const Int8Line* weights = first_weights;
      for (int pair = 0; pair < pairs; ++pair) {
        const Int8Line* x = from + pair * columns;
        for (int kw = 0; kw < kernel_w; ++kw, x += apart, ++weights) {
#pragma GCC unroll 2
          for (int v = 0; v < Vectors; ++v) {
            const __m256i w = _mm256_load_si256(reinterpret_cast<const __m256i*>(weights->bytes) + v);
#pragma GCC unroll 4
            for (int p = 0; p < Pixels; ++p)
              sums[p][v] = _mm256_add_epi32(
                  sums[p][v],
                  _mm256_madd_epi16(_mm256_load_si256(reinterpret_cast<const __m256i*>(x[p * step].bytes) + v), w));
          }
        }
      }
      alignas(32) std::int32_t room[Pixels * Vectors * 8];
      finish_.run(sums, room, out, out.pixel);
    }
  }

  const PackedDepthwiseInt8& packed_;
  const DepthwiseInt8Shape& s_;
  const DepthwiseInt8Args& args_;
  int together_, pairs_, pitch_;
  __m128i flip_;
  __m256i zero_;
  Finish256 finish_;
  std::uint8_t outside_[2 * kBlock];
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
