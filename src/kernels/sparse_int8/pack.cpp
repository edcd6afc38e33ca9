// Weights in the lists a tile reads. Gathering: for each strip of outputs windows slide over each run of input bytes. What
// lies in the first `step` bytes of a window must be taken by its items, because later windows begin behind it; outputs with
// fewer weights there fill the items' free places with weights from the rest of the window. So an item is left with free
// places only where an output has run ahead by a whole window, and the number of items comes close to that of the output
// with most weights, whatever their places. Outputs with similar numbers of weights share a strip.
//   stream, gather: [block][strip][window][item] {index u8 [lane][group], weights [lane][group]}, s8 (group 4) or, with the
//                   index widened likewise, s16 (group 2)
//   stream, blocks: [block][strips together][4-byte group of the input][strip][lane][4] s8

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/conv_int8/blocks.h"
#include "kernels/sparse_int8/planes.h"

namespace pare {
namespace {

// A weight and its place: byte `byte` of run `run`.
struct Entry {
  std::int32_t run, byte;
  std::int8_t weight;
};

class Packer {
 public:
  Packer(const SparseInt8Kernel& kernel, const ConvInt8Weights& weights, PackedSparseInt8& packed) : kernel_(kernel), packed_(packed), shape_(packed.shape) {
    whole_rows_ = shape_.dilation_w == 1;
    runs_ = shape_.kernel_h * (whole_rows_ ? 1 : shape_.kernel_w);
    cut_runs();
    read(weights);
    bias(weights);
  }

  void pack() {
    packed_.cost.assign(1, 0);
    for (int block = 0; block < packed_.blocks(); ++block) {
      order(block);
      const int together = std::max(1, packed_.form.together);
      const int strips = kSparseInt8Block / kernel_.lanes;
      std::int64_t products = 0;
      for (int strip = 0; strip < strips; strip += together) {
        packed_.strips.push_back({packed_.windows.size(), packed_.stream.size()});
        const int lane = block * kSparseInt8Block + strip * kernel_.lanes;
        products += packed_.form.together > 0 ? pack_blocks(lane) : pack_gather(lane);
      }
      packed_.cost.push_back(packed_.cost.back() + products + strips);
    }
    packed_.strips.push_back({packed_.windows.size(), packed_.stream.size()});
    packed_.stream.push_back({});  // empty layers have an address, too
  }

 private:
  // As pack_conv_int8 does, except that a window may be cut at the end of a run.
  void cut_runs() {
    packed_.run_bytes = (whole_rows_ ? shape_.kernel_w : 1) * shape_.in_c;
    const bool padded = shape_.pad_top || shape_.pad_left || shape_.pad_bottom || shape_.pad_right;
    const bool fits = packed_.form.together > 0 ? packed_.run_bytes % 4 == 0 : kernel_.group == 4 || packed_.run_bytes >= kernel_.window;
    packed_.direct = !padded && !packed_.input_signed && fits;
    const int row_bytes = shape_.in_c * (shape_.in_w + shape_.pad_left + shape_.pad_right);
    for (int row = 0; row < shape_.kernel_h; ++row)
      for (int col = 0; col < (whole_rows_ ? 1 : shape_.kernel_w); ++col)
        run_offsets_.push_back(row * shape_.dilation_h * row_bytes + col * shape_.dilation_w * shape_.in_c);
    if (packed_.direct) return;
    const std::size_t rows = std::size_t(packed_.band_rows - 1) * shape_.stride_h + shape_.dilation_h * (shape_.kernel_h - 1) + 1;
    packed_.scratch_bytes = (rows * std::size_t(row_bytes) + 2 * 64 + 63) / 64 * 64;  // windows may pass the end
  }

  void read(const ConvInt8Weights& source) {
    outputs_.resize(std::size_t(packed_.blocks()) * kSparseInt8Block);
    sums_.assign(outputs_.size(), 0);
    const std::int8_t* from = source.weights;
    for (int oc = 0; oc < shape_.out_c; ++oc) {
      auto& entries = outputs_[std::size_t(oc)];
      const int taps = shape_.kernel_h * shape_.kernel_w;
      for (int tap = 0; tap < taps; ++tap) {  // in the order of runs and bytes
        const int row = tap / shape_.kernel_w, col = tap % shape_.kernel_w;
        for (int ic = 0; ic < shape_.in_c; ++ic) {
          const std::int8_t weight = from[std::size_t(ic) * taps + tap];
          if (weight == 0) continue;
          entries.push_back({whole_rows_ ? row : tap, whole_rows_ ? col * shape_.in_c + ic : ic, weight});
          sums_[std::size_t(oc)] += weight;
        }
      }
      from += std::size_t(taps) * shape_.in_c;
    }
  }

  void bias(const ConvInt8Weights& source) {
    given_bias_.assign(outputs_.size(), 0);
    for (int oc = 0; oc < shape_.out_c; ++oc)
      given_bias_[std::size_t(oc)] = static_cast<std::int32_t>((source.bias ? source.bias[oc] : 0) - packed_.input_zero * sums_[std::size_t(oc)]);
    packed_.bias.assign(outputs_.size() * sizeof(std::int32_t) / sizeof(Int8Line), Int8Line{});
  }

  // Which output each lane of a block computes: by the number of weights, or as they come.
  void order(int block) {
    const int first = block * kSparseInt8Block, channels = std::min(kSparseInt8Block, shape_.out_c - first);
    std::vector<std::uint8_t> lanes(kSparseInt8Block);
    std::iota(lanes.begin(), lanes.end(), std::uint8_t{0});
    if (packed_.form.together == 0)
      std::stable_sort(lanes.begin(), lanes.begin() + channels,
                       [&](int a, int b) { return outputs_[std::size_t(first + a)].size() > outputs_[std::size_t(first + b)].size(); });
    Int8Line place;
    auto* bias = reinterpret_cast<std::int32_t*>(packed_.bias.front().bytes) + first;
    for (int lane = 0; lane < kSparseInt8Block; ++lane) {
      place.bytes[lanes[std::size_t(lane)]] = static_cast<std::uint8_t>(lane);
      bias[lane] = given_bias_[std::size_t(first + lanes[std::size_t(lane)])];
    }
    packed_.place.push_back(place);
    packed_.channel.insert(packed_.channel.end(), lanes.begin(), lanes.end());
  }

  const std::vector<Entry>& output(int lane) const {
    return outputs_[std::size_t(lane / kSparseInt8Block * kSparseInt8Block + packed_.channel[std::size_t(lane)])];
  }

  // Windows and items of the strip that begins with `lane`; returns the number of items.
  std::int64_t pack_gather(int lane) {
    const int step = packed_.form.step, group = kernel_.group;
    std::vector<std::size_t> at(std::size_t(kernel_.lanes), 0);  // the next weight of each output
    std::int64_t all = 0;
    for (int run = 0; run < runs_; ++run) {
      for (;;) {
        int least = packed_.run_bytes;
        for (int l = 0; l < kernel_.lanes; ++l)
          if (at[std::size_t(l)] < output(lane + l).size() && output(lane + l)[at[std::size_t(l)]].run == run)
            least = std::min(least, output(lane + l)[at[std::size_t(l)]].byte);
        if (least == packed_.run_bytes) break;
        int begin = least / step * step;
        std::int64_t most = 0;
        for (int l = 0; l < kernel_.lanes; ++l) most = std::max(most, waiting(lane + l, at[std::size_t(l)], run, begin + step));
        if (packed_.direct) begin = std::max(0, std::min(begin, packed_.run_bytes - kernel_.window));
        const int items = static_cast<int>((most + group - 1) / group);
        packed_.windows.push_back({run_offsets_[std::size_t(run)] + begin, items});
        for (int item = 0; item < items; ++item) put_item(lane, run, begin, at);
        all += items;
      }
    }
    return all;
  }

  // Weights of an output from its `at`-th on that lie before byte `end` of the run.
  std::int64_t waiting(int lane, std::size_t at, int run, int end) const {
    const auto& entries = output(lane);
    std::size_t next = at;
    while (next < entries.size() && entries[next].run == run && entries[next].byte < end) ++next;
    return std::int64_t(next - at);
  }

  void put_item(int lane, int run, int begin, std::vector<std::size_t>& at) {
    const std::size_t line = packed_.stream.size();
    packed_.stream.resize(line + std::size_t(kernel_.lanes * kernel_.group * (kernel_.group == 4 ? 2 : 4)) / 64, Int8Line{});
    std::uint8_t* index = packed_.stream[line].bytes;
    std::uint8_t* weights = index + kernel_.lanes * 4;
    if (kernel_.group == 2) std::memset(index, 0x80, std::size_t(kernel_.lanes) * 4);  // vpshufb gives zeros
    for (int l = 0; l < kernel_.lanes; ++l) {
      const auto& entries = output(lane + l);
      std::size_t& next = at[std::size_t(l)];
      for (int i = 0; i < kernel_.group && next < entries.size() && entries[next].run == run && entries[next].byte < begin + kernel_.window; ++i, ++next) {
        const std::int16_t wide = entries[next].weight;
        const int place = 4 * l + i * (4 / kernel_.group);
        index[place] = static_cast<std::uint8_t>(entries[next].byte - begin);
        if (kernel_.group == 4)
          weights[place] = static_cast<std::uint8_t>(wide);
        else
          std::memcpy(weights + place, &wide, 2);
      }
    }
  }

  // The 4-byte groups of the strips together that begin with `lane`, in the order of the input.
  std::int64_t pack_blocks(int lane) {
    const int width = packed_.form.together * kernel_.lanes;
    const int groups = (packed_.run_bytes + 3) / 4;
    std::vector<std::int32_t> line_of(std::size_t(runs_) * std::size_t(groups), -1);
    for (int l = 0; l < width; ++l)
      for (const Entry& e : output(lane + l)) line_of[std::size_t(e.run) * std::size_t(groups) + std::size_t(e.byte / 4)] = 0;
    const std::size_t first = packed_.stream.size();
    std::int32_t used = 0;
    for (std::size_t i = 0; i < line_of.size(); ++i) {
      if (line_of[i] < 0) continue;
      line_of[i] = used++ * packed_.form.together;
      packed_.windows.push_back({run_offsets_[i / std::size_t(groups)] + static_cast<std::int32_t>(i % std::size_t(groups)) * 4, 1});
    }
    packed_.stream.resize(first + std::size_t(used) * std::size_t(packed_.form.together), Int8Line{});
    for (int l = 0; l < width; ++l)
      for (const Entry& e : output(lane + l)) {
        const std::int32_t line = line_of[std::size_t(e.run) * std::size_t(groups) + std::size_t(e.byte / 4)];
        packed_.stream[first + std::size_t(line + l / kernel_.lanes)].bytes[l % kernel_.lanes * 4 + e.byte % 4] = static_cast<std::uint8_t>(e.weight);
      }
    return std::int64_t{used} * packed_.form.together;
  }

  const SparseInt8Kernel& kernel_;
  PackedSparseInt8& packed_;
  const ConvInt8Shape& shape_;
  bool whole_rows_;
  int runs_;
  std::vector<std::int32_t> run_offsets_;
  std::vector<std::vector<Entry>> outputs_;
  std::vector<std::int64_t> sums_;
  std::vector<std::int32_t> given_bias_;
};

// Blocks as the steps of a dense layer in which they are not zero.
PackedSparseInt8 pack_steps(const ConvInt8Kernel& dense, ConvInt8Weights weights, PackedSparseInt8 packed) {
  weights.without_zeros = true;
  const int vectors = packed.form.together * kSparseInt8Strip / dense.lanes;
  packed.steps = pack_conv_int8(dense, packed.shape, weights, {dense.max_pixels(vectors), vectors, conv_int8_band_rows(packed.shape)});
  packed.scratch_bytes = packed.steps.scratch_bytes;
  return packed;
}

}  // namespace

PackedSparseInt8 pack_sparse_int8(const SparseInt8Kernel& kernel, const ConvInt8Shape& shape, const ConvInt8Weights& weights, const SparseInt8Form& form) {
  PackedSparseInt8 packed;
  packed.shape = fold_conv_int8(shape);
  packed.form = form;
  packed.form.pixels = std::clamp(form.pixels, 1, kernel.max_pixels);
  packed.form.step = std::clamp(form.step, 1, kernel.window);
  packed.form.together = std::clamp(form.together, 0, 2);
  if (packed.form.together > 0 && kernel.steps != nullptr) return pack_steps(*kernel.steps, weights, std::move(packed));
  packed.input_signed = weights.input_signed;
  packed.input_zero = weights.input_zero + (weights.input_signed ? 128 : 0);
  packed.form.planes = kernel.planes && form.planes;
  if (packed.form.planes) {
    packed.band_rows = sparse_int8_plane_rows(packed.shape);
    pack_sparse_int8_planes(weights, packed);
    return packed;
  }
  packed.band_rows = conv_int8_band_rows(packed.shape);
  Packer(kernel, weights, packed).pack();
  return packed;
}

}  // namespace pare
