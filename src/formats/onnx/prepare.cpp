#include "formats/onnx/prepare.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "formats/onnx/onnx.h"

namespace pare {
namespace {

// Operators and element types that came after opset 13, and the opset that brought them.
struct Since {
  const char* op;
  int64_t opset;
};
constexpr Since kOperators[] = {{"HardSwish", 14}, {"Trilu", 14}, {"LayerNormalization", 17}, {"GroupNormalization", 18},
                                {"Mish", 18}, {"Gelu", 20}, {"RMSNormalization", 23}, {"Attention", 23}, {"RotaryEmbedding", 23}};
constexpr const char* kAxesInput18[] = {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
                                        "ReduceMin", "ReduceProd", "ReduceSumSquare"};

int64_t opset_of(Type type) {
  switch (type) {
    case Type::f8e4m3fn: case Type::f8e4m3fnuz: case Type::f8e5m2: case Type::f8e5m2fnuz: return 19;
    case Type::u4: case Type::i4: return 21;
    case Type::f4e2m1: return 23;
    case Type::f8e8m0: return 24;
    case Type::u2: case Type::i2: return 25;
    default: return 1;
  }
}

bool is_quantizer(const Node& node) { return node.is("QuantizeLinear") || node.is("DequantizeLinear"); }

int64_t opset_of(const Graph& graph, const Node& node) {
  int64_t need = 1;
  if (!node.domain.empty()) return need;
  for (const Since& row : kOperators)
    if (node.op_type == row.op) need = row.opset;
  for (const char* op : kAxesInput18)
    if (node.op_type == op && node.input(1) != kNone) need = 18;
  if (!is_quantizer(node)) return need;
  const ValueId scale = node.input(1);
  const bool per_axis = scale != kNone && graph.at(scale).shape && !graph.at(scale).shape->empty();
  need = per_axis || node.has("axis") ? 13 : 10;
  if (node.integer("block_size", 0) != 0 || node.has("output_dtype")) need = 21;
  for (size_t i : {size_t(0), size_t(2)}) {
    if (i == 0 && node.is("QuantizeLinear")) continue;
    const Type type = node.input(i) == kNone ? Type::none : graph.at(node.input(i)).type;
    need = std::max(need, type == Type::u16 || type == Type::i16 ? 21 : opset_of(type));
  }
  return need;
}

int64_t opset_needed(const Graph& graph) {
  int64_t need = 1;
  for (const Value& value : graph.values)
    if (value.constant != nullptr) need = std::max(need, opset_of(value.type));
  for (const Node& node : graph.nodes) {
    need = std::max(need, opset_of(graph, node));
    for (const auto& [key, attribute] : node.attributes) {
      if (auto* one = std::get_if<std::shared_ptr<Graph>>(&attribute)) need = std::max(need, opset_needed(**one));
      if (auto* many = std::get_if<std::vector<std::shared_ptr<Graph>>>(&attribute))
        for (const auto& inner : *many) need = std::max(need, opset_needed(*inner));
    }
  }
  return need;
}

// The oldest IR version that may carry an opset (onnx/docs/Versioning.md). 4 is the first in which an initializer need
// not be a graph input as well.
int64_t ir_needed(int64_t opset) {
  constexpr int64_t kTable[][2] = {{25, 13}, {24, 12}, {23, 11}, {21, 10}, {19, 9}, {15, 8}, {12, 7}, {11, 6}, {10, 5}};
  for (const auto& row : kTable)
    if (opset >= row[0]) return row[1];
  return 4;
}

void all_names(const Graph& graph, std::unordered_set<std::string>& names, std::unordered_set<std::string>* outer) {
  for (const Value& value : graph.values) {
    names.insert(value.name);
    if (value.outer && outer != nullptr) outer->insert(value.name);
  }
  for (const Node& node : graph.nodes) {
    for (const auto& [key, attribute] : node.attributes) {
      if (auto* one = std::get_if<std::shared_ptr<Graph>>(&attribute)) all_names(**one, names, outer);
      if (auto* many = std::get_if<std::vector<std::shared_ptr<Graph>>>(&attribute))
        for (const auto& inner : *many) all_names(*inner, names, outer);
    }
  }
}

// A quantized layer has a dozen scales, zero points and results of quantizers whose names nobody asks for; in a small
// model, written in full, they cost a tenth of the file. The decoded weight itself keeps its name.
std::vector<char> bookkeeping(const Graph& graph) {
  std::vector<char> inside(graph.values.size(), 0);
  for (const Node& node : graph.nodes) {
    const bool decodes = node.input(0) != kNone && graph.at(node.input(0)).constant != nullptr;
    const bool casts = node.is("Cast") && decodes;
    if (!is_quantizer(node) && !casts) continue;
    for (ValueId id : node.inputs)
      if (id != kNone && graph.at(id).constant != nullptr) inside[id] = 1;
    if (is_quantizer(node) && !decodes)
      for (ValueId id : node.outputs)
        if (id != kNone) inside[id] = 1;
  }
  for (const Node& node : graph.nodes)  // a constant that a layer reads as well is a weight of its own
    for (ValueId id : node.inputs)
      if (id != kNone && graph.at(id).constant != nullptr && !is_quantizer(node) && !node.is("Cast")) inside[id] = 0;
  for (ValueId id : graph.inputs) inside[id] = 0;
  for (ValueId id : graph.outputs) inside[id] = 0;
  return inside;
}

void shorten_names(Graph& graph) {
  std::unordered_set<std::string> taken, outer;
  all_names(graph, taken, &outer);
  const std::vector<char> inside = bookkeeping(graph);
  int number = 0;
  for (size_t id = 0; id < graph.values.size(); ++id) {
    Value& value = graph.values[id];
    if (!inside[id] || outer.count(value.name)) continue;
    std::string candidate;
    do candidate = "q" + std::to_string(number++);
    while (taken.count(candidate) && candidate != value.name);
    if (candidate.size() < value.name.size()) value.name = candidate;
    taken.insert(value.name);
  }
}

}  // namespace

Graph prepare_onnx(const Graph& graph) {
  Graph file = graph;
  order_values(file);   // what is written does not depend on the order in which passes made things
  unfold_codecs(file);  // also makes the subgraphs ours alone
  if (const int64_t need = opset_needed(file); need > file.opset()) raise_opset(file, std::max(need, kLeastOpset));
  file.ir_version = std::max(graph.ir_version, ir_needed(file.opset()));
  order_values(file);
  shorten_names(file);
  verify(file);
  return file;
}

std::vector<ValueId> values_to_describe(const Graph& graph) {
  Graph bare = graph;
  for (Node& node : bare.nodes)
    for (ValueId id : node.outputs)
      if (id != kNone && !bare.is_output(id)) {
        bare.at(id).type = Type::none;
        bare.at(id).shape.reset();
      }
  try {
    infer_shapes(bare);
  } catch (const Error&) {
    // A pass's business; the file then just says all it can.
  }
  std::vector<ValueId> ids;
  for (const Node& node : graph.nodes)
    for (ValueId id : node.outputs) {
      if (id == kNone || graph.is_output(id)) continue;
      const Value &value = graph.at(id), &inferred = bare.at(id);
      if (value.type != Type::none && (value.type != inferred.type || value.shape != inferred.shape)) ids.push_back(id);
    }
  return ids;
}

}  // namespace pare
