// Packs a sparse layer and finds by measuring how it is best cut.
#include <algorithm>
#include <chrono>

#include "engine/sparse/sparse.h"

namespace pare {
namespace {

// Groups of four are tried where at most this share of their products is with zeros.
constexpr double kLeastFill = 0.7;

std::vector<int32_t> channels_in_fours(const SparseSource& source) {
  std::vector<int32_t> fours;
  for (int64_t channel = 0; channel + 4 <= source.outputs; channel += 4)
    if (shared_fill(source.weight, source.inputs, channel) >= kLeastFill) fours.push_back(int32_t(channel));
  return fours;
}

// Tiles worth a try for a result of rows x columns vectors.
std::vector<SparseTiling> tilings_of(const SparseSource& source, const SparseFloatJob& job) {
  const SparseFloatKernel& kernel = best_sparse_float_kernel();
  const auto width = [&](int64_t most) { return int(std::min(job.columns, most)); };
  std::vector<SparseTiling> tilings;
  const auto offer = [&](int rows, int columns, bool blocks) {
    if (rows > job.rows || columns == 0 || rows * columns > (blocks ? kernel.vectors4 : kernel.vectors)) return;
    for (const SparseTiling& t : tilings)
      if (t.rows == rows && t.columns == columns && t.blocks == blocks) return;
    tilings.push_back({rows, columns, 0, blocks});
  };
  for (const bool blocks : {false, true}) {
    if (blocks && channels_in_fours(source).empty()) continue;
    const int most = blocks ? kernel.vectors4 : kernel.vectors;
    offer(1, width(std::min(most, 8)), blocks);
    for (const int rows : {4, 2, 1}) offer(rows, width(most / rows), blocks);
    offer(2, width(4), blocks);
    offer(1, width(6), blocks);
    offer(1, width(4), blocks);
  }
  return tilings;
}

}  // namespace

SparseLayer pack_sparse_layer(const SparseSource& source, const SparseFloatJob& job, const SparseTiling& tiling) {
  SparseLayer layer;
  layer.tiling = tiling;
  layer.job = job;
  const int64_t block = (tiling.channels > 0 ? std::min(tiling.channels, source.channels()) : source.channels()) * source.inputs_a_channel;
  const std::vector<int32_t> fours = tiling.blocks ? channels_in_fours(source) : std::vector<int32_t>();
  std::vector<int32_t> singles;
  for (int64_t channel = 0; channel < source.outputs; ++channel)
    if (!std::binary_search(fours.begin(), fours.end(), int32_t(channel / 4 * 4))) singles.push_back(int32_t(channel));
  const auto pack = [&](int height, const std::vector<int32_t>& channels) {
    if (!channels.empty()) layer.parts.push_back(pack_sparse_float(source.weight, source.bias, source.inputs, source.offsets, std::max<int64_t>(block, 1), height, channels));
  };
  pack(4, fours);
  pack(1, singles);
  return layer;
}

void run_sparse_layer(const SparseLayer& layer, const float* x, const float* residual, float* y, int thread,
                      int threads, const Done& done) {
  SparseFloatJob job = layer.job;
  job.tile_rows = layer.tiling.rows;
  job.tile_columns = layer.tiling.columns;
  job.ahead = layer.tiling.ahead;
  job.x = x;
  job.residual = residual;
  job.y = y;
  for (const SparseFloatWeights& part : layer.parts) {
    const auto [first, last] = part.share(thread, threads);
    if (first == last) continue;
    job.weights = &part;
    best_sparse_float_kernel().run(job, first, last);
    if (done) done(std::span(part.channels).subspan(size_t(first), size_t(last - first)), part.height);
  }
}

SparseLayer tune_sparse_layer(Planner& planner, const SparseSource& source, const SparseFloatJob& job, const std::string& key, const std::function<void(const SparseLayer&)>& run) {
  std::vector<SparseTiling> tilings = tilings_of(source, job);
  if (!planner.options.tune) return pack_sparse_layer(source, job, tilings[0]);
  // Layers of one shape with as many groups that share a pattern are taken to run alike.
  const std::string shared = key + " b" + std::to_string(channels_in_fours(source).size());
  // First the tile, then how many channels are summed at a time and whether they are fetched ahead.
  const auto choose = [&](const std::string& step) {
    std::vector<SparseLayer> layers;
    const auto known = planner.cache.find(shared + step);
    if (known && *known >= 0 && size_t(*known) < tilings.size()) return tilings[size_t(*known)];
    for (const SparseTiling& tiling : tilings) layers.push_back(pack_sparse_layer(source, job, tiling));
    const int choice = fastest_of(int(layers.size()), [&](int i) { run(layers[size_t(i)]); });
    planner.cache.store(shared + step, choice);
    return tilings[size_t(choice)];
  };
  const SparseTiling tile = choose(" tile");
  tilings = {tile};
  for (const int64_t channels : {128, 64, 32, 16})
    if (2 * channels <= source.channels()) {
      tilings.push_back(tile);
      tilings.back().channels = channels;
    }
  const bool singles = !tile.blocks || int64_t(4 * channels_in_fours(source).size()) < source.outputs;  // groups of four always do
  for (size_t i = 0, count = singles ? tilings.size() : 0; i < count; ++i) {
    tilings.push_back(tilings[i]);
    tilings.back().ahead = true;
  }
  return pack_sparse_layer(source, job, choose(" channels, ahead"));
}

std::string tiling_text(const SparseLayer& layer) {
  const SparseTiling& t = layer.tiling;
  return std::to_string(t.rows) + "x" + std::to_string(t.columns) + (t.blocks ? " by 4 outputs" : "") + (t.channels > 0 ? " by " + std::to_string(t.channels) + " channels" : "") + (t.ahead ? " fetched ahead" : "");
}

double zero_share(const Tensor& tensor) {
  if (!tensor.plain() || tensor.type != Type::f32 || tensor.count() == 0) return 0;
  const Array array = tensor.decode();
  const auto values = array.values<float>();
  return double(std::count(values.begin(), values.end(), 0.0f)) / double(values.size());
}

bool worth_lanes(const Graph& graph) {
  double all = 0, zero = 0;  // multiplications
  for (const Node& node : graph.nodes) {
    const Tensor* weight = node.is("Conv") ? graph.constant(node.input(1)) : nullptr;
    if (weight == nullptr || weight->dims.size() != 4 || !graph.at(node.outputs[0]).shape) continue;
    const auto out = known_dims(*graph.at(node.outputs[0]).shape);
    if (!out || out->size() != 4) continue;
    const double macs = double(weight->count()) * double((*out)[0] * (*out)[2] * (*out)[3]);
    all += macs;
    if (node.integer("group", 1) == 1) zero += macs * zero_share(*weight);
  }
  return zero >= 0.2 * all && zero > 0;
}

}  // namespace pare
