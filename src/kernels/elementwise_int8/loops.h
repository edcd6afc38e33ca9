#pragma once
// The loops of every elementwise kernel, written so that the compiler vectorises them; compiled once for each
// instruction set, hence everything is in an unnamed namespace.
//
// Rounding: adding and subtracting 1.5 * 2^23 rounds a float of magnitude below 2^22 to the nearest integer, ties to
// even. All values are limited to a range of 255 before, so the limit never changes the result.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/elementwise_int8/elementwise_int8.h"

namespace pare {
namespace {

constexpr float kRound = 12582912.0f;  // 1.5 * 2^23

// Threads share `count` items; multiples of 64 keep them off each other's cache lines.
struct Span {
  std::size_t begin, end;
  Span(std::size_t count, int thread, int threads)
      : begin(cut(count, thread, threads)), end(cut(count, thread + 1, threads)) {}
  static std::size_t cut(std::size_t count, int thread, int threads) {
    return thread == threads ? count : count * thread / threads / 64 * 64;
  }
};

// clamp(rne(v) + zero, lo, hi) as the byte of a u8 or s8; a NaN becomes lo.
struct Rounder {
  float lo, hi;
  int zero;
  Rounder(int zero_point, int low, int high)
      : lo(static_cast<float>(low - zero_point)), hi(static_cast<float>(high - zero_point)), zero(zero_point) {}
  std::uint8_t operator()(float v) const {
    v = v > lo ? v : lo;
    v = v < hi ? v : hi;
    const float shifted = v + kRound;
    std::int32_t bits;
    std::memcpy(&bits, &shifted, 4);
    return static_cast<std::uint8_t>(bits - 0x4b400000 + zero);
  }
};

Rounder type_rounder(const Int8Type& type) {
  return {type.zero, type.is_signed ? -128 : 0, type.is_signed ? 127 : 255};
}

// The byte's value plus 128 if signed: s8 is read as u8 with the top bit flipped.
int flip_of(bool is_signed) {
  return is_signed ? 0x80 : 0;
}

constexpr std::size_t kBlock = 256;  // pixels transposed at once

// y = round(x / scale). Multiplying by 1 / scale is faster and differs only next to a tie: within the range of the
// result the product is at most 512 * 2^-23 * 1.5 off the quotient, so blocks with a product closer than 1e-3 to a tie
// are divided.
void quantize_row(const float* __restrict x, std::uint8_t* __restrict y, std::size_t count, float scale,
                  Rounder round) {
  constexpr std::size_t kPiece = 64;
  const float inverse = 1.0f / scale;
  for (std::size_t at = 0; at < count; at += kPiece) {
    const std::size_t piece = std::min(kPiece, count - at);
    int ties = scale < 1e-30f || scale > 1e30f;
    for (std::size_t i = 0; i < piece; ++i) {
      float v = x[at + i] * inverse;
      y[at + i] = round(v);
      v = v > round.lo - 1 ? v : round.lo - 1;
      v = v < round.hi + 1 ? v : round.hi + 1;
      const float off = v - ((v + kRound) - kRound);
      ties |= (off > 0.499f) | (off < -0.499f);
    }
    if (!ties) continue;
    for (std::size_t i = 0; i < piece; ++i) y[at + i] = round(x[at + i] / scale);
  }
}

typedef std::uint8_t Bytes16 __attribute__((vector_size(16)));

// Byte `b` of vector `v`, where sixteen bytes of each of three planes become sixteen pixels of three bytes: channel (16 v + b) % 3 of
// pixel (16 v + b) / 3. First of the first two planes, whose bytes have the numbers 0 … 31, then of what came of them and the third.
constexpr int byte_of_two(int v, int b) { return (16 * v + b) / 3 + ((16 * v + b) % 3 == 1 ? 16 : 0); }
constexpr int byte_with_third(int v, int b) { return (16 * v + b) % 3 == 2 ? 16 + (16 * v + b) / 3 : b; }

template <int V, int... B>
inline Bytes16 interleaved(const Bytes16 (&plane)[3], std::integer_sequence<int, B...>) {
  const Bytes16 two = __builtin_shufflevector(plane[0], plane[1], byte_of_two(V, B)...);
  return __builtin_shufflevector(two, plane[2], byte_with_third(V, B)...);
}

// Three planes, the usual image, become pixels of three bytes.
void interleave_three(const std::uint8_t (*rows)[kBlock], std::uint8_t* __restrict to, std::size_t count) {
  using All = std::make_integer_sequence<int, 16>;
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    Bytes16 plane[3];
    for (int c = 0; c < 3; ++c) std::memcpy(&plane[c], rows[c] + i, 16);
    const Bytes16 pixels[3] = {interleaved<0>(plane, All{}), interleaved<1>(plane, All{}), interleaved<2>(plane, All{})};
    std::memcpy(to + 3 * i, pixels, sizeof pixels);
  }
  for (; i < count; ++i)
    for (int c = 0; c < 3; ++c) to[3 * i + c] = rows[c][i];
}

void quantize(const QuantizeInt8& job, int thread, int threads) {
  const Rounder round = type_rounder(job.type);
  std::uint8_t* output = static_cast<std::uint8_t*>(job.output);
  const std::size_t area = std::size_t(job.height) * job.width;
  const std::size_t channels = job.channels;
  if (!job.input_nchw || channels == 1) {
    const Span span(job.batch * area * channels, thread, threads);
    quantize_row(job.input + span.begin, output + span.begin, span.end - span.begin, job.type.scale, round);
    return;
  }
  const Span span(area, thread, threads);
  std::uint8_t rows[3][kBlock];
  for (int n = 0; n < job.batch; ++n) {
    for (std::size_t p = span.begin; p < span.end; p += kBlock) {
      const std::size_t count = std::min(kBlock, span.end - p);
      for (std::size_t c = 0; c < channels; ++c) {
        std::uint8_t* row = rows[channels == 3 ? c : 0];
        quantize_row(job.input + (n * channels + c) * area + p, row, count, job.type.scale, round);
        std::uint8_t* to = output + (n * area + p) * channels + c;
        for (std::size_t i = 0; i < count && channels != 3; ++i) to[i * channels] = row[i];
      }
      if (channels == 3) interleave_three(rows, output + (n * area + p) * 3, count);
    }
  }
}

void dequantize(const DequantizeInt8& job, int thread, int threads) {
  const std::uint8_t* input = static_cast<const std::uint8_t*>(job.input);
  const int flip = flip_of(job.type.is_signed), zero = job.type.zero + flip;
  const float scale = job.type.scale;
  const std::size_t area = std::size_t(job.height) * job.width;
  const std::size_t channels = job.channels;
  if (!job.output_nchw || channels == 1) {
    const Span span(job.batch * area * channels, thread, threads);
    float* __restrict output = job.output;
    for (std::size_t i = span.begin; i < span.end; ++i)
      output[i] = static_cast<float>((input[i] ^ flip) - zero) * scale;
    return;
  }
  const Span span(area, thread, threads);
  for (int n = 0; n < job.batch; ++n) {
    for (std::size_t c = 0; c < channels; ++c) {
      const std::uint8_t* x = input + n * area * channels + c;
      float* y = job.output + (n * channels + c) * area;
      for (std::size_t p = span.begin; p < span.end; ++p)
        y[p] = static_cast<float>((x[p * channels] ^ flip) - zero) * scale;
    }
  }
}

void add(const AddInt8& job, int thread, int threads) {
  const Rounder round(job.out_zero, job.out_lo, job.out_hi);
  const Span span(job.count, thread, threads);
  const std::uint8_t* a = static_cast<const std::uint8_t*>(job.a);
  const std::uint8_t* b = static_cast<const std::uint8_t*>(job.b);
  std::uint8_t* output = static_cast<std::uint8_t*>(job.output);
  const int flip_a = flip_of(job.a_type.is_signed), zero_a = job.a_type.zero + flip_a;
  const int flip_b = flip_of(job.b_type.is_signed), zero_b = job.b_type.zero + flip_b;
  const float scale_a = job.a_type.scale, scale_b = job.b_type.scale;
  // In blocks through a buffer: the output may be one of the inputs.
  std::uint8_t sums[kBlock];
  for (std::size_t at = span.begin; at < span.end; at += kBlock) {
    const std::size_t count = std::min(kBlock, span.end - at);
    if (b == nullptr) {
      for (std::size_t i = 0; i < count; ++i)
        sums[i] = round(static_cast<float>((a[at + i] ^ flip_a) - zero_a) * scale_a);
    } else {
      for (std::size_t i = 0; i < count; ++i) {
        const float va = static_cast<float>((a[at + i] ^ flip_a) - zero_a) * scale_a;
        const float vb = static_cast<float>((b[at + i] ^ flip_b) - zero_b) * scale_b;
        sums[i] = round(va + vb);
      }
    }
    std::memcpy(output + at, sums, count);
  }
}

void global_pool(const GlobalPoolInt8& job, int thread, int threads) {
  const Rounder round(job.out_zero, job.out_lo, job.out_hi);
  const std::uint8_t* input = static_cast<const std::uint8_t*>(job.input);
  const int flip = flip_of(job.input_signed);
  const std::int32_t zeros = job.pixels * (job.input_zero + flip);
  const std::size_t channels = job.channels;
  const Span span(channels, thread, threads);
  std::int32_t sums[kBlock];
  for (int n = 0; n < job.batch; ++n) {
    for (std::size_t c = span.begin; c < span.end; c += kBlock) {
      const std::size_t count = std::min(kBlock, span.end - c);
      std::fill_n(sums, count, 0);
      for (int p = 0; p < job.pixels; ++p) {
        const std::uint8_t* x = input + (std::size_t(n) * job.pixels + p) * channels + c;
        for (std::size_t i = 0; i < count; ++i) sums[i] += x[i] ^ flip;
      }
      const std::size_t at = n * channels + c;
      for (std::size_t i = 0; i < count; ++i) {
        const float v = static_cast<float>(sums[i] - zeros) * job.multiplier;
        if (job.output_float)
          static_cast<float*>(job.output)[at + i] = v;
        else
          static_cast<std::uint8_t*>(job.output)[at + i] = round(v);
      }
    }
  }
}

// The part of a pooling window inside the image, and inside the padded image.
struct Window {
  int begin, end, padded;
  Window(int out, int stride, int pad, int pad_end, int kernel, int size) {
    const int first = out * stride - pad;
    begin = std::max(first, 0);
    end = std::max(begin, std::min(first + kernel, size));
    padded = std::min(first + kernel, size + pad_end) - first;
  }
};

#if defined(__AVX512BW__)
constexpr std::size_t kVector = 64;
#elif defined(__AVX2__)
constexpr std::size_t kVector = 32;
#else
constexpr std::size_t kVector = 16;
#endif
typedef std::uint8_t ByteVector __attribute__((vector_size(kVector)));

// Largest of a window's kVector channels at `x`.
inline __attribute__((always_inline)) void max_vector(const std::uint8_t* x, std::size_t row_bytes,
                                                      std::size_t channels, int rows, int cols, std::uint8_t flip,
                                                      std::uint8_t* output) {
  ByteVector most = {};
  for (int h = 0; h < rows; ++h, x += row_bytes) {
    for (int w = 0; w < cols; ++w) {
      ByteVector v;
      std::memcpy(&v, x + w * channels, kVector);
      v ^= flip;
      most = v > most ? v : most;
    }
  }
  most ^= flip;
  std::memcpy(output, &most, kVector);
}

void max_window(const PoolInt8& job, const std::uint8_t* image, Window rows, Window cols, std::uint8_t* output) {
  const std::size_t channels = job.channels;
  const std::size_t row_bytes = job.in_w * channels;
  const std::uint8_t flip = static_cast<std::uint8_t>(flip_of(job.is_signed));
  const std::uint8_t* x = image + rows.begin * row_bytes + cols.begin * channels;
  const int height = rows.end - rows.begin, width = cols.end - cols.begin;
  std::size_t c = 0;
  for (; c + kVector <= channels; c += kVector) max_vector(x + c, row_bytes, channels, height, width, flip, output + c);
  for (; c < channels; ++c) {
    std::uint8_t most = 0;
    for (int h = 0; h < height; ++h) {
      for (int w = 0; w < width; ++w) most = std::max<std::uint8_t>(most, x[h * row_bytes + w * channels + c] ^ flip);
    }
    output[c] = most ^ flip;
  }
}

void average_window(const PoolInt8& job, const std::uint8_t* image, Window rows, Window cols,
                    std::uint8_t* __restrict output) {
  const Rounder round(job.out_zero, job.out_lo, job.out_hi);
  const std::size_t channels = job.channels;
  const int flip = flip_of(job.is_signed);
  const int pixels = (rows.end - rows.begin) * (cols.end - cols.begin);
  const int divisor = job.count_include_pad ? rows.padded * cols.padded : pixels;
  const float multiplier = job.multiplier / static_cast<float>(std::max(divisor, 1));
  const int zeros = pixels * (job.input_zero + flip);
  std::int32_t sums[kBlock];
  for (std::size_t c = 0; c < channels; c += kBlock) {
    const std::size_t count = std::min(kBlock, channels - c);
    std::fill_n(sums, count, 0);
    for (int h = rows.begin; h < rows.end; ++h) {
      for (int w = cols.begin; w < cols.end; ++w) {
        const std::uint8_t* x = image + (std::size_t(h) * job.in_w + w) * channels + c;
        for (std::size_t i = 0; i < count; ++i) sums[i] += x[i] ^ flip;
      }
    }
    for (std::size_t i = 0; i < count; ++i) output[c + i] = round(static_cast<float>(sums[i] - zeros) * multiplier);
  }
}

void pool(const PoolInt8& job, int thread, int threads) {
  const std::int64_t all = std::int64_t{job.batch} * job.out_h;
  std::uint8_t* output = static_cast<std::uint8_t*>(job.output);
  for (std::int64_t row = all * thread / threads; row < all * (thread + 1) / threads; ++row) {
    const std::uint8_t* image =
        static_cast<const std::uint8_t*>(job.input) + std::size_t(row / job.out_h) * job.in_h * job.in_w * job.channels;
    const Window rows(static_cast<int>(row % job.out_h), job.stride_h, job.pad_top, job.pad_bottom, job.kernel_h,
                      job.in_h);
    for (int col = 0; col < job.out_w; ++col) {
      const Window cols(col, job.stride_w, job.pad_left, job.pad_right, job.kernel_w, job.in_w);
      std::uint8_t* to = output + (std::size_t(row) * job.out_w + col) * job.channels;
      if (job.average)
        average_window(job, image, rows, cols, to);
      else
        max_window(job, image, rows, cols, to);
    }
  }
}

}  // namespace
}  // namespace pare
