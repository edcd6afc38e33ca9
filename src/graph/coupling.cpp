// The ties of all nodes: sets of slices that are cut together, kept as a forest (union-find).
#include "graph/links.h"

#include <algorithm>
#include <unordered_map>

#include "graph/op.h"

namespace pare {

Coupling::Coupling(const Graph& graph, const std::vector<Dims>& inputs, const std::map<int, std::string>& untouched, const std::map<int, std::string>& whole)
    : graph_(graph), untouched_(untouched) {
  Graph concrete = graph;  // values keep their ids
  infer_shapes(concrete, inputs);
  int64_t elements = 0;
  for (const Value& value : concrete.values) {
    dims_.push_back(value.shape ? known_dims(*value.shape) : std::nullopt);
    known_.push_back(value.constant);
    first_.emplace_back();
    if (!dims_.back()) continue;
    for (int64_t extent : *dims_.back()) {
      first_.back().push_back(elements);
      elements += extent;
    }
  }
  parent_.resize(size_t(elements));
  for (int64_t i = 0; i < elements; ++i) parent_[size_t(i)] = i;
  reason_.assign(size_t(elements), -1);
  heads_.assign(size_t(elements), 0);

  const Node none;
  Links links(*this, none, graph.opset());
  for (ValueId id : graph.inputs) links.fix_all(id, "it is an input of the model");
  for (ValueId id : graph.outputs) links.fix_all(id, "it is an output of the model");
  for (size_t id = 0; id < graph.values.size(); ++id) {
    const Value& value = graph.values[id];
    if (value.outer) links.fix_all(ValueId(id), "it belongs to the graph around");
    if (value.constant && !value.constant->plain()) links.fix_all(ValueId(id), "its weights are stored as " + std::string(value.constant->codec->name) + ": prune before they are");
    if (value.type == Type::i64 || value.type == Type::i32 || value.type == Type::string) links.fix_all(ValueId(id), "it holds places or extents");
    if (value.constant && value.type != Type::string && value.constant->plain() && type_bits(value.type) < 8) links.fix_all(ValueId(id), "its elements are packed");
  }
  for (const Node& node : graph.nodes)
    for (const std::string& name : outer_names(node))
      if (const ValueId id = graph.find(name); id != kNone) links.fix_all(id, "a graph inside of " + node.where() + " reads it");
  for (const auto& [n, why] : whole)
    for (ValueId id : graph.nodes[size_t(n)].outputs) links.fix_all(id, why);
  link_until_stable();
}

int64_t Coupling::element(ValueId id, int axis, int64_t index) const {
  const Dims& dims = *dims_[size_t(id)];
  PARE_CHECK(axis >= 0 && axis < int(dims.size()) && index >= 0 && index < dims[size_t(axis)]);
  return first_[size_t(id)][size_t(axis)] + index;
}

int64_t Coupling::root(int64_t element) const {
  while (parent_[size_t(element)] != element) element = parent_[size_t(element)] = parent_[size_t(parent_[size_t(element)])];
  return element;
}

void Coupling::tie(int64_t a, int64_t b) {
  a = root(a), b = root(b);
  if (a == b) return;
  if (b < a) std::swap(a, b);
  parent_[size_t(b)] = a;
  const int first = reason_[size_t(a)], second = reason_[size_t(b)];
  reason_[size_t(a)] = first < 0 ? second : second < 0 ? first : std::min(first, second);
  heads_[size_t(a)] |= heads_[size_t(b)];
  changed_ = true;
}

void Coupling::fix(int64_t element, const std::string& why) {
  element = root(element);
  if (reason_[size_t(element)] >= 0) return;
  if (reasons_.empty() || reasons_.back() != why) reasons_.push_back(why);
  reason_[size_t(element)] = int(reasons_.size()) - 1;
  changed_ = true;
}

void Coupling::link_node(int n) {
  const Node& node = graph_.nodes[size_t(n)];
  Links links(*this, node, graph_.opset());
  std::string why;
  if (const auto it = untouched_.find(n); it != untouched_.end()) why = it->second;
  else if (node.op == nullptr) why = "pare does not know the operator";
  else if (node.op->links == nullptr && !node.is("Shape") && !node.is("Size")) why = "the operator's channels belong together";
  for (const auto* ids : {&node.inputs, &node.outputs})
    for (ValueId id : *ids)
      if (why.empty() && id != kNone && !dims_[size_t(id)]) why = "extents of its values are known only when it runs";
  if (why.empty()) {
    if (node.op->links != nullptr) node.op->links(links);
    return;
  }
  for (const auto* ids : {&node.inputs, &node.outputs})
    for (ValueId id : *ids)
      if (id != kNone) links.fix_all(id, why);
}

// Which axis of a reshape can be cut depends on what else is fixed: all nodes again until nothing changes, then one choice
// among those that are open, and again.
void Coupling::link_until_stable() {
  do {
    do {
      changed_ = false;
      for (size_t n = 0; n < graph_.nodes.size(); ++n) link_node(int(n));
    } while (changed_);
    choosing_ = true;
    for (size_t n = 0; n < graph_.nodes.size() && choosing_; ++n) link_node(int(n));
    choosing_ = false;
  } while (changed_);
}

std::vector<ChannelGroup> Coupling::groups() const {
  std::vector<ChannelGroup> groups;
  std::vector<char> weighty;
  std::unordered_map<int64_t, size_t> by_root;
  std::vector<char> weights(dims_.size(), 0);
  for (const Node& node : graph_.nodes)
    for (ValueId id : node.inputs)
      if (node.op != nullptr && node.op->weight_input >= 0 && graph_.constant(id) != nullptr && graph_.constant(id)->count() > 1) weights[size_t(id)] = 1;
  for (size_t id = 0; id < dims_.size(); ++id) {
    if (!dims_[id]) continue;
    for (size_t axis = 0; axis < dims_[id]->size(); ++axis)
      for (int64_t i = 0; i < (*dims_[id])[axis]; ++i) {
        const int64_t at = root(first_[id][axis] + i);
        if (reason_[size_t(at)] >= 0) continue;
        const auto [it, is_new] = by_root.emplace(at, groups.size());
        if (is_new) {
          groups.emplace_back();
          groups.back().heads = heads_[size_t(at)] != 0;
          weighty.push_back(0);
        }
        groups[it->second].slices.push_back({ValueId(id), int(axis), i});
        weighty[it->second] |= weights[id];
      }
  }
  std::vector<ChannelGroup> kept;
  for (size_t g = 0; g < groups.size(); ++g)
    if (weighty[g]) kept.push_back(std::move(groups[g]));
  return kept;
}

std::string Coupling::why_fixed(ValueId id, int axis) const {
  if (id == kNone || !dims_[size_t(id)]) return "extents of its values are known only when it runs";
  std::string why;
  for (int64_t i = 0; i < (*dims_[size_t(id)])[size_t(axis)]; ++i) {
    const int reason = reason_[size_t(root(first_[size_t(id)][size_t(axis)] + i))];
    if (reason < 0) return "";
    if (why.empty()) why = reasons_[size_t(reason)];
  }
  return why;
}

}  // namespace pare
