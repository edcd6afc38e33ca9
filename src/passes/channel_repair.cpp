#include "passes/channel_repair.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/threads.h"
#include "engine/output_error.h"
#include "passes/solvers/least_squares.h"
#include "passes/statistics/layer_gram.h"
#include "passes/statistics/value_source.h"
#include "passes/weights.h"

namespace pare {
namespace {

constexpr int64_t kMostColumns = 3000;          // of a layer that is refitted: the factor grows with the third power
constexpr int64_t kGramBytes = int64_t(1) << 29;
constexpr double kMostWork = 1.5e12;            // multiplications spent on running the samples

Dims kernel_of(const Node& node, const Tensor& weight) { return node.is("Conv") ? Dims(weight.dims.begin() + 2, weight.dims.end()) : Dims(); }
int64_t columns_of(const WeightLayer& layer, const Tensor& weight) { return weight.count() / std::max<int64_t>(weight.dims[size_t(layer.out_axis)], 1); }

// A dense layer whose weights no other node reads.
bool measurable(const Graph& graph, const WeightLayer& layer, const std::vector<std::vector<int>>& consumers) {
  const Node& node = graph.nodes[size_t(layer.node)];
  const Tensor& weight = *graph.constant(layer.weight);
  if (node.is("ConvTranspose") || layer.in_axis < 0 || !weight.plain() || weight.type != Type::f32) return false;
  if (!node.is("Conv") && (weight.dims.size() != 2 || layer.weight != node.inputs[1])) return false;
  if (node.is("Gemm") && (node.real("alpha", 1) != 1 || node.real("beta", 1) != 1)) return false;
  if (layer.bias != kNone && (graph.constant(layer.bias) == nullptr || !graph.constant(layer.bias)->plain() || graph.constant(layer.bias)->count() != weight.dims[size_t(layer.out_axis)])) return false;
  return consumers[size_t(layer.weight)].size() == 1 && !graph.is_output(layer.weight) && columns_of(layer, weight) <= kMostColumns;
}

// Rows of outputs by columns; linear weights that are stored the other way are turned.
std::vector<double> matrix_of(const Graph& graph, const WeightLayer& layer) {
  const Array weight = graph.constant(layer.weight)->array();
  const auto values = weight.values<float>();
  if (layer.out_axis == 0) return {values.begin(), values.end()};
  std::vector<double> matrix(values.size());
  const auto rows = size_t(weight.dim(1)), columns = size_t(weight.dim(0));
  for (size_t i = 0; i < values.size(); ++i) matrix[i % rows * columns + i / rows] = values[i];
  return matrix;
}

void store_matrix(const std::vector<double>& matrix, int64_t columns, int out_axis, Array& weight) {
  auto values = weight.mutable_values<float>();
  const int64_t rows = int64_t(matrix.size()) / columns;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) values[size_t(out_axis == 0 ? r * columns + c : c * rows + r)] = float(matrix[size_t(r * columns + c)]);
}

bool takes_bias(const Node& node) { return node.is("Conv") || node.is("Gemm"); }

// What a layer is fitted to: what it made, or, where its result is added to another value, what makes their sum come out as it
// was (He et al. 2017, section 3.3): so a residual branch makes up for what the other has lost.
struct Target {
  ValueId value = kNone, added = kNone;
};
Target target_of(const ChannelPlan& plan, const WeightLayer& layer, const std::vector<std::vector<int>>& consumers) {
  const Graph& graph = plan.graph();
  if (consumers[size_t(layer.y)].size() != 1 || graph.is_output(layer.y)) return {layer.y, kNone};
  const Node& sum = graph.nodes[size_t(consumers[size_t(layer.y)][0])];
  if (!sum.is("Add")) return {layer.y, kNone};
  const ValueId other = sum.inputs[0] == layer.y ? sum.inputs[1] : sum.inputs[0];
  const auto& dims = plan.coupling().dims();
  if (other == layer.y || graph.constant(other) != nullptr || dims[size_t(other)] != dims[size_t(layer.y)]) return {layer.y, kNone};
  return {sum.outputs[0], other};
}

struct Measuring {
  std::vector<const WeightLayer*> layers;
  std::vector<Target> targets;
  std::vector<std::vector<int64_t>> kept;  // with an original: which of its output channels are still there
  int64_t samples = 0;
  const char* what = "";
};

// Runs the samples through `graph`; with `original`, what its layers compute are the targets.
std::vector<LayerGram> measure(const Graph& graph, const Graph* original, const Measuring& m, const PassRun& pass) {
  std::vector<LayerGram> grams;
  std::vector<ValueId> read, made;
  std::map<size_t, size_t> added;  // layer → the place in `read` of what its result is added to
  for (const WeightLayer* layer : m.layers) {
    const Tensor& weight = *graph.constant(layer->weight);
    const Node& node = graph.nodes[size_t(layer->node)];
    grams.emplace_back(node, kernel_of(node, weight), columns_of(*layer, weight), pass.seed);
    read.push_back(layer->x);
  }
  for (size_t k = 0; k < m.targets.size(); ++k) {
    made.push_back(m.targets[k].value);
    if (m.targets[k].added == kNone) continue;
    added[k] = read.size();
    read.push_back(m.targets[k].added);
  }
  const int all_threads = threads();
  ValueSource source(graph, read, options_for_samples(graph));
  std::optional<ValueSource> targets;
  if (original != nullptr) targets.emplace(*original, made, options_for_samples(*original));
  for (int64_t i = 0; i < m.samples; ++i) {
    if (interrupted()) throw Error("prune-channels", "interrupted while measuring the calibration data");
    if (pass.progress) pass.progress(m.what, double(i), double(m.samples));
    const std::vector<Array> sample = pass.samples.get(i * pass.samples.count / m.samples), x = source.of(sample), y = targets ? targets->of(sample) : std::vector<Array>();
    set_threads(all_threads);
    for (size_t k = 0; k < grams.size(); ++k) {
      // Sixteen positions for every column, so that noise is not fitted.
      const int64_t wanted = std::clamp<int64_t>(16 * grams[k].n(), 4096, 24576);
      const auto other = added.find(k);
      grams[k].see(x[k], targets ? &y[k] : nullptr, other != added.end() ? &x[other->second] : nullptr, targets ? m.kept[k] : std::vector<int64_t>(), (wanted + m.samples - 1) / m.samples);
    }
  }
  for (LayerGram& gram : grams) gram.finish();
  return grams;
}

// The system of a layer that reads channels of a class.
ReaderSystem system_of(const ChannelPlan& plan, const ChannelClass& channels, const WeightLayer& layer, const LayerGram& gram) {
  const Graph& graph = plan.graph();
  const Node& node = graph.nodes[size_t(layer.node)];
  ReaderSystem system;
  system.n = gram.n() - 1;
  system.rows = graph.constant(layer.weight)->dims[size_t(layer.out_axis)];
  system.weights = matrix_of(graph, layer);
  system.covariance = gram.covariance(takes_bias(node));
  const int64_t taps = count_of(kernel_of(node, *graph.constant(layer.weight)));
  for (int g : channels.groups) {
    system.columns.emplace_back();
    for (const Slice& slice : plan.groups()[size_t(g)].slices)
      for (int64_t t = 0; slice.value == layer.weight && slice.axis == layer.in_axis && t < taps; ++t) system.columns.back().push_back(slice.index * taps + t);
  }
  return system;
}

int64_t samples_within(const Graph& graph, const std::vector<std::optional<Dims>>& dims, int64_t runs, int64_t samples, const PassRun& pass) {
  Graph concrete = graph;
  for (size_t id = 0; id < dims.size(); ++id)
    if (dims[id]) concrete.values[id].shape = shape_of(*dims[id]);
  const double macs = double(std::max<int64_t>(count_macs(concrete), 1));
  return std::min({pass.samples.count, samples, std::max<int64_t>(8, int64_t(kMostWork / (macs * double(runs))))});
}

// The graph with these weights in layers that stay as large as they are.
Graph probe_graph(const Graph& graph, const std::vector<const WeightLayer*>& layers, const std::vector<std::vector<double>>& weights) {
  Graph probe = graph;
  for (size_t k = 0; k < layers.size(); ++k) {
    Array weight = graph.constant(layers[k]->weight)->array();
    store_matrix(weights[k], columns_of(*layers[k], *graph.constant(layers[k]->weight)), layers[k]->out_axis, weight);
    replace_constant(probe, layers[k]->weight, Tensor(weight));
  }
  return probe;
}

// How far the outputs of a changed graph are off, as a share of their size.
class ProbeError {
 public:
  ProbeError(const Graph& graph, int64_t count, const PassRun& pass) : error_(graph, some(count, pass), count_macs(graph) < 500'000'000 ? 1 : 0) {}
  double noise(const Graph& graph) const {
    const double db = error_.sqnr_db(graph);
    return std::isfinite(db) ? std::pow(10, -db / 10) : db > 0 ? 0 : 1e9;
  }

 private:
  static std::vector<std::vector<Array>> some(int64_t count, const PassRun& pass) {
    std::vector<std::vector<Array>> samples;
    for (int64_t i = 0; i < count; ++i) samples.push_back(pass.samples.get(i * pass.samples.count / count));
    return samples;
  }
  OutputError error_;
};

}  // namespace

std::vector<LossCurve> curves_by_reconstruction(const ChannelPlan& plan, double most, int64_t samples, const PassRun& pass) {
  std::vector<LossCurve> curves(plan.classes().size());
  const auto consumers = plan.graph().consumers();
  const ProbeError error(plan.graph(), samples_within(plan.graph(), plan.coupling().dims(), 8 * int64_t(curves.size()), std::min<int64_t>(samples, 64), pass), pass);
  for (size_t c = 0; c < curves.size();) {
    // As many classes at a time as memory permits.
    Measuring m;
    m.what = "prune-channels: what the layers read";
    int64_t bytes = 0;
    std::map<int, size_t> gram_of;  // layer → its place in m.layers
    size_t last = c;
    for (; last < curves.size() && (last == c || bytes < kGramBytes); ++last)
      for (int k : plan.classes()[last].readers) {
        const WeightLayer& layer = plan.layers()[size_t(k)];
        if (plan.classes()[last].groups.size() < 2 || !measurable(plan.graph(), layer, consumers) || !gram_of.emplace(k, m.layers.size()).second) continue;
        m.layers.push_back(&layer);
        const int64_t n = columns_of(layer, *plan.graph().constant(layer.weight)) + 1;
        bytes += 8 * n * n;
      }
    if (m.layers.empty()) {
      c = last;
      continue;
    }
    m.samples = samples_within(plan.graph(), plan.coupling().dims(), 4, samples, pass);
    const std::vector<LayerGram> grams = measure(plan.graph(), nullptr, m, pass);
    for (; c < last; ++c) {
      const ChannelClass& channels = plan.classes()[c];
      std::vector<ReaderSystem> systems;
      std::vector<const WeightLayer*> readers;
      for (int k : channels.readers)
        if (const auto it = gram_of.find(k); it != gram_of.end()) {
          readers.push_back(&plan.layers()[size_t(k)]);
          systems.push_back(system_of(plan, channels, *readers.back(), grams[it->second]));
        }
      if (systems.empty()) continue;
      const Removals removals = order_removals(std::move(systems), channels.groups.size(), size_t(most * double(channels.groups.size())));
      for (size_t i : removals.order) curves[c].order.push_back(channels.groups[i]);
      curves[c].loss = removals.loss;
      // The outputs say what a loss in these layers weighs.
      if (removals.probe == 0) continue;
      const double noise = error.noise(probe_graph(plan.graph(), readers, removals.probe_weights));
      const double share = std::max(noise, 1e-9) / std::max(removals.loss[removals.probe - 1], 1e-12);
      for (double& loss : curves[c].loss) loss *= share;
    }
  }
  return curves;
}

namespace {

// Layers behind a cut, in graph order.
std::vector<const WeightLayer*> layers_to_repair(const ChannelPlan& plan) {
  const Graph& graph = plan.graph();
  const Cuts cuts = plan.cuts();
  const auto consumers = graph.consumers();
  std::vector<char> changed(graph.values.size(), 0);
  for (const auto& [place, indices] : cuts) changed[size_t(place.first)] = 1;
  for (const Node& node : graph.nodes) {
    bool touched = false;
    for (ValueId id : node.inputs) touched |= id != kNone && changed[size_t(id)];
    for (ValueId id : node.outputs)
      if (touched && id != kNone) changed[size_t(id)] = 1;
  }
  std::vector<const WeightLayer*> layers;
  for (const WeightLayer& layer : plan.layers())
    if (changed[size_t(layer.x)] && measurable(graph, layer, consumers)) layers.push_back(&layer);
  return layers;
}

std::vector<int64_t> kept_outputs(const ChannelPlan& plan, const Cuts& cuts, const WeightLayer& layer) {
  const auto cut = cuts.find({layer.weight, layer.out_axis});
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < plan.graph().constant(layer.weight)->dims[size_t(layer.out_axis)]; ++i)
    if (cut == cuts.end() || !std::binary_search(cut->second.begin(), cut->second.end(), i)) kept.push_back(i);
  return kept;
}

void refit(Graph& small, const WeightLayer& layer, const LayerGram& gram) {
  const bool with_bias = takes_bias(small.nodes[size_t(layer.node)]);
  const std::vector<double> now = matrix_of(small, layer);
  const int64_t columns = gram.n() - 1, n = with_bias ? gram.n() : columns, rows = int64_t(now.size()) / columns;
  std::vector<float> bias = layer.bias == kNone ? std::vector<float>(size_t(rows), 0.f) : small.constant(layer.bias)->decode().to_floats();
  std::vector<double> xx, yx, start;
  for (int64_t i = 0; i < n; ++i) xx.insert(xx.end(), gram.xx().begin() + i * gram.n(), gram.xx().begin() + i * gram.n() + n);
  for (int64_t r = 0; r < rows; ++r) {
    yx.insert(yx.end(), gram.yx().begin() + r * gram.n(), gram.yx().begin() + r * gram.n() + n);
    start.insert(start.end(), now.begin() + r * columns, now.begin() + (r + 1) * columns);
    if (with_bias) start.push_back(bias[size_t(r)]);
  }
  const std::vector<double> fitted = fit_rows(std::move(xx), yx, start, rows, n, 1e-3);
  Array weight = small.constant(layer.weight)->array();
  std::vector<double> matrix;
  for (int64_t r = 0; r < rows; ++r) {
    matrix.insert(matrix.end(), fitted.begin() + r * n, fitted.begin() + r * n + columns);
    if (with_bias) bias[size_t(r)] = float(fitted[size_t(r * n + columns)]);
  }
  store_matrix(matrix, columns, layer.out_axis, weight);
  replace_constant(small, layer.weight, Tensor(weight));
  if (!with_bias) return;
  Node& node = small.nodes[size_t(layer.node)];
  const Dims dims = layer.bias == kNone ? Dims{rows} : small.constant(layer.bias)->dims;
  const std::string name = layer.bias == kNone ? node.name + "_bias" : small.at(layer.bias).name;
  node.inputs.resize(3, kNone);
  node.inputs[2] = small.add_constant(name, Tensor(Array::of<float>(dims, bias)));  // others may read the old one
}

}  // namespace

int repair_layers(Graph& small, const ChannelPlan& plan, int64_t samples, const PassRun& pass) {
  const std::vector<const WeightLayer*> layers = layers_to_repair(plan);
  if (layers.empty() || pass.samples.count == 0) return 0;
  // Layers of one round see each other unrepaired; more rounds are better, and each runs all samples.
  const double macs = double(std::max<int64_t>(plan.macs(), 1));
  const auto most_rounds = std::clamp<int64_t>(int64_t(kMostWork / (16 * macs)), 3, 24);
  const size_t a_round = (layers.size() + size_t(most_rounds) - 1) / size_t(most_rounds);
  const Cuts cuts = plan.cuts();
  const auto consumers = plan.graph().consumers();
  for (size_t first = 0; first < layers.size();) {
    Measuring m;
    m.what = "prune-channels: repairing the layers behind";
    int64_t bytes = 0;
    for (; first < layers.size() && m.layers.size() < a_round && bytes < kGramBytes; ++first) {
      m.layers.push_back(layers[first]);
      m.targets.push_back(target_of(plan, *layers[first], consumers));
      m.kept.push_back(kept_outputs(plan, cuts, *layers[first]));
      const int64_t n = columns_of(*layers[first], *small.constant(layers[first]->weight)) + 1;
      bytes += 8 * n * (n + int64_t(m.kept.back().size()));
    }
    m.samples = samples_within(plan.graph(), plan.coupling().dims(), 2 * std::min<int64_t>(most_rounds, int64_t(layers.size())), samples, pass);
    const std::vector<LayerGram> grams = measure(small, &plan.graph(), m, pass);
    for (size_t k = 0; k < m.layers.size(); ++k) refit(small, *m.layers[k], grams[k]);
  }
  return int(layers.size());
}

}  // namespace pare
