// One layer of a model in its other form, everything else as it is: how the cost of a layer is told from that of its
// neighbours.
#include "graph/graft.h"

#include <map>

namespace pare {
namespace {

bool same_constant(const Tensor& a, const Tensor& b) {
  if (&a == &b) return true;
  if (a.codec != b.codec || a.dims != b.dims || a.parts.size() != b.parts.size()) return false;
  for (size_t i = 0; i < a.parts.size(); ++i)
    if (!a.parts[i].same_as(b.parts[i])) return false;
  return true;
}

bool reads_the_same(const Graph& a, const Node& x, const Graph& b, const Node& y) {
  for (size_t i = 0; i < std::max(x.inputs.size(), y.inputs.size()); ++i) {
    const ValueId p = x.input(i), q = y.input(i);
    if (p == kNone || q == kNone) {
      if (p != q) return false;
      continue;
    }
    const Tensor *u = a.constant(p), *v = b.constant(q);
    if ((u == nullptr) != (v == nullptr)) return false;
    if (u != nullptr ? !same_constant(*u, *v) : a.at(p).name != b.at(q).name) return false;
  }
  return true;
}

class Copier {
 public:
  Copier(Graph& host, const Graph& donor) : host_(host), donor_(donor), host_producer_(host.producers()), donor_producer_(donor.producers()) {}

  ValueId copy(ValueId id) {
    if (id == kNone) return kNone;
    if (const auto done = done_.find(id); done != done_.end()) return done->second;
    const Value& value = donor_.at(id);
    if (value.constant) return done_[id] = host_.add_constant(value.name, *value.constant);
    const int producer = donor_producer_[size_t(id)];
    if (const ValueId same = host_.find(value.name); same != kNone && computed(same)) return done_[id] = same;
    PARE_CHECK(producer >= 0);  // the inputs of a model keep their names
    return copy_node(donor_.nodes[size_t(producer)], id);
  }

 private:
  bool computed(ValueId id) const {
    if (size_t(id) < host_producer_.size() && host_producer_[size_t(id)] >= 0) return true;
    for (ValueId input : host_.inputs)
      if (input == id) return true;
    return false;
  }
  ValueId copy_node(const Node& node, ValueId wanted) {
    std::vector<ValueId> inputs, outputs;
    for (ValueId input : node.inputs) inputs.push_back(copy(input));
    for (ValueId output : node.outputs) {
      if (output == kNone) {
        outputs.push_back(kNone);
        continue;
      }
      const Value value = donor_.at(output);
      done_[output] = host_.add_value(host_.unique_name(value.name), value.type, value.shape);
      outputs.push_back(done_[output]);
    }
    Node& added = host_.add_node(node.op_type, inputs, outputs);
    added = node;
    added.inputs = inputs;
    added.outputs = outputs;
    return done_.at(wanted);
  }

  Graph& host_;
  const Graph& donor_;
  const std::vector<int> host_producer_, donor_producer_;
  std::map<ValueId, ValueId> done_;  // donor → host
};

}  // namespace

std::vector<SharedLayer> shared_layers(const Graph& first, const Graph& second) {
  std::map<std::string, int> by_value;
  for (size_t n = 0; n < second.nodes.size(); ++n)
    if (!second.nodes[n].outputs.empty() && second.nodes[n].outputs[0] != kNone) by_value[second.at(second.nodes[n].outputs[0]).name] = int(n);
  std::vector<SharedLayer> layers;
  for (size_t n = 0; n < first.nodes.size(); ++n) {
    const Node& node = first.nodes[n];
    if (node.outputs.empty() || node.outputs[0] == kNone || node.is("DequantizeLinear") || node.is("QuantizeLinear")) continue;
    const std::string& value = first.at(node.outputs[0]).name;
    const auto same = by_value.find(value);
    if (same == by_value.end()) continue;
    const Node& other = second.nodes[size_t(same->second)];
    if (other.op_type == node.op_type && other.domain == node.domain && !reads_the_same(first, node, second, other)) layers.push_back({int(n), same->second, value});
  }
  return layers;
}

void graft_layer(Graph& host, int node, const Graph& donor, int donor_node, Graft what) {
  Copier copier(host, donor);
  const std::vector<ValueId> inputs = donor.nodes[size_t(donor_node)].inputs;
  for (size_t i = 0; i < inputs.size() && i < host.nodes[size_t(node)].inputs.size(); ++i) {
    const bool constant = donor.constant(inputs[i]) != nullptr;
    if (what == Graft::whole || constant == (what == Graft::constants)) {
      const ValueId copied = copier.copy(inputs[i]);
      host.nodes[size_t(node)].inputs[i] = copied;
    }
  }
  host.sort();
}

}  // namespace pare
