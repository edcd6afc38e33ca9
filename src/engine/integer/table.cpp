// Functions of one 8-bit value: whatever stands between a DequantizeLinear and a QuantizeLinear and works element by
// element is a table of 256 bytes, filled by the operators' own reference forwards.
#include <algorithm>
#include <set>

#include "engine/integer/jobs.h"
#include "graph/op.h"

namespace pare {
namespace {

constexpr int kMostNodes = 24;  // of one function; a bound on the search, far above what activations need

bool is_pointwise(const Node& node) {
  static const std::set<std::string_view> ops{
      "QuantizeLinear", "DequantizeLinear", "Abs", "Add", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity",
      "LeakyRelu", "Max", "Min", "Mish", "Mul", "Neg", "Pow", "PRelu", "Reciprocal", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign",
      "Sqrt", "Sub", "Swish", "Tanh", "ThresholdedRelu", "Celu"};
  return node.op != nullptr && node.op->forward != nullptr && node.outputs.size() == 1 && (node.domain.empty() ? ops.count(node.op_type) != 0 : node.op_type == "Gelu");
}

// Constants other than single numbers would make it a function of the place too.
bool constants_are_numbers(const Graph& graph, const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) { return graph.constant(id) == nullptr || graph.constant(id)->count() == 1; });
}

// The nodes between `quantize` and the one 8-bit value that it depends on, in order; empty if there is no such value.
struct Region {
  std::vector<int> nodes;
  ValueId source = kNone;
};
Region region_before(const Planner& planner, int quantize) {
  const Graph& graph = planner.graph;
  std::set<int> nodes{quantize};
  std::set<ValueId> open{graph.nodes[size_t(quantize)].inputs[0]};
  if (!constants_are_numbers(graph, graph.nodes[size_t(quantize)])) return {};
  while (!(open.size() == 1 && is_eight_bit(graph.at(*open.begin()).type))) {
    // The value computed last is followed back first, so that branches meet where they part.
    const ValueId last = *std::max_element(open.begin(), open.end(), [&](ValueId a, ValueId b) { return planner.producer[size_t(a)] < planner.producer[size_t(b)]; });
    const int by = planner.producer[size_t(last)];
    if (by < 0 || int(nodes.size()) >= kMostNodes) return {};
    const Node& node = graph.nodes[size_t(by)];
    if (!is_pointwise(node) || !constants_are_numbers(graph, node)) return {};
    open.erase(last);
    nodes.insert(by);
    for (ValueId id : node.inputs)
      if (id != kNone && graph.constant(id) == nullptr) open.insert(id);
    if (open.empty()) return {};
  }
  return {{nodes.begin(), nodes.end()}, *open.begin()};
}

// Nobody outside reads what is computed inside, except the result. The source may have other readers if `shared`.
bool is_closed(const Planner& planner, const Region& region, bool shared) {
  const std::set<int> inside(region.nodes.begin(), region.nodes.end());
  auto read_inside = [&](ValueId id) {
    const auto& readers = planner.consumers[size_t(id)];
    return !planner.pinned(id) && std::all_of(readers.begin(), readers.end(), [&](int n) { return inside.count(n) != 0; });
  };
  for (int n : region.nodes) {
    if (n == region.nodes.back()) continue;
    const Node& node = planner.graph.nodes[size_t(n)];
    // A dequantization that others read too is theirs to make.
    if (!read_inside(node.outputs[0]) && !(shared && node.is("DequantizeLinear") && node.inputs[0] == region.source)) return false;
  }
  return shared || read_inside(region.source);
}

std::shared_ptr<const ByteTable> fill_table(const Planner& planner, const Region& region) {
  std::map<ValueId, Array> values;
  const Type type = planner.graph.at(region.source).type;
  Array all(type, {256});
  for (int i = 0; i < 256; ++i) reinterpret_cast<uint8_t*>(all.mutable_bytes())[i] = uint8_t(i);
  values[region.source] = all;
  for (int n : region.nodes) {
    const Node& node = planner.graph.nodes[size_t(n)];
    Forward forward{node, planner.graph.opset(), {}, {}};
    for (ValueId id : node.inputs) {
      if (id == kNone) forward.inputs.emplace_back();
      else if (planner.graph.constant(id) != nullptr) forward.inputs.push_back(planner.constant(id).reshaped({}));
      else forward.inputs.push_back(values.at(id));
    }
    forward.outputs.resize(1);
    node.op->forward(forward);
    values[node.outputs[0]] = forward.outputs[0];
  }
  const Array& result = values.at(planner.graph.nodes[size_t(region.nodes.back())].outputs[0]);
  if (result.count() != 256 || !is_eight_bit(result.type())) return nullptr;
  auto table = std::make_shared<ByteTable>();
  std::copy_n(reinterpret_cast<const uint8_t*>(result.bytes()), 256, table->begin());
  return table;
}

}  // namespace

std::optional<TableFunction> table_function(const Planner& planner, ValueId source, int node, bool shared) {
  const auto has_bytes = [&](ValueId id) { return type_bits(planner.graph.at(id).type) == 8; };  // which index a table and fill it
  if (!has_bytes(source)) return std::nullopt;
  // Forward to the nearest quantization that depends on `source` alone.
  std::set<ValueId> reached{source};
  int seen = 0;
  std::set<int> next;
  auto follow = [&](ValueId id) { next.insert(planner.consumers[size_t(id)].begin(), planner.consumers[size_t(id)].end()); };
  follow(source);
  while (!next.empty() && ++seen <= kMostNodes) {
    const int n = *next.begin();
    next.erase(next.begin());
    const Node& at = planner.graph.nodes[size_t(n)];
    if (!is_pointwise(at)) continue;
    if (at.is("QuantizeLinear")) {
      const auto q = planner.quantized_by(n);
      const Region region = q && has_bytes(q->value) ? region_before(planner, n) : Region();
      const bool holds = node < 0 || std::find(region.nodes.begin(), region.nodes.end(), node) != region.nodes.end();
      if (region.source == source && holds && planner.dims(q->value) == planner.dims(source) && is_closed(planner, region, shared)) {
        if (const auto table = fill_table(planner, region)) return TableFunction{region.nodes, *q, table};
      }
    }
    follow(at.outputs[0]);
  }
  return std::nullopt;
}

bool lower_integer_table(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!is_pointwise(node) || node.is("DequantizeLinear")) return false;
  for (ValueId id : node.inputs) {
    const auto q = planner.dequantized(id);
    if (!q || !planner.existing(q->value)) continue;
    const auto function = table_function(planner, q->value, n, true);
    if (!function) continue;
    const SlotId source = *planner.existing(q->value);
    const Storage form = planner.storage(source);
    const auto place = form.layout == Layout::channels_last ? place_in_concat(planner, function->out.value) : std::nullopt;
    const SlotId target = place ? place->memory : planner.define(function->out.value, {function->out.type, form.dims, form.layout});
    std::string text;
    for (int k : function->nodes) {
      const Node& part = planner.graph.nodes[size_t(k)];
      if (part.is("DequantizeLinear") && part.inputs[0] == q->value) continue;
      planner.done[size_t(k)] = 1;
      if (!part.is("QuantizeLinear") && !part.is("DequantizeLinear")) text += (text.empty() ? "" : "+") + part.op_type;
    }
    MoveInt8 job;
    job.extents[5] = place ? form.dims[1] : int64_t(form.bytes());
    if (place) {
      job.extents[4] = int64_t(form.bytes()) / std::max<int64_t>(form.dims[1], 1);
      job.input_strides[4] = form.dims[1];
      job.output_strides[4] = place->pitch;
      job.output_offset = place->offset;
    }
    emit_move(planner, job, function->table, source, target, node, text.empty() ? "Requantize" : text, planner.graph.at(function->out.value).name);
    return true;
  }
  return false;
}

}  // namespace pare
