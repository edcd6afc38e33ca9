// AVX-512 VNNI: blocks of 64 channels. The bytes of four input rows at one column are interleaved, so that one vpdpbusd
// adds four taps of a column for 16 channels. Interleaving stays within 128-bit lanes: vector j of a block holds, in
// lane l, channels 16 l + 4 j to + 3. Weights, bias and multipliers are kept in this order; packing the results undoes
// it. Rows and columns outside the image read the zero point, so nothing is copied. A last block of at most 32 (16)
// channels fills its vectors with 2 (4) pieces: the same channels of several output rows.

#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // both: false alarms in GCC 12's immintrin.h (GCC bug 105593)

#include <algorithm>
#include <cstring>

#include "kernels/depthwise_int8/columns_avx512.h"
#include "kernels/depthwise_int8/pack.h"
#include "kernels/int8_epilogue/int8_epilogue_avx512.h"

namespace pare {
namespace {

// Byte of the block that a 32-bit place of the interleaved vectors came from.
int byte_at(int place) {
  return place % 16 / 4 * 16 + place / 16 * 4 + place % 4;
}

int row_groups(const DepthwiseInt8Shape& s) {
  return (s.kernel_h + 3) / 4;
}

// Two output rows share the interleaved columns of four input rows.
bool in_pairs(const DepthwiseInt8Shape& s) {
  return s.kernel_h == 3 && s.kernel_w == 3 && s.stride_h == 1 && s.stride_w == 1 && s.dilation_h == 1 &&
         s.dilation_w == 1;
}

bool rolls(const DepthwiseInt8Shape& s) {
  return s.kernel_h == 3 && s.kernel_w == 3 && s.dilation_h == 1 && s.dilation_w == 1 && s.stride_w <= 2;
}

// Weights: [block][output row of the pair][row group][column][vector][lane][4 rows]
std::size_t weight_bytes(const DepthwiseInt8Shape& s) {
  return std::size_t(in_pairs(s) ? 2 : 1) * row_groups(s) * s.kernel_w * 4 * 64;
}

PackedDepthwiseInt8 pack(const DepthwiseInt8Shape& shape, const DepthwiseInt8Weights& source) {
  PackedDepthwiseInt8 packed = start_depthwise_int8_pack(shape, source, kBlock);
  const int blocks = packed.padded_channels / kBlock;
  packed.weights.assign(weight_bytes(shape) / sizeof(Int8Line) * blocks, Int8Line{});
  std::uint8_t* weights = packed.weights.front().bytes;
  const std::vector<std::int32_t> bias = packed.bias;
  for (int block = 0; block < blocks; ++block) {
    const int piece = piece_bytes(shape.channels - block * kBlock);
    for (int place = 0; place < kBlock; ++place) {
      const int channel = block * kBlock + byte_at(place) % piece;
      packed.bias[block * kBlock + place] = bias[channel];
      if (channel >= shape.channels) continue;
      for (int pair = 0; pair < (in_pairs(shape) ? 2 : 1); ++pair) {
        for (int kh = 0; kh < shape.kernel_h; ++kh) {
          for (int kw = 0; kw < shape.kernel_w; ++kw) {
            const int group = pair * row_groups(shape) + (kh + pair) / 4;
            const std::size_t at = weight_bytes(shape) * block +
                                   ((std::size_t(group) * shape.kernel_w + kw) * 64 + place) * 4 + (kh + pair) % 4;
            weights[at] =
                static_cast<std::uint8_t>(source.weights[(channel * shape.kernel_h + kh) * shape.kernel_w + kw]);
          }
        }
      }
    }
  }
  return packed;
}

class Driver {
 public:
  Driver(const PackedDepthwiseInt8& packed, const DepthwiseInt8Args& args)
      : packed_(packed), s_(packed.shape), args_(args), e_(args.epilogue, packed.shape.channels) {
    std::memset(border_, packed.input_signed ? packed.input_zero ^ 0x80 : packed.input_zero, sizeof(border_));
    real_ = args.epilogue.type == Int8Output::f32;
    mid_ = args.epilogue.has_mid;
    residual_ = args.epilogue.residual != nullptr;
    pitch_ = std::ptrdiff_t(depthwise_int8_pitch(s_, args.epilogue));
    rows_at_once_ = in_pairs(s_) ? 2 : 1;
    steps_per_image_ = (s_.out_h() + rows_at_once_ - 1) / rows_at_once_;
  }

  // A step is one output row, or two, of one image; a unit of work one step of every piece of a block of channels.
  void run(int thread, int threads) {
    const std::int64_t steps = std::int64_t{steps_per_image_} * s_.batch;
    for (int channel = 0; channel < s_.channels; channel += kBlock) {
      pieces_ = Pieces(std::min(kBlock, s_.channels - channel));
      const std::int64_t units = (steps + pieces_.count() - 1) / pieces_.count();
      // Threads take turns in having one unit more.
      const int turn = (thread + channel / kBlock) % threads;
      const std::int64_t begin = units * turn / threads, end = units * (turn + 1) / threads;
      if (begin < end) start_block(channel);
      for (std::int64_t unit = begin; unit < end; ++unit) run_unit(unit * pieces_.count(), steps);
    }
  }

 private:
  void start_block(int channel) {
    channel_ = channel;
    const int channels = std::min(kBlock, s_.channels - channel);
    weights_ = packed_.weights.front().bytes + weight_bytes(s_) * (channel / kBlock);
    alignas(64) float multiplier[kBlock] = {};
    for (int place = 0; place < kBlock; ++place) {
      const int c = byte_at(place) % pieces_.bytes;
      if (c < channels) multiplier[place] = args_.epilogue.multiplier[channel + c];
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      multiplier_[j] = _mm512_load_ps(multiplier + 16 * j);
      bias_[j] = _mm512_loadu_si512(packed_.bias.data() + channel + 16 * j);
    }
  }

  void run_unit(std::int64_t first_step, std::int64_t steps) {
    OutRow out[2];
    for (int piece = 0; piece < pieces_.count(); ++piece) {
      const std::int64_t step = std::min(first_step + piece, steps - 1);
      image_[piece] = static_cast<int>(step / steps_per_image_);
      oh_[piece] = static_cast<int>(step % steps_per_image_) * rows_at_once_;
      for (int r = 0; r < rows_at_once_; ++r) {
        const bool valid = first_step + piece < steps && oh_[piece] + r < s_.out_h();
        const std::int64_t row = std::int64_t{image_[piece]} * s_.out_h() + oh_[piece] + r;
        out[r].index[piece] = valid ? row * s_.out_w() * pitch_ + channel_ : -1;
      }
    }
    if (pieces_.count() == 1)
      run_rows<1>(out);
    else if (pieces_.count() == 2)
      run_rows<2>(out);
    else
      run_rows<4>(out);
  }

  template <int Count>
  void run_rows(OutRow (&out)[2]) const {
    if (!rolls(s_))
      run_any<Count>(out[0]);
    else if (real_ || mid_ || residual_ || e_.activates || e_.leaks || !e_.bounded)
      run_rows_of<Count, false>(out);
    else
      run_rows_of<Count, true>(out);
  }

  template <int Count, bool Plain>
  void run_rows_of(OutRow (&out)[2]) const {
    if (rows_at_once_ == 2 && (Count > 1 || out[1].index[0] >= 0))
      run_rolling<Count, 2, 1, Plain>(out);
    else if (s_.stride_w == 1)
      run_rolling<Count, 1, 1, Plain>(out);
    else
      run_rolling<Count, 1, 2, Plain>(out);
  }

  // The rows under kernel rows first, first + 1, ...; all beyond `count` are the border.
  Rows rows_at(int first, int count) const {
    Rows rows;
    for (int piece = 0; piece < pieces_.count(); ++piece) {
      const std::uint8_t* input = static_cast<const std::uint8_t*>(args_.input) +
                                  std::size_t(image_[piece]) * s_.in_h * s_.in_w * s_.channels + channel_;
      for (int r = 0; r < 4; ++r) {
        const int ih = oh_[piece] * s_.stride_h - s_.pad_top + (first + r) * s_.dilation_h;
        const bool inside = r < count && ih >= 0 && ih < s_.in_h;
        rows.row[r][piece] = inside ? input + std::size_t(ih) * s_.in_w * s_.channels : border_;
        rows.step[r][piece] = inside ? s_.channels : 0;
      }
    }
    rows.in_w = s_.in_w;
    rows.pieces = pieces_;
    rows.flip = _mm512_set1_epi8(packed_.input_signed ? -128 : 0);
    rows.border = _mm512_set1_epi8(static_cast<char>(packed_.input_zero));
    return rows;
  }

  // 3x3: three interleaved columns stay in registers while the output moves on. Plain: a quantized output without mid
  // step or residual, whose constants stay in registers too.
  template <int Count, int OutRows, int Stride, bool Plain>
  __attribute__((noinline)) void run_rolling(OutRow (&out)[2]) const {
    const Rows rows = rows_at(0, OutRows + 2);
    Columns<Count> columns(rows, -s_.pad_left);
    const PlainPixels<Count> plain{weights_,
                                   {bias_[0], bias_[1], bias_[2], bias_[3]},
                                   {multiplier_[0], multiplier_[1], multiplier_[2], multiplier_[3]},
                                   e_.zero16,
                                   e_.lo8,
                                   e_.hi8,
                                   e_.flip8,
                                   e_.table};
    PlainTargets<Count> targets[OutRows];
    for (int r = 0; r < OutRows; ++r)
      targets[r] = PlainTargets<Count>(static_cast<std::uint8_t*>(args_.output), out[r]);
    const Pieces pieces = pieces_;
    const std::size_t pitch = pitch_;
    const auto pixel = [&](const __m512i(&x)[4], const __m512i(&y)[4], const __m512i(&z)[4])
        __attribute__((always_inline)) {
#pragma GCC unroll 2
      for (int r = 0; r < OutRows; ++r) {
        __m512i sums[4];
        plain.sum(r, x, y, z, sums);
        if constexpr (Plain) {
          pieces.store<Count>(targets[r].to, plain.bytes(sums));
          targets[r].move(pitch);
        } else {
          finish<Count>(sums, out[r]);
        }
      }
    };
    __m512i a[4], b[4], c[4];
    columns.next(a);
    if constexpr (Stride == 1) columns.next(b);
    // The names of the three columns rotate instead of their contents.
    for (int left = s_.out_w();;) {
      if constexpr (Stride == 1) {
        columns.next(c);
        pixel(a, b, c);
        if (--left == 0) return;
        columns.next(a);
        pixel(b, c, a);
        if (--left == 0) return;
        columns.next(b);
        pixel(c, a, b);
        if (--left == 0) return;
      } else {
        columns.next(b);
        columns.next(c);
        pixel(a, b, c);
        if (--left == 0) return;
        columns.next(b);
        columns.next(a);
        pixel(c, b, a);
        if (--left == 0) return;
      }
    }
  }

  // Any kernel: columns are interleaved anew for every tap.
  template <int Count>
  void run_any(OutRow& out) const {
    const int out_w = s_.out_w();
    for (int ow = 0; ow < out_w; ++ow) {
      __m512i sums[4] = {bias_[0], bias_[1], bias_[2], bias_[3]};
      const std::uint8_t* weights = weights_;
      for (int kh = 0; kh < s_.kernel_h; kh += 4) {
        const Rows rows = rows_at(kh, s_.kernel_h - kh);
        for (int kw = 0; kw < s_.kernel_w; ++kw, weights += 256) {
          __m512i t[4];
          rows.interleave<Count>(ow * s_.stride_w - s_.pad_left + kw * s_.dilation_w, t);
#pragma GCC unroll 4
          for (int j = 0; j < 4; ++j) sums[j] = _mm512_dpbusd_epi32(sums[j], t[j], _mm512_load_si512(weights + j * 64));
        }
      }
      finish<Count>(sums, out);
    }
  }

  // Writes one pixel of every piece and moves on to the next.
  template <int Count>
  void finish(const __m512i (&sums)[4], OutRow& out) const {
    __m512 v[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) v[j] = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[j]), multiplier_[j]);
    if (e_.activates) activate(e_.first, v);
    if (mid_) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) v[j] = e_.after_mid(v[j]);
    }
    if (residual_) add_residual<Count>(v, out);
    if (e_.activates || e_.leaks) activate(e_.last, v);
    if (real_) {
      store_real(v, out);
    } else {
      if (!e_.bounded || e_.activates) {
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) v[j] = e_.limited(v[j]);
      }
      std::uint8_t* to[4];
      for (int piece = 0; piece < Count; ++piece) {
        to[piece] =
            Count == 1 || out.index[piece] >= 0 ? static_cast<std::uint8_t*>(args_.output) + out.index[piece] : nullptr;
      }
      pieces_.store<Count>(to, e_.packed(v));
    }
    for (int piece = 0; piece < Count; ++piece)
      out.index[piece] += Count == 1 || out.index[piece] >= 0 ? pitch_ : 0;
  }

  // Not inline: its constants want the registers that the columns hold.
  static __attribute__((noinline)) void activate(const Int8Activation& a, __m512 (&v)[4]) {
    if (a.kind == Int8Activation::swish && a.coarse) {
#pragma GCC unroll 4
      for (__m512& each : v) each = _mm512_mul_ps(gated<Float16, SigmoidGate>(a.alpha, each), _mm512_set1_ps(a.scale));
    } else {
      for (__m512& each : v) each = Int8Epilogue512::after(a, each);
    }
  }

  template <int Count>
  void add_residual(__m512 (&v)[4], const OutRow& out) const {
    static constexpr std::ptrdiff_t kNoStep[4] = {};
    const std::uint8_t* from[4];
    for (int piece = 0; piece < Count; ++piece)
      from[piece] = out.index[piece] >= 0 ? e_.residual + out.index[piece] : border_;
    const __m512i flip = _mm512_set1_epi8(args_.epilogue.residual_signed ? -128 : 0), none = _mm512_setzero_si512();
    const __m512i r = _mm512_xor_si512(pieces_.load<Count>(from, 0, kNoStep), flip);
    const __m512i lo = _mm512_unpacklo_epi8(r, none), hi = _mm512_unpackhi_epi8(r, none);
    const __m512i wide[4] = {_mm512_unpacklo_epi16(lo, none), _mm512_unpackhi_epi16(lo, none),
                             _mm512_unpacklo_epi16(hi, none), _mm512_unpackhi_epi16(hi, none)};
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m512 term = _mm512_cvtepi32_ps(_mm512_sub_epi32(wide[j], e_.residual_zero));
      v[j] = _mm512_add_ps(v[j], _mm512_mul_ps(term, e_.residual_scale));
    }
  }

  void store_real(const __m512 (&v)[4], const OutRow& out) const {
    alignas(64) float values[kBlock];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) _mm512_store_ps(values + 16 * j, e_.limited(v[j]));
    const int channels = std::min(kBlock, s_.channels - channel_);
    for (int place = 0; place < kBlock; ++place) {
      const std::ptrdiff_t index = out.index[byte_at(place) / pieces_.bytes];
      const int c = byte_at(place) % pieces_.bytes;
      if (c < channels && index >= 0) static_cast<float*>(args_.output)[index + c] = values[place];
    }
  }

  const PackedDepthwiseInt8& packed_;
  const DepthwiseInt8Shape& s_;
  const DepthwiseInt8Args& args_;
  Int8Epilogue512 e_;
  bool real_, mid_, residual_;
  std::ptrdiff_t pitch_;
  int rows_at_once_;
  int steps_per_image_;
  // Of the current unit:
  int channel_ = 0;
  Pieces pieces_;
  int image_[4], oh_[4];  // of each piece
  const std::uint8_t* weights_ = nullptr;
  __m512 multiplier_[4];
  __m512i bias_[4];
  alignas(64) std::uint8_t border_[kBlock];
};

void run(const PackedDepthwiseInt8& packed, const DepthwiseInt8Args& args, int thread, int threads) {
  Driver(packed, args).run(thread, threads);
}

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

}  // namespace

extern const DepthwiseInt8Kernel depthwise_int8_avx512vnni;
const DepthwiseInt8Kernel depthwise_int8_avx512vnni = {"depthwise_int8_avx512vnni", "avx512vnni", supported, pack, run};

}  // namespace pare
