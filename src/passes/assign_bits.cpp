// Int8, bfloat16 or float32 for each layer under a budget. What a layer costs is measured: the output's noise when only that
// layer is compressed. All start in the smallest form; as long as the budget permits, the change that takes away the most
// noise a byte is made.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "codecs/codecs.h"
#include "engine/output_error.h"
#include "graph/simplify.h"
#include "passes/assign_types.h"
#include "passes/pass.h"
#include "passes/quantize_plan.h"
#include "passes/statistics/activation.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct AssignBits {
  double size = 0.4;
  double least_sqnr = 0;
  double samples = 2;
  std::string types;
  double bits = 4.5;
  std::string exclude;
  bool feedback = false;
  static std::vector<Field> fields() {
    return FieldList<AssignBits>()
        .number("size", &AssignBits::size, 0, 1, "", "budget: constants may take this share of their bytes now", {"0.3", "0.4", "0.5"})
        .number("least-sqnr", &AssignBits::least_sqnr, 0, 200, "dB", "stop when the output's signal to noise is this good, though the size would permit more; 0: use the whole size", {"0", "30"})
        .number("samples", &AssignBits::samples, 1, 64, "", "calibration samples a layer's cost is measured on; fewer where one has 100,000 values")
        .word("types", &AssignBits::types, {}, "choose among these types of weights instead, activations staying floats: names as in quantize-weights, | between them, for example q4_0|q5_0|q8_0; int4 and int8 for ONNX")
        .number("bits", &AssignBits::bits, 1, 32, "", "with types: budget, of all weights on average", {"4.5", "5"})
        .flag("feedback", &AssignBits::feedback, "with types: quantize-columns{type=stored} follows. What its feedback leaves of each weight's noise is measured, which takes as long as that pass", {"yes"})
        .word("exclude", &AssignBits::exclude, {}, "with types: layers whose weights stay: names or operators, * for anything, | between them")
        .take();
  }
};

enum LayerForm { kInt8, kBf16, kFloat32, kForms };
constexpr const char* kFormNames[kForms] = {"int8", "bf16", "f32"};

// Layers that read one weight are stored in one form.
struct Group {
  std::vector<int> nodes;               // of the graph before the quantization
  double noise[kForms] = {0, 0, 0};     // at the output, over the signal, of these layers alone in that form
  int64_t bytes[kForms] = {0, 0, 0};
  bool possible[kForms] = {false, true, true};
  LayerForm form = kFloat32;
};

const std::string& output_name(const Graph& graph, const Node& node) { return graph.at(node.outputs[0]).name; }

std::unique_ptr<BoundPass> quantization(const std::string& exclude) {
  return find_pass("quantize-static").bind(exclude.empty() ? OptionTexts{} : OptionTexts{{"exclude", exclude}});
}

void request(const Graph& graph, const AssignBits& options, Observations& observations) {
  if (!options.types.empty()) return;  // activations stay
  quantization("")->request(graph, observations);
  // With fewer layers in int8 a value may need a scale of its own that it shares when all are.
  for (ValueId id : plan_quantization(graph, {}).values)
    if (auto& observer = observations[graph.at(id).name]; observer == nullptr) observer = std::make_shared<ActivationStatistics>(true, 1);
}

// Layers with names of their own, which an exclusion can name: exporters leave names out, and a recipe has signs of its own.
void name_layers(Graph& graph) {
  std::map<std::string, int> taken;
  for (const Node& node : graph.nodes) {
    ++taken[node.name];
    taken[node.op_type] += 2;  // exclusions name operators too
  }
  for (const WeightUse& use : weight_uses(graph)) {
    Node& node = graph.nodes[size_t(use.node)];
    if (!node.name.empty() && taken[node.name] == 1 && node.name.find_first_of("*|") == std::string::npos) continue;
    std::string name = node.op_type + "/" + output_name(graph, node);
    std::replace_if(name.begin(), name.end(), [](char c) { return c == '*' || c == '|'; }, '_');
    while (taken.count(name) != 0) name += "_";
    ++taken[name];
    node.name = name;
  }
}

bool fits_bf16(const Tensor& weight) {
  const std::vector<float> values = codec_bfloat16.encode(weight.array(), 0, 0).decode().to_floats();
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

std::vector<Group> find_groups(const Graph& graph) {
  std::map<ValueId, Group> by_weight;
  for (const WeightUse& use : weight_uses(graph)) {
    const Tensor& weight = *graph.constant(use.value);
    if (!weight.plain() || weight.type != Type::f32 || graph.is_output(use.value)) continue;
    Group& group = by_weight[use.value];
    group.nodes.push_back(use.node);
    group.bytes[kFloat32] = weight.size_bytes();
    group.bytes[kBf16] = weight.size_bytes() / 2;
    group.possible[kBf16] = fits_bf16(weight);
  }
  std::vector<Group> groups;
  for (auto& [id, group] : by_weight) groups.push_back(std::move(group));
  std::stable_sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) { return a.nodes[0] < b.nodes[0]; });
  return groups;
}

// Bytes and noise of every form of every group.
void measure_groups(std::vector<Group>& groups, const Graph& graph, const Graph& int8, const Graph& bf16, OutputError& error, PassRun& pass) {
  std::map<int, SharedLayer> donors[2];
  for (const SharedLayer& layer : shared_layers(graph, int8)) donors[kInt8][layer.first] = layer;
  for (const SharedLayer& layer : shared_layers(graph, bf16)) donors[kBf16][layer.first] = layer;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (interrupted()) throw Error("assign-bits", "interrupted while measuring the layers");
    if (pass.progress) pass.progress("assign-bits: each layer alone", double(g), double(groups.size()));
    Group& group = groups[g];
    for (int n : group.nodes) {
      const auto eight = donors[kInt8].find(n), sixteen = donors[kBf16].find(n);
      if (sixteen != donors[kBf16].end() && group.possible[kBf16]) group.noise[kBf16] += noise_over_signal(error.sqnr_db(bf16, sixteen->second));
      if (eight == donors[kInt8].end()) continue;
      for (ValueId input : int8.nodes[size_t(eight->second.second)].inputs)
        if (const Tensor* weight = int8.constant(input); weight != nullptr && weight->codec == &codec_int8) {
          group.possible[kInt8] = true;
          group.bytes[kInt8] = weight->size_bytes();
        }
      group.noise[kInt8] += noise_over_signal(error.sqnr_db(int8, eight->second));
    }
  }
}

double total_noise(const std::vector<Group>& groups) {
  double noise = 0;
  for (const Group& group : groups) noise += group.noise[group.form];
  return noise;
}

// Every group in its smallest form, then one step after the other: the most noise taken away a byte, while `bytes` last
// and the noise is above `enough`. Ties go to the earlier layer.
void choose_forms(std::vector<Group>& groups, int64_t bytes, double enough) {
  for (Group& group : groups) {
    group.form = group.possible[kInt8] ? kInt8 : group.possible[kBf16] ? kBf16 : kFloat32;
    bytes -= group.bytes[group.form];
  }
  while (total_noise(groups) > enough) {
    Group* best = nullptr;
    LayerForm best_form = kFloat32;
    double most = 0;
    for (Group& group : groups)
      for (LayerForm form : {kBf16, kFloat32}) {
        const int64_t more = group.bytes[form] - group.bytes[group.form];
        if (form <= group.form || !group.possible[form] || more > bytes) continue;
        const double gain = (group.noise[group.form] - group.noise[form]) / double(std::max<int64_t>(more, 1));
        if (gain > most) {
          most = gain;
          best = &group;
          best_form = form;
        }
      }
    if (best == nullptr) return;
    bytes -= best->bytes[best_form] - best->bytes[best->form];
    best->form = best_form;
  }
}

bool all_smallest(const std::vector<Group>& groups) {
  return std::all_of(groups.begin(), groups.end(), [](const Group& group) { return group.form == kInt8 || !group.possible[kInt8]; });
}

Graph in_bf16(const Graph& graph, const std::vector<Group>& groups) {
  Graph result = graph;
  for (const Group& group : groups)
    for (const WeightUse& use : weight_uses(graph))
      if (group.possible[kBf16] && use.node == group.nodes[0] && graph.constant(use.value)->plain())
        replace_constant(result, use.value, codec_bfloat16.encode(graph.constant(use.value)->array(), 0, 0));
  return result;
}

// The graph with the chosen forms; `notes` get those of the quantization.
Graph assigned(const Graph& graph, const std::vector<Group>& groups, const PassRun& pass, std::vector<std::string>& notes) {
  std::string exclude;
  std::map<std::string, LayerForm> forms;  // by what the layer computes
  for (const Group& group : groups)
    for (int n : group.nodes) {
      const Node& node = graph.nodes[size_t(n)];
      forms[output_name(graph, node)] = group.form;
      if (group.form != kInt8) exclude += (exclude.empty() ? "" : "|") + node.name;
    }
  Graph result = graph;
  PassRun quantizing{pass.observed, pass.reference, pass.seed};
  quantization(exclude)->run(result, quantizing);
  for (std::string& note : quantizing.notes)
    if (!note.ends_with("excluded by the recipe")) notes.push_back(std::move(note));
  for (const WeightUse& use : weight_uses(result)) {
    const auto form = forms.find(output_name(result, result.nodes[size_t(use.node)]));
    const Tensor& weight = *result.constant(use.value);
    if (form != forms.end() && form->second == kBf16 && weight.plain()) replace_constant(result, use.value, codec_bfloat16.encode(weight.array(), 0, 0));
  }
  result.remove_unused();
  infer_shapes(result);
  return result;
}

int64_t constant_bytes(const Graph& graph) {
  int64_t bytes = 0;
  for (const Value& value : graph.values)
    if (value.constant) bytes += value.constant->size_bytes();
  return bytes;
}

void note_choices(const Graph& graph, const std::vector<Group>& groups, double share, double measured_db, PassRun& pass) {
  int counts[kForms] = {0, 0, 0};
  for (const Group& group : groups) {
    counts[group.form] += int(group.nodes.size());
    if (group.form == kInt8) continue;
    const std::string eight = group.possible[kInt8] ? fmt::format("{:.1f} dB in int8", signal_over_noise_db(group.noise[kInt8])) : "no int8 form";
    pass.notes.push_back(fmt::format("{} in {}: alone it leaves the output {}, {:.1f} dB in bf16", graph.nodes[size_t(group.nodes[0])].where(), kFormNames[group.form], eight,
                                     signal_over_noise_db(group.noise[kBf16])));
  }
  pass.notes.push_back(fmt::format("{} layers in int8, {} in bf16, {} in f32: {:.1f} % of the bytes; output {:.1f} dB above its noise, {:.1f} dB expected from the layers alone",
                                   counts[kInt8], counts[kBf16], counts[kFloat32], 100 * share, measured_db, signal_over_noise_db(total_noise(groups))));
}

void run(Graph& graph, const AssignBits& options, PassRun& pass) {
  fold_batch_norms(graph);  // a weight in int8 could not take one up any more
  if (!options.types.empty()) return assign_types(graph, {options.types, options.bits, options.samples, options.exclude, options.feedback}, pass);
  name_layers(graph);
  std::vector<Group> groups = find_groups(graph);
  if (groups.empty()) {
    pass.notes.push_back("no layer has weights in float32: put assign-bits in front of other quantizations, or alone");
    return;
  }
  OutputError error(graph, spread_samples(pass.samples, int64_t(options.samples)));
  std::vector<std::string> notes;
  for (Group& group : groups) group.form = kInt8;
  measure_groups(groups, graph, assigned(graph, groups, pass, notes), in_bf16(graph, groups), error, pass);

  const int64_t before = constant_bytes(graph);
  int64_t budget = int64_t(options.size * double(before));
  for (const Value& value : graph.values)
    if (value.constant) budget -= value.constant->size_bytes();
  for (const Group& group : groups) budget += group.bytes[kFloat32];
  double wanted_db = options.least_sqnr > 0 ? options.least_sqnr : INFINITY, measured_db = 0;
  Graph result;
  // Scales and zeros of activations take bytes too, and layers' noises do not add up exactly: where the whole is too large or
  // too noisy, ask for that much more.
  for (int round = 0; round < 5; ++round) {
    choose_forms(groups, budget, noise_over_signal(wanted_db));
    notes.clear();
    result = assigned(graph, groups, pass, notes);
    const int64_t excess = constant_bytes(result) - int64_t(options.size * double(before));
    budget -= std::max<int64_t>(excess, 0);
    if (excess > 0 && !all_smallest(groups) && round < 4) continue;
    measured_db = error.sqnr_db(result);
    if (options.least_sqnr <= 0 || measured_db >= options.least_sqnr || signal_over_noise_db(total_noise(groups)) < wanted_db) break;
    wanted_db += options.least_sqnr - measured_db;
  }
  pass.notes.insert(pass.notes.end(), notes.begin(), notes.end());
  const double share = double(constant_bytes(result)) / double(std::max<int64_t>(before, 1));
  note_choices(graph, groups, share, measured_db, pass);
  if (share > options.size) pass.notes.push_back(fmt::format("the smallest forms already take more than size={}", number_text(options.size)));
  if (measured_db < options.least_sqnr) pass.notes.push_back(fmt::format("least-sqnr={} is not reached: it needs a larger size", number_text(options.least_sqnr)));
  for (const Group& group : groups) pass.changed += group.form != kFloat32 ? int(group.nodes.size()) : 0;
  graph = std::move(result);
}

}  // namespace

Pass pass_assign_bits() {
  return declare_pass<AssignBits>("assign-bits", "Chooses int8, bf16 or float32 for each layer under a budget, by what each costs at the output. Needs data; does the quantization itself.",
                                  "Dong et al. 2019, HAWQ, section 3 (layers ranked by sensitivity); Nagel et al. 2021, White Paper on Quantization, section 4.2 (SQNR of single layers)", false, run,
                                  request);
}

}  // namespace pare
