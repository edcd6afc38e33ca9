// Where a compressed model departs from the original: values of the same name in both graphs are compared, and each
// layer's loss is traced to its weights, its activations' range, or to what came in from before.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "measure/autopsy.h"
#include "measure/causes.h"
#include "measure/measure.h"

namespace pare {
namespace {

// SQNR of a layer settles to a few tenths of a dB with so many samples; with two where they are large pictures, of which each
// value is an observation and each size is compiled for.
constexpr int64_t kSamples = 16, kFewestSamples = 2, kEnoughValues = 1'000'000;
constexpr int kTimingRuns = 20;

// Node that computes each named value.
std::map<std::string, int> producers_by_name(const Graph& graph) {
  std::map<std::string, int> map;
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    for (ValueId id : graph.nodes[n].outputs)
      if (id != kNone) map[graph.at(id).name] = int(n);
  return map;
}

bool moves_only(const Node& node) {
  static const std::set<std::string> moving = {"DequantizeLinear", "QuantizeLinear", "Reshape", "Flatten",
                                               "Transpose",        "Identity",       "Cast",    "Squeeze",
                                               "Unsqueeze",        "Shape",          "Dropout", "Constant"};
  return moving.count(node.op_type) != 0;
}

// Values whose only reader is a batch normalization, which the engine merges into the layer that writes them.
std::set<std::string> merged_values(const Graph& graph) {
  std::set<std::string> names;
  const auto consumers = graph.consumers();
  for (const Node& node : graph.nodes)
    if (node.is("BatchNormalization") && consumers[size_t(node.inputs[0])].size() == 1)
      names.insert(graph.at(node.inputs[0]).name);
  return names;
}

// Names of float values that both graphs compute, in the order of `small`.
std::vector<std::string> common_values(const Graph& small, const Graph& baseline) {
  const auto known = producers_by_name(baseline);
  std::vector<std::string> names;
  std::set<std::string> merged = merged_values(small);
  merged.merge(merged_values(baseline));
  for (const Node& node : small.nodes) {
    if (moves_only(node) || node.outputs.empty() || node.outputs[0] == kNone) continue;
    const Value& value = small.at(node.outputs[0]);
    const auto same = known.find(value.name);
    if (same == known.end() || !is_float(value.type) || merged.count(value.name) != 0) continue;
    const ValueId other = baseline.find(value.name);
    if (is_float(baseline.at(other).type)) names.push_back(value.name);
  }
  return names;
}

std::vector<Dims> dims_of(const std::vector<Array>& arrays) {
  std::vector<Dims> dims;
  for (const Array& array : arrays) dims.push_back(array.dims());
  return dims;
}

std::vector<std::vector<Array>> layer_inputs(const Graph& graph, const MeasureOptions& options) {
  std::vector<std::vector<Array>> inputs;
  const int64_t declared = declared_batch(graph), batch = declared > 0 ? declared : 1;
  const Samples* samples = options.data == nullptr ? nullptr
                           : options.data->test    ? options.data->test.get()
                                                   : options.data->calibration.get();
  if (samples != nullptr && samples->size() > 0) {
    int64_t values = 0;
    for (const Array& input : gather_batch(graph, *options.data, *samples, 0, batch)) values += input.count();
    const int64_t enough = std::clamp(kEnoughValues / std::max<int64_t>(values, 1), kFewestSamples, kSamples), count = std::min(enough, samples->size());
    // Spread over the split, which may be sorted by class.
    for (int64_t i = 0; i < count; ++i)
      inputs.push_back(gather_batch(graph, *options.data, *samples, i * samples->size() / count, batch));
    return inputs;
  }
  MeasureOptions one = options;
  one.batch = int(batch);
  const std::vector<Dims> dims = dims_of(latency_inputs(graph, one));
  for (int64_t i = 0; i < kSamples; ++i) inputs.push_back(random_inputs(graph, dims, options.seed + uint64_t(i)));
  return inputs;
}

std::map<std::string, ValueError> compare_values(const Graph& small, const Graph& baseline,
                                                 const std::vector<std::string>& names,
                                                 const std::vector<std::vector<Array>>& inputs,
                                                 const MeasureOptions& options) {
  SessionOptions tapped;
  tapped.threads = options.threads;
  tapped.tune = false;  // what is computed matters here, not how fast
  tapped.taps = names;
  Sessions first(small, tapped, 1), second(baseline, tapped, 1);  // pictures and texts have sizes of their own
  std::map<std::string, ValueError> errors;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (interrupted()) throw Error("explain", "interrupted");
    if (options.progress) options.progress("comparing layers", double(i), double(inputs.size()));
    const auto ours = first.of(inputs[i]).run(inputs[i]), theirs = second.of(inputs[i]).run(inputs[i]);
    for (size_t n = 0; n < names.size(); ++n) {
      const Array& x = ours[small.outputs.size() + n];
      const Array& y = theirs[baseline.outputs.size() + n];
      if (x.count() == y.count()) errors[names[n]].see(x, y);
    }
  }
  return errors;
}

std::vector<LayerReport> timed_layers(const Graph& graph, const std::vector<Array>& inputs,
                                      const MeasureOptions& options) {
  SessionOptions plain;
  plain.threads = options.threads;
  Session session(graph, dims_of(inputs), plain);
  return session.time_layers(inputs, kTimingRuns);
}

// Steps the engine adds between layers; no layer of the model is theirs.
bool between_layers(const LayerReport& layer) {
  return layer.op == "Quantize" || layer.op == "Dequantize" || layer.op == "Reorder" || layer.op == "Cast";
}

// The compared value a layer's result stands for: its own, or the one a quantizing or moving step passes on.
std::string compared_name(const Graph& graph, const std::map<std::string, int>& producers, std::string name,
                          const std::map<std::string, ValueError>& errors) {
  for (int step = 0; step < 4; ++step) {
    if (errors.count(name) != 0) return name;
    const auto node = producers.find(name);
    if (node == producers.end() || graph.nodes[size_t(node->second)].input(0) == kNone) break;
    name = graph.at(graph.nodes[size_t(node->second)].inputs[0]).name;
  }
  return "";
}

const LayerReport* same_layer(const std::vector<LayerReport>& layers, const LayerReport& wanted,
                              const std::string& value) {
  for (const LayerReport& layer : layers)
    if (!wanted.name.empty() && layer.name == wanted.name) return &layer;
  for (const LayerReport& layer : layers)
    if (layer.output == wanted.output || (!value.empty() && layer.output == value)) return &layer;
  return nullptr;
}

}  // namespace

std::vector<LayerRow> compare_layers(const Graph& small, const Graph& baseline, const MeasureOptions& options) {
  const std::vector<std::string> names = common_values(small, baseline);
  const auto inputs = layer_inputs(baseline, options);
  const auto errors = compare_values(small, baseline, names, inputs, options);
  const auto layers = timed_layers(small, inputs[0], options),
             baseline_layers = timed_layers(baseline, inputs[0], options);
  const auto producers = producers_by_name(small), baseline_producers = producers_by_name(baseline);
  const LayerCosts costs = measure_layer_costs(small, baseline, inputs, options);
  std::vector<LayerRow> rows;
  for (const LayerReport& layer : layers) {
    const std::string value = between_layers(layer) ? "" : compared_name(small, producers, layer.output, errors);
    LayerRow row{layer.name.empty() ? layer.output : layer.name,
                 layer.op,
                 layer.implementation,
                 layer.note,
                 layer.milliseconds,
                 0,
                 NAN,
                 layer.weight_bytes,
                 0,
                 layer.macs,
                 NAN,
                 ""};
    if (!between_layers(layer)) add_layer_cost(row, costs, small, producers, layer.output);
    const LayerReport* same = between_layers(layer) ? nullptr : same_layer(baseline_layers, layer, value);
    if (same != nullptr) {
      row.baseline_ms = same->milliseconds;
      row.baseline_weight_bytes = same->weight_bytes;
    }
    if (!value.empty()) {
      row.sqnr_db = errors.at(value).sqnr_db();
      const std::string cause = find_cause({small, baseline, errors, producers, baseline_producers}, layer.name, value);
      if (!cause.empty()) row.note += (row.note.empty() ? "" : "; ") + cause;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace pare
