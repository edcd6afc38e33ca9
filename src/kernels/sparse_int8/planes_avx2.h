#pragma once
// The planes form for AVX2: 64 positions (or 32) are summed up together for one output after the other. Of four weights
// the inputs are interleaved, vpmaddubsw and vpmaddwd multiply and add them: 20 instructions for 128 products. Only for
// sparse_int8_avx2.cpp, hence in an unnamed namespace.

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/conv_int8/finish_avx2.h"
#include "kernels/sparse_int8/planes.h"

namespace pare {
namespace {

// 16 x 16 bytes in each half of the registers.
inline void transpose(__m256i (&rows)[16]) {
  __m256i turned[16];
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {  // each turns the 8 bits of row and column by one
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      turned[2 * i] = _mm256_unpacklo_epi8(rows[i], rows[i + 8]);
      turned[2 * i + 1] = _mm256_unpackhi_epi8(rows[i], rows[i + 8]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) rows[i] = turned[i];
  }
}

// 16 bytes of 32 pixels in, rows of 32 pixels out, or the other way round.
inline __m256i two_pixels(const std::uint8_t* low, const std::uint8_t* high) {
  const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(low));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(first), _mm_loadu_si128(reinterpret_cast<const __m128i*>(high)),
                                 1);
}

// Sums of 32 positions `Halves` times, each in the order in which interleaving leaves them: 4 from the first 16, 4 from
// the others, four times. A function of its own keeps the loop's values in registers. Ahead: asks for what a coming quad
// reads; which channels these are no hardware foresees.
template <int Halves, bool Ahead>
__attribute__((noinline)) void sum_quads(const std::uint8_t* from, const SparseInt8Quad* q, const SparseInt8Quad* end,
                                         std::int32_t bias, __m256i (&result)[2][4]) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[Halves][4];
#pragma GCC unroll 2
  for (int h = 0; h < Halves; ++h) sums[h][0] = sums[h][1] = sums[h][2] = sums[h][3] = _mm256_set1_epi32(bias);
  for (; q < end; ++q) {
    std::int32_t four;
    std::memcpy(&four, q->weight, 4);
    const __m256i weights = _mm256_set1_epi32(four);
    const std::uint8_t *a = from + q->offset[0], *b = from + q->offset[1], *c = from + q->offset[2],
                       *d = from + q->offset[3];
    if constexpr (Ahead)
#pragma GCC unroll 4
      for (const std::int32_t offset : q[kSparseInt8Ahead].offset) __builtin_prefetch(from + offset);
#pragma GCC unroll 2
    for (int h = 0; h < Halves; ++h) {
      const auto at = [h](const std::uint8_t* x) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x) + h);
      };
      const __m256i ab[2] = {_mm256_unpacklo_epi8(at(a), at(b)), _mm256_unpackhi_epi8(at(a), at(b))};
      const __m256i cd[2] = {_mm256_unpacklo_epi8(at(c), at(d)), _mm256_unpackhi_epi8(at(c), at(d))};
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        const __m256i x =
            k % 2 == 0 ? _mm256_unpacklo_epi16(ab[k / 2], cd[k / 2]) : _mm256_unpackhi_epi16(ab[k / 2], cd[k / 2]);
        sums[h][k] = _mm256_add_epi32(sums[h][k], _mm256_madd_epi16(_mm256_maddubs_epi16(x, weights), ones));
      }
    }
  }
#pragma GCC unroll 2
  for (int h = 0; h < Halves; ++h) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) result[h][k] = sums[h][k];
  }
}

class PlanesDriver {
 public:
  PlanesDriver(const PackedSparseInt8& packed, const ConvInt8Args& args)
      : packed_(packed),
        s_(packed.shape),
        args_(args),
        planes_(s_, packed.band_rows),
        epilogue_(args.epilogue, args.output),
        bytes_(makes_bytes(epilogue_, s_.out_c) && !activates(epilogue_.e)),
        pitch_(args.epilogue.pitch > 0 ? args.epilogue.pitch : s_.out_c),
        flip_(_mm256_set1_epi8(static_cast<char>(packed.input_signed ? 0x80 : 0))),
        residual_flip_(_mm256_set1_epi8(static_cast<char>(args.epilogue.residual_signed ? 0x80 : 0))),
        residual_zero_(_mm256_set1_epi32(args.epilogue.residual_zero + (args.epilogue.residual_signed ? 128 : 0))),
        outside_(std::size_t(std::max(16, s_.in_c)),
                 static_cast<std::uint8_t>(packed.input_signed ? packed.input_zero ^ 0x80 : packed.input_zero)) {}

  // Threads share the rows where each has enough for a few tiles, else the outputs.
  void run(int thread, int threads) {
    const std::int64_t out_h = s_.out_h(), rows = out_h * s_.batch;
    const bool by_rows = rows >= threads && rows * s_.out_w() >= std::int64_t{4} * threads * kSparseInt8Positions;
    const int blocks = (s_.out_c + kOutputs - 1) / kOutputs;
    const std::int64_t begin = by_rows ? rows * thread / threads : 0,
                       end = by_rows ? rows * (thread + 1) / threads : rows;
    const int first = by_rows ? 0 : blocks * thread / threads * kOutputs;
    const int last = by_rows ? s_.out_c : std::min(s_.out_c, blocks * (thread + 1) / threads * kOutputs);
    if (first >= last) return;
    for (std::int64_t row = begin; row < end;) {
      const std::int64_t image = row / out_h, next = std::min({end, (image + 1) * out_h, row + packed_.band_rows});
      run_band(static_cast<int>(image), static_cast<int>(row - image * out_h), static_cast<int>(next - row), first,
               last);
      row = next;
    }
  }

 private:
  static constexpr int kOutputs = 16;  // transposed together

  // Positions of a band that are computed together: one or two times 32.
  struct Tile {
    const std::uint8_t* from;
    int halves;
    std::int64_t index[2 * kSparseInt8Positions];  // of each position's first output; -1: it is none
  };

  void run_band(int image, int row, int rows, int first, int last) {
    for (std::size_t phase = 0; phase < planes_.phases.size(); ++phase) fill(image, row, rows, static_cast<int>(phase));
    const int positions = (rows - 1) * planes_.width + s_.out_w();
    int out_row = 0, col = 0;
    for (int begin = 0; begin < positions;) {
      Tile tile{static_cast<const std::uint8_t*>(args_.scratch) + begin,
                positions - begin > kSparseInt8Positions ? 2 : 1,
                {}};
      for (int i = 0; i < tile.halves * kSparseInt8Positions; ++i) {
        const bool valid = out_row < rows && col < s_.out_w();
        tile.index[i] = valid ? ((std::int64_t{image} * s_.out_h() + row + out_row) * s_.out_w() + col) * pitch_ : -1;
        if (++col == planes_.width) col = 0, ++out_row;
      }
      for (int output = first; output < last; output += kOutputs)
        run_outputs(tile, output, std::min(kOutputs, last - output));
      begin += tile.halves * kSparseInt8Positions;
    }
  }

  // The planes of a phase under a band of output rows.
  void fill(int image, int row, int rows, int phase) {
    const auto* input =
        static_cast<const std::uint8_t*>(args_.input) + std::size_t(image) * s_.in_h * s_.in_w * s_.in_c;
    std::uint8_t* to =
        static_cast<std::uint8_t*>(args_.scratch) + std::ptrdiff_t{phase} * planes_.channels * planes_.pitch;
    const int total = (planes_.rows - packed_.band_rows + rows) * planes_.width;
    int in_row = row * s_.stride_h + planes_.phases[std::size_t(phase)].row - s_.pad_top;
    int position = 0;  // in its row
    for (int begin = 0; begin < total; begin += kSparseInt8Positions) {
      const std::uint8_t* pixels[kSparseInt8Positions];
      for (int i = 0; i < kSparseInt8Positions; ++i) {
        const int col = position * s_.stride_w + planes_.phases[std::size_t(phase)].col - s_.pad_left;
        const bool inside = begin + i < total && in_row >= 0 && in_row < s_.in_h && col >= 0 && col < s_.in_w;
        pixels[i] = inside ? input + (std::size_t(in_row) * s_.in_w + col) * s_.in_c : outside_.data();
        if (++position == planes_.width) position = 0, in_row += s_.stride_h;
      }
      // The last block ends with the last channel: nothing behind a pixel is read.
      if (s_.in_c < 16) turn_few(pixels, to + begin);
      for (int done = 0; s_.in_c >= 16 && done < s_.in_c; done += 16)
        turn(pixels, std::min(done, s_.in_c - 16), to + begin);
    }
  }

  void turn(const std::uint8_t* const* pixels, int channel, std::uint8_t* to) const {
    __m256i rows[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
      rows[i] = _mm256_xor_si256(two_pixels(pixels[i] + channel, pixels[i + 16] + channel), flip_);
    transpose(rows);
    to += channel * planes_.pitch;
    for (int i = 0; i < 16; ++i, to += planes_.pitch) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), rows[i]);
  }

  void turn_few(const std::uint8_t* const* pixels, std::uint8_t* to) const {
    std::uint8_t copies[kSparseInt8Positions][16] = {};
    const std::uint8_t* own[kSparseInt8Positions];
    for (int i = 0; i < kSparseInt8Positions; ++i) {
      std::memcpy(copies[i], pixels[i], std::size_t(s_.in_c));
      own[i] = copies[i];
    }
    turn(own, 0, to);
  }

  void sum(const Tile& tile, int output, __m256i (&sums)[2][4]) const {
    const SparseInt8Quad *begin = packed_.quads.data() + packed_.quad_begins[std::size_t(output)],
                         *end = packed_.quads.data() + packed_.quad_begins[std::size_t(output) + 1];
    const std::int32_t bias = reinterpret_cast<const std::int32_t*>(packed_.bias.front().bytes)[output];
    constexpr int kWide = 512;  // channels of which 64 positions fill the L1 cache
    const auto run = tile.halves == 1    ? sum_quads<1, false>
                     : s_.in_c >= kWide ? sum_quads<2, true>
                                         : sum_quads<2, false>;
    run(tile.from, begin, end, bias, sums);
  }

  // Up to 16 outputs of a tile.
  void run_outputs(const Tile& tile, int output, int count) {
    if (!bytes_) return run_any(tile, output, count);
    __m256i bytes[2][kOutputs], residual[2][kOutputs];
    for (int h = 0; h < tile.halves && args_.epilogue.residual; ++h)
      read_residual(tile.index + h * kSparseInt8Positions, output, count, residual[h]);
    for (int i = 0; i < count; ++i) {
      __m256i sums[2][4];
      sum(tile, output + i, sums);
      const __m256 multiplier = _mm256_set1_ps(args_.epilogue.multiplier[output + i]);
      for (int h = 0; h < tile.halves; ++h) {
        __m256 v[4];
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) v[k] = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[h][k]), multiplier);
        if (args_.epilogue.has_mid) {
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k) v[k] = epilogue_.after_mid(v[k]);
        }
        if (args_.epilogue.residual) add_residual(residual[h][i], v);
        bytes[h][i] = epilogue_.packed(v);
      }
    }
    for (int h = 0; h < tile.halves; ++h) {
      std::fill(bytes[h] + count, bytes[h] + kOutputs, _mm256_setzero_si256());
      transpose(bytes[h]);
      const std::int64_t* index = tile.index + h * kSparseInt8Positions;
      for (int i = 0; i < kOutputs; ++i) {
        store(_mm256_castsi256_si128(bytes[h][i]), index[i], output, count);
        store(_mm256_extracti128_si256(bytes[h][i], 1), index[i + 16], output, count);
      }
    }
  }

  void store(__m128i bytes, std::int64_t index, int output, int count) const {
    if (index < 0) return;
    std::uint8_t* to = epilogue_.output + index + output;
    if (count == kOutputs) return _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
    alignas(16) std::uint8_t part[kOutputs];
    _mm_store_si128(reinterpret_cast<__m128i*>(part), bytes);
    std::memcpy(to, part, std::size_t(count));
  }

  void read_residual(const std::int64_t* index, int output, int count, __m256i (&to)[kOutputs]) const {
    const auto* residual = static_cast<const std::uint8_t*>(args_.epilogue.residual) + output;
    static constexpr std::uint8_t kNothing[kOutputs] = {};
    std::uint8_t copies[kSparseInt8Positions][kOutputs];
    const std::uint8_t* pixels[kSparseInt8Positions];
    for (int i = 0; i < kSparseInt8Positions; ++i) pixels[i] = index[i] < 0 ? kNothing : residual + index[i];
    if (count < kOutputs) {
      std::memset(copies, 0, sizeof(copies));
      for (int i = 0; i < kSparseInt8Positions; ++i) {
        std::memcpy(copies[i], pixels[i], std::size_t(count));
        pixels[i] = copies[i];
      }
    }
    for (int i = 0; i < kOutputs; ++i) to[i] = _mm256_xor_si256(two_pixels(pixels[i], pixels[i + 16]), residual_flip_);
    transpose(to);
  }

  // The positions' residuals in the order of the sums.
  void add_residual(__m256i bytes, __m256 (&v)[4]) const {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i words[2] = {_mm256_unpacklo_epi8(bytes, zero), _mm256_unpackhi_epi8(bytes, zero)};
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const __m256i r =
          k % 2 == 0 ? _mm256_unpacklo_epi16(words[k / 2], zero) : _mm256_unpackhi_epi16(words[k / 2], zero);
      v[k] = _mm256_add_ps(
          v[k], _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(r, residual_zero_)), epilogue_.residual_scale));
    }
  }

  // Other outputs than plain bytes, 8 at a time.
  void run_any(const Tile& tile, int output, int count) const {
    alignas(32) std::int32_t in_order[2 * kSparseInt8Positions][kOutputs] = {};
    for (int o = 0; o < count; ++o) {
      __m256i sums[2][4];
      sum(tile, output + o, sums);
      for (int h = 0; h < tile.halves; ++h) {
        alignas(32) std::int32_t values[kSparseInt8Positions];
        for (int k = 0; k < 4; ++k) _mm256_store_si256(reinterpret_cast<__m256i*>(values) + k, sums[h][k]);
        for (int i = 0; i < kSparseInt8Positions; ++i)
          in_order[h * kSparseInt8Positions + i % 4 + i / 8 * 4 + i / 4 % 2 * 16][o] = values[i];
      }
    }
    for (int i = 0; i < tile.halves * kSparseInt8Positions; ++i)
      for (int o = 0; o < count && tile.index[i] >= 0; o += 8)
        epilogue_.store(std::size_t(tile.index[i] + output + o),
                        _mm256_load_si256(reinterpret_cast<const __m256i*>(&in_order[i][o])),
                        args_.epilogue.multiplier + output + o, std::min(8, count - o));
  }

  const PackedSparseInt8& packed_;
  const ConvInt8Shape& s_;
  const ConvInt8Args& args_;
  SparseInt8Planes planes_;
  Int8Epilogue256 epilogue_;
  bool bytes_;
  std::int64_t pitch_;
  __m256i flip_, residual_flip_, residual_zero_;
  std::vector<std::uint8_t> outside_;  // a pixel of zero points
};

}  // namespace
}  // namespace pare
