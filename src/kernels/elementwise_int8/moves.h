#pragma once
// Moves, tables, broadcasts and interpolation; compiled once for each instruction set like loops.h, hence everything is in
// an unnamed namespace. A file that can look up 64 bytes at once defines PARE_LOOKUP_64(table, vector) before.

#include <cstring>

#include "kernels/elementwise_int8/loops.h"

namespace pare {
namespace {

// Bytes that lie next to each other on both sides. Short runs, as of pixels with few channels, are copied in two
// overlapping words.
inline void copy_bytes(const std::uint8_t* from, std::uint8_t* to, std::size_t count) {
  if (count >= 16) {
    std::memcpy(to, from, count);
  } else if (count >= 8) {
    std::uint64_t a, b;
    std::memcpy(&a, from, 8);
    std::memcpy(&b, from + count - 8, 8);
    std::memcpy(to, &a, 8);
    std::memcpy(to + count - 8, &b, 8);
  } else if (count >= 4) {
    std::uint32_t a, b;
    std::memcpy(&a, from, 4);
    std::memcpy(&b, from + count - 4, 4);
    std::memcpy(to, &a, 4);
    std::memcpy(to + count - 4, &b, 4);
  } else {
    for (std::size_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

inline void look_up(const std::uint8_t* from, std::uint8_t* to, std::size_t count, const std::uint8_t* table) {
  std::size_t i = 0;
#ifdef PARE_LOOKUP_64
  for (; i + 64 <= count; i += 64) _mm512_storeu_si512(to + i, PARE_LOOKUP_64(table, _mm512_loadu_si512(from + i)));
  if (i < count) {
    const __mmask64 rest = (1ull << (count - i)) - 1;
    _mm512_mask_storeu_epi8(to + i, rest, PARE_LOOKUP_64(table, _mm512_maskz_loadu_epi8(rest, from + i)));
  }
#else
  for (; i < count; ++i) to[i] = table[from[i]];
#endif
}

// The innermost axis.
inline void move_run(const MoveInt8& job, const std::uint8_t* from, std::uint8_t* to, std::int64_t count) {
  const std::int64_t in = job.input_strides[5], out = job.output_strides[5];
  if (in == 1 && out == 1) {
    if (job.table) look_up(from, to, std::size_t(count), job.table);
    else copy_bytes(from, to, std::size_t(count));
  } else if (job.table) {
    for (std::int64_t i = 0; i < count; ++i) to[i * out] = job.table[from[i * in]];
  } else if (out == 1 && in == 4) {  // blocks of 2x2 pixels: the compiler has shuffles for these
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i * 4];
  } else if (out == 1) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i * in];
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i * out] = from[i * in];
  }
}

// `count` runs of `Bytes` bytes: pixels of few channels, for which a call or a loop of their own would take longer than the copy.
template <int Bytes>
void copy_runs(const MoveInt8& job, const std::uint8_t* from, std::uint8_t* to, std::int64_t count) {
  const std::int64_t in = job.input_strides[4], out = job.output_strides[4];  // bytes written might be the job's
  for (std::int64_t i = 0; i < count; ++i) std::memcpy(to + i * out, from + i * in, Bytes);
}

using MoveRuns = void (*)(const MoveInt8&, const std::uint8_t*, std::uint8_t*, std::int64_t);

// Runs side by side along the last axis but one.
void move_runs(const MoveInt8& job, const std::uint8_t* from, std::uint8_t* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) move_run(job, from + i * job.input_strides[4], to + i * job.output_strides[4], job.extents[5]);
}

MoveRuns runs_of(const MoveInt8& job) {
  if (job.table || job.input_strides[5] != 1 || job.output_strides[5] != 1) return move_runs;
  switch (job.extents[5]) {
    case 1: return copy_runs<1>;
    case 2: return copy_runs<2>;
    case 3: return copy_runs<3>;
    case 4: return copy_runs<4>;
    case 6: return copy_runs<6>;
    case 8: return copy_runs<8>;
    case 12: return copy_runs<12>;
    case 16: return copy_runs<16>;
    case 24: return copy_runs<24>;
    case 32: return copy_runs<32>;
    case 48: return copy_runs<48>;
    case 64: return copy_runs<64>;
    default: return move_runs;
  }
}

// Threads share the runs; a single run is cut in pieces.
void move(const MoveInt8& job, int thread, int threads) {
  const std::uint8_t* input = static_cast<const std::uint8_t*>(job.input) + job.input_offset;
  std::uint8_t* output = static_cast<std::uint8_t*>(job.output) + job.output_offset;
  std::int64_t runs = 1;
  for (int k = 0; k < 5; ++k) runs *= job.extents[k];
  if (runs == 1) {
    const Span span(std::size_t(job.extents[5]), thread, threads);
    move_run(job, input + std::int64_t(span.begin) * job.input_strides[5], output + std::int64_t(span.begin) * job.output_strides[5],
             std::int64_t(span.end - span.begin));
    return;
  }
  const MoveRuns copy = runs_of(job);
  const std::int64_t begin = runs * thread / threads, end = runs * (thread + 1) / threads, across = std::max<std::int64_t>(job.extents[4], 1);
  std::int64_t at[4], rest = begin / across, from = 0, to = 0;
  for (int k = 3; k >= 0; --k) {
    at[k] = rest % std::max<std::int64_t>(job.extents[k], 1);
    rest /= std::max<std::int64_t>(job.extents[k], 1);
    from += at[k] * job.input_strides[k];
    to += at[k] * job.output_strides[k];
  }
  std::int64_t column = begin % across;
  for (std::int64_t run = begin; run < end;) {
    const std::int64_t count = std::min(across - column, end - run);
    copy(job, input + from + column * job.input_strides[4], output + to + column * job.output_strides[4], count);
    run += count;
    column = 0;
    for (int k = 3; k >= 0; --k) {
      from += job.input_strides[k];
      to += job.output_strides[k];
      if (++at[k] < job.extents[k]) break;
      from -= at[k] * job.input_strides[k];
      to -= at[k] * job.output_strides[k];
      at[k] = 0;
    }
  }
}

// A run of channels.
template <bool Multiply>
inline void combine(const BroadcastInt8& job, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* __restrict y, std::size_t count, Rounder round) {
  const int flip_a = flip_of(job.a_type.is_signed), zero_a = job.a_type.zero + flip_a;
  const int flip_b = flip_of(job.b_type.is_signed), zero_b = job.b_type.zero + flip_b;
  const float scale_a = job.a_type.scale, scale_b = job.b_type.scale;
  if (job.b_channel) {
    for (std::size_t i = 0; i < count; ++i) {
      const int va = (a[i] ^ flip_a) - zero_a, vb = (b[i] ^ flip_b) - zero_b;
      y[i] = Multiply ? round(static_cast<float>(va * vb) * scale_a) : round(static_cast<float>(va) * scale_a + static_cast<float>(vb) * scale_b);
    }
    return;
  }
  const int vb = (*b ^ flip_b) - zero_b;
  const float term = static_cast<float>(vb) * scale_b;
  for (std::size_t i = 0; i < count; ++i) {
    const int va = (a[i] ^ flip_a) - zero_a;
    y[i] = Multiply ? round(static_cast<float>(va * vb) * scale_a) : round(static_cast<float>(va) * scale_a + term);
  }
}

void broadcast(const BroadcastInt8& job, int thread, int threads) {
  const Rounder round(job.out_zero, job.out_lo, job.out_hi);
  const std::int64_t channels = job.channels, all = std::int64_t{job.batch} * job.pixels;
  // Where b has everything that a has, pixels are only an axis to be cut.
  const bool same = job.b_channel && job.b_pixel == channels && (job.batch == 1 || job.b_batch == channels * job.pixels);
  const std::int64_t begin = all * thread / threads, end = all * (thread + 1) / threads;
  std::uint8_t values[kBlock];
  for (std::int64_t pixel = begin; pixel < end; pixel = same ? end : pixel + 1) {
    const std::uint8_t* a = static_cast<const std::uint8_t*>(job.a) + pixel * channels;
    const std::uint8_t* b = static_cast<const std::uint8_t*>(job.b) + pixel / job.pixels * job.b_batch + pixel % job.pixels * job.b_pixel;
    std::uint8_t* y = static_cast<std::uint8_t*>(job.output) + pixel * channels;
    const std::size_t run = std::size_t(same ? (end - pixel) * channels : channels);
    // In blocks through a buffer: the output may be one of the inputs.
    for (std::size_t at = 0; at < run; at += kBlock) {
      const std::size_t count = std::min(kBlock, run - at);
      if (job.multiply) combine<true>(job, a + at, job.b_channel ? b + at : b, values, count, round);
      else combine<false>(job, a + at, job.b_channel ? b + at : b, values, count, round);
      std::memcpy(y + at, values, count);
    }
  }
}

void resize(const ResizeInt8& job, int thread, int threads) {
  const Rounder round(job.out_zero, job.out_lo, job.out_hi);
  const std::size_t channels = std::size_t(job.channels), row_bytes = std::size_t(job.in_w) * channels;
  const int flip = flip_of(job.input_signed), zero = job.input_zero + flip;
  const std::int64_t all = std::int64_t{job.batch} * job.out_h;
  for (std::int64_t row = all * thread / threads; row < all * (thread + 1) / threads; ++row) {
    const std::uint8_t* image = static_cast<const std::uint8_t*>(job.input) + std::size_t(row / job.out_h) * std::size_t(job.in_h) * row_bytes;
    const int h = static_cast<int>(row % job.out_h);
    const std::uint8_t *top = image + std::size_t(job.rows.first[h]) * row_bytes, *bottom = image + std::size_t(job.rows.second[h]) * row_bytes;
    const float down = job.rows.weight[h];
    std::uint8_t* y = static_cast<std::uint8_t*>(job.output) + std::size_t(row) * std::size_t(job.out_w) * channels;
    for (int w = 0; w < job.out_w; ++w, y += channels) {
      const std::size_t left = std::size_t(job.cols.first[w]) * channels, right = std::size_t(job.cols.second[w]) * channels;
      const float across = job.cols.weight[w], multiplier = job.multiplier;
      const auto between = [&](std::size_t at) {
        const float a = static_cast<float>((top[at] ^ flip) - zero), b = static_cast<float>((bottom[at] ^ flip) - zero);
        return a + (b - a) * down;
      };
      for (std::size_t c = 0; c < channels; ++c) {
        const float a = between(left + c), b = between(right + c);
        y[c] = round((a + (b - a) * across) * multiplier);
      }
    }
  }
}

}  // namespace
}  // namespace pare
