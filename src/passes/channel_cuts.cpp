#include "passes/channel_cuts.h"

#include <fmt/format.h>

#include "engine/engine.h"
#include "passes/weights.h"

namespace pare {

std::vector<Dims> assumed_inputs(const Graph& graph, const PassRun& run) {
  if (run.samples.count == 0) return default_input_dims(graph, 1, run.shapes);
  std::vector<Dims> dims;
  for (const Array& input : run.samples.get(0)) dims.push_back(input.dims());
  return dims;
}

std::map<int, std::string> excluded_nodes(const Graph& graph, const std::string& exclude) {
  std::map<int, std::string> nodes;
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    if (!exclude.empty() && name_matches(exclude, graph.nodes[n])) nodes[int(n)] = "excluded by the recipe";
  return nodes;
}

void with_plan(const Graph& graph, const std::vector<Dims>& inputs, const std::map<int, std::string>& excluded, const std::function<void(ChannelPlan&)>& with) {
  std::unique_ptr<ChannelPlan> usable;
  with_untouched(graph, [&](const std::map<int, std::string>& untouched) {
    usable = std::make_unique<ChannelPlan>(graph, inputs, untouched, excluded);
    ChannelPlan trial = *usable;
    for (const ChannelClass& channels : trial.classes())
      if (trial.can_cut(channels.groups.back())) trial.cut(channels.groups.back());
    Graph copy = graph;
    cut_slices(copy, trial.cuts(), trial.coupling(), inputs);
  });
  with(*usable);
}

void note_cuts(const ChannelPlan& plan, std::vector<std::string>& notes) {
  for (const ChannelClass& channels : plan.classes()) {
    size_t kept = 0;
    for (int g : channels.groups) kept += !plan.is_cut(g);
    if (kept == channels.groups.size()) continue;
    notes.push_back(fmt::format("{}: {} → {} {}", plan.name_of(channels), channels.groups.size(), kept, channels.heads ? "heads" : "channels"));
  }
}

void note_fixed(const ChannelPlan& plan, std::vector<std::string>& notes) {
  std::map<std::string, std::vector<std::string>> layers;  // by reason
  std::set<std::pair<ValueId, int>> open;
  for (const ChannelClass& channels : plan.classes())
    if (channels.groups.size() > 1) open.insert(channels.axes.begin(), channels.axes.end());
  for (const WeightLayer& layer : plan.layers()) {
    const Node& node = plan.graph().nodes[size_t(layer.node)];
    if (open.count({layer.weight, layer.out_axis})) continue;
    std::string why = plan.coupling().why_fixed(layer.weight, layer.out_axis);
    if (why.empty()) why = "all its channels belong together";
    layers[why].push_back(node.name.empty() ? plan.graph().at(node.outputs[0]).name : node.name);
  }
  for (const auto& [why, names] : layers) {
    std::string list;
    for (size_t i = 0; i < std::min<size_t>(names.size(), 3); ++i) list += (i == 0 ? "" : ", ") + names[i];
    if (names.size() > 3) list += fmt::format(" and {} more", names.size() - 3);
    notes.push_back("cannot be cut: outputs of " + list + ": " + why);
  }
}

}  // namespace pare
