#pragma once
// What the structured passes share: extents to assume, the cut itself, and what they tell people about it.
#include <set>

#include "passes/channel_scores.h"
#include "passes/pass.h"

namespace pare {

// Extents of the inputs: those of the first sample, or those a session would assume.
std::vector<Dims> assumed_inputs(const Graph& graph, const PassRun& run);

// Nodes whose channels stay by the recipe ("name|pattern*").
std::map<int, std::string> excluded_nodes(const Graph& graph, const std::string& exclude);

// Finds out by cutting one group of every class which operators cannot follow, and calls `with` with a plan that can be cut.
void with_plan(const Graph& graph, const std::vector<Dims>& inputs, const std::map<int, std::string>& excluded, const std::function<void(ChannelPlan&)>& with);

// Per class: "conv1, conv2: 16 → 12 channels".
void note_cuts(const ChannelPlan& plan, std::vector<std::string>& notes);
// Layers whose output channels cannot be cut, by reason.
void note_fixed(const ChannelPlan& plan, std::vector<std::string>& notes);

}  // namespace pare
