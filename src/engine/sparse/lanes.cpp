// The layout of maps as sub-tiles in lanes: to and from the other layouts, and the mean of whole maps.
#include <algorithm>
#include <cstring>

#include "engine/sparse/sparse.h"
#include "graph/ops/ops.h"
#include "kernels/float_rows/float_rows.h"

namespace pare {
namespace {

// Where the pixels of a channel lie in the other layouts, in floats.
struct Pixels {
  int64_t row, column;
  int64_t channel(int64_t image, int64_t c) const { return image * image_pitch + c / block * block_pitch + c % block * channel_pitch; }
  int64_t image_pitch, block, block_pitch, channel_pitch;
};

Pixels pixels_of(const Storage& storage) {
  const int64_t c = storage.dims[1], h = storage.dims[2], w = storage.dims[3], block = channel_block();
  if (storage.layout == Layout::channels_last) return {w * c, c, h * w * c, c, 0, 1};
  if (storage.layout == Layout::blocked) return {w * block, block, (c + block - 1) / block * block * h * w, block, h * w * block, 1};
  return {w, 1, c * h * w, 1, h * w, 0};
}

// Bands, or channels of maps that are not cut, are shared among the team.
class LanesStep : public Step {
 public:
  LanesStep(const Storage& other, const Storage& map, bool enter)
      : dims(other.dims),
        pixels(pixels_of(other)),
        lanes(lanes_of(map)),
        pitch(map.band_pitch),
        enters(enter),
        fills(other.layout == Layout::blocked) {}
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    const auto* from = reinterpret_cast<const float*>(slots[reads[0]]);
    auto* to = reinterpret_cast<float*>(slots[writes]);
    const int64_t channels = fills && !enters ? (dims[1] + channel_block() - 1) / channel_block() * channel_block() : dims[1], bands = lanes.bands;
    const int64_t first_band = bands > 1 ? bands * thread / threads : 0, last_band = bands > 1 ? bands * (thread + 1) / threads : 1;
    const int64_t first = bands > 1 ? 0 : channels * thread / threads, last = bands > 1 ? channels : channels * (thread + 1) / threads;
    for (int64_t image = 0; image < dims[0]; ++image)
      for (int64_t band = first_band; band < last_band; ++band)
        for (int64_t c = first; c < last; ++c) {
          const int64_t place = pixels.channel(image, c), begin = band_at(lanes, dims[1], pitch, image, band);
          if (enters)
            enter(from + place, band, c, to + begin);
          else
            leave(c < dims[1] ? from + begin + c * lanes.channel() : nullptr, band, to + place);
        }
  }

 private:
  void enter(const float* map, int64_t band, int64_t channel, float* to) const {
    best_sparse_float_kernel().enter(lanes, band, map, pixels.row, pixels.column, to + channel * lanes.channel());
    const auto closed = int32_t(channel);
    best_sparse_float_kernel().close(lanes, band, dims[1], to, std::span(&closed, 1), 1);
  }

  // Behind the last channel a block holds zeros.
  void leave(const float* channel, int64_t band, float* to) const {
    const int64_t rows = 4 * lanes.sub_height(), top = band * rows;
    for (int64_t y = top; y < std::min(top + rows, lanes.height); ++y)
      for (int64_t column = 0; column < 4; ++column) {
        const int64_t begin = column * lanes.sub_width(), end = std::min(begin + lanes.sub_width(), lanes.width);
        const float* vector = channel == nullptr ? nullptr : channel + lanes.origin() + y % lanes.sub_height() * lanes.row() + (y - top) / lanes.sub_height() * 4 + column;
        float* pixel = to + y * pixels.row + begin * pixels.column;
        for (int64_t x = begin; x < end; ++x, pixel += pixels.column) *pixel = vector == nullptr ? 0.0f : vector[(x - begin) * kSparseLanes];
      }
  }

  Dims dims;
  Pixels pixels;
  SparseLanes lanes;
  const int64_t* pitch;
  bool enters, fills;
};

// Values that are no maps: transposed. The side that is written is cut among the team, in whole cache lines.
class TransposeStep : public Step {
 public:
  TransposeStep(const Dims& dims, bool enter) : columns(dims.back()), rows(count_of(dims) / std::max<int64_t>(columns, 1)), enters(enter) {}
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    const auto* from = reinterpret_cast<const float*>(slots[reads[0]]);
    auto* to = reinterpret_cast<float*>(slots[writes]);
    const int64_t pitch = lanes_pitch(rows), extent = enters ? columns : rows, blocks = (extent + kSparseLanes - 1) / kSparseLanes;
    const int64_t first = blocks * thread / threads * kSparseLanes, last = std::min(blocks * (thread + 1) / threads * kSparseLanes, extent);
    if (first >= last) return;
    if (enters) best_sparse_float_kernel().transpose(from + first, rows, last - first, columns, to + first * pitch, pitch);
    else best_sparse_float_kernel().transpose(from + first, columns, last - first, pitch, to + first * columns, columns);
  }

 private:
  int64_t columns, rows;
  bool enters;
};

// The mean of whole maps. Lanes outside them are cleared first where no ring needed that.
class LanesMeanStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    auto* x = reinterpret_cast<float*>(slots[reads[0]]);
    auto* y = reinterpret_cast<float*>(slots[writes]);
    const int64_t all = images * channels, begin = all * thread / threads, end = all * (thread + 1) / threads;
    if (lanes.ring == 0) clear(x, begin, end);
    for (int64_t c = begin; c < end; ++c) {
      float sum = 0;
      for (int64_t band = 0; band < lanes.bands; ++band)
        for (int64_t row = 0; row < lanes.sub_height(); ++row)
          sum += best_float_rows_kernel().sum(x + band_at(lanes, channels, pitch, c / channels, band) +
                                                  c % channels * lanes.channel() + lanes.origin() + row * lanes.row(),
                                              lanes.sub_width() * kSparseLanes);
      y[c] = sum / float(lanes.height * lanes.width);
    }
  }
  // Maps [begin, end), counted over all images.
  void clear(float* x, int64_t begin, int64_t end) const {
    for (int64_t c = begin, next = begin; c < end; c = next) {
      const int64_t image = c / channels;
      const auto first = int32_t(c % channels);
      next = std::min(end, (image + 1) * channels);
      for (int64_t band = 0; band < lanes.bands; ++band)
        best_sparse_float_kernel().close(lanes, band, channels, x + band_at(lanes, channels, pitch, image, band), std::span(&first, 1), int(next - c));
    }
  }
  SparseLanes lanes;
  const int64_t* pitch = nullptr;
  int64_t images = 0, channels = 0;
};

}  // namespace

Storage lanes_storage(const Planner& planner, ValueId id) {
  Storage storage{Type::f32, planner.dims(id), Layout::lanes};
  if (storage.dims.size() != 4) return storage;
  storage.bands = planner.bands;
  storage.band_pitch = &planner.band_pitch;
  for (const int n : planner.consumers[size_t(id)]) {
    const Node& node = planner.graph.nodes[size_t(n)];
    if (!node.is("Conv") || node.inputs[0] != id || node.integer("group", 1) != 1) continue;
    if (const Reach reach = reach_of(planner, node); reach.misfit.empty()) storage.ring = std::max(storage.ring, reach.ring);
  }
  return storage;
}

std::unique_ptr<Step> make_lanes_conversion(const Storage& from, const Storage& to, SlotId source, SlotId target) {
  PARE_CHECK(from.type == Type::f32 && to.type == Type::f32);
  const bool enter = to.layout == Layout::lanes;
  std::unique_ptr<Step> step;
  if (from.dims.size() == 4)
    step = std::make_unique<LanesStep>(enter ? from : to, enter ? to : from, enter);
  else step = std::make_unique<TransposeStep>(from.dims, enter);
  step->reads = {source};
  step->writes = target;
  step->report = {"", "Reorder", "", enter ? "to lanes" : "from lanes", "f32", "", 0, 0, 0};
  return step;
}

bool lower_lanes_mean(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!(node.is("GlobalAveragePool") || node.is("AveragePool"))) return false;
  const auto slot = planner.existing(node.inputs[0]);
  if (!slot || planner.storage(*slot).layout != Layout::lanes) return false;
  const Dims x = planner.dims(node.inputs[0]);
  if (node.is("AveragePool")) {
    const Window window = window_of(node, {x[2], x[3]});
    if (window.kernel != Dims{x[2], x[3]} || window.out != Dims{1, 1} || window.dilation != Dims{1, 1} || window.pad_begin != Dims{0, 0}) return false;
  }
  auto step = std::make_unique<LanesMeanStep>();
  step->lanes = lanes_of(planner.storage(*slot));
  step->pitch = planner.storage(*slot).band_pitch;
  step->images = x[0];
  step->channels = x[1];
  step->reads = {*slot};
  step->writes = planner.define(node.outputs[0], {Type::f32, planner.dims(node.outputs[0]), Layout::plain});
  step->report = {node.name, node.op_type, planner.graph.at(node.outputs[0]).name, best_float_rows_kernel().name, "f32", "", 0, 0, 0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
