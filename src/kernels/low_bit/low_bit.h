#pragma once
// Linear layers with weights of 2 to 8 bits in small groups: y[r][o] = bias[o] + Σ_i x[r][i]·w[o][i], where
// w = scale·(level − zero) − offset, scale and offset one for each output and group of 16 or 32 inputs. Activations are
// rounded to 8 bits with one scale for each 32 of them, as llama.cpp does; sums within a group are exact.
//
// The weights lie in one stream, in the order in which they are read: strips of 16 outputs, within a strip units of 64
// inputs: scales [group][16] float16, offsets [group][16] float16 where there are any, then the levels in planes. Vector i
// (of 16) holds inputs 4i … 4i + 3 of the unit for every output, a byte each, so that one instruction multiplies it with
// four activations. A plane of 4 bits keeps vectors i and i + 8 in one, a plane of 2 bits i, i + 4, i + 8 and i + 12, a
// plane of 1 bit eight bytes a vector.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace pare {

enum class LowBitPlanes : uint8_t { pair, pair_bit, nibble, nibble_bit, nibble_pair, byte };  // 2, 3, 4, 5, 6, 8 bits

struct LowBitShape {
  int64_t outputs = 0, inputs = 0;
  LowBitPlanes planes = LowBitPlanes::nibble;
  int group = 32;                  // inputs that share a scale: 16 or 32
  int zero = 0;
  bool offsets = false;
  bool table = false;              // levels are looked up: 16 of them, for `nibble` only
  uint8_t levels[16] = {};

  static constexpr int kStrip = 16, kUnit = 64;
  int64_t strips() const { return (outputs + kStrip - 1) / kStrip; }
  int64_t units() const { return (inputs + kUnit - 1) / kUnit; }
  int64_t groups() const { return units() * (kUnit / group); }
  size_t plane_bytes() const;
  size_t unit_bytes() const { return size_t(offsets ? 2 : 1) * (kUnit / group) * kStrip * 2 + plane_bytes(); }
};
int low_bit_bits(LowBitPlanes planes);

struct PackedLowBit {
  LowBitShape shape;
  std::shared_ptr<std::byte> stream;
  size_t strip_bytes() const { return size_t(shape.units()) * shape.unit_bytes(); }
  uint8_t* strip(int64_t s) const { return reinterpret_cast<uint8_t*>(stream.get()) + size_t(s) * strip_bytes(); }
};

// One output's weights: `levels` [inputs] without sign (table: indices), `scales` and `offsets` [inputs / group]; the vectors
// have these lengths, or more, when they are handed out to be filled.
struct LowBitRow {
  std::vector<uint8_t> levels;
  std::vector<float> scales, offsets;
};
// `row(o, values)` fills in output o; called once for each, from several threads at once where `parallel` runs them so.
PackedLowBit pack_low_bit(const LowBitShape& shape, const std::function<void(int64_t, LowBitRow&)>& row,
                          const std::function<void(int64_t, const std::function<void(int64_t, int64_t)>&)>& parallel);

// A row of activations in 8 bits.
struct LowBitGroup {
  float scale, sum;                // of the group: values ≈ scale·q; sum = scale·Σ q
};
struct LowBitActivations {
  const int8_t* values = nullptr;        // [rows][units · 64]
  const LowBitGroup* groups = nullptr;   // [rows][groups]
};

struct LowBitArgs {
  LowBitActivations x;
  int64_t rows = 0;
  const float* bias = nullptr;     // [outputs] or null
  const float* residual = nullptr; // [rows][outputs], added, or null
  float* y = nullptr;              // [rows][outputs]
};

struct LowBitKernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  // x [inputs] → values [units · 64] (zeros behind the inputs) and groups.
  void (*quantize)(const LowBitShape& shape, const float* x, int8_t* values, LowBitGroup* groups);
  void (*run)(const PackedLowBit& packed, const LowBitArgs& args, int thread, int threads);
};

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const LowBitKernel> low_bit_kernels();
const LowBitKernel& best_low_bit_kernel();

}  // namespace pare
