// The graph of a decoder: per layer x + attention(norm(x)), then x + down(silu(gate(norm)) · up(norm)); Touvron et al. 2023,
// Llama, section 2.2. Tokens lie in rows, [S, width], so that every linear layer is one Gemm with its weight as stored.
#include "formats/language/decoder.h"

#include <cmath>

namespace pare {
namespace {

class Builder {
 public:
  Builder(const DecoderShape& shape, const TensorSource& source, const std::string& where) : shape_(shape), source_(source), where_(where) {}

  Graph build() {
    graph_.name = shape_.name.empty() ? shape_.family->hf_type : shape_.name;
    graph_.opsets[""] = 23;
    graph_.ir_version = 11;
    const ValueId ids = graph_.add_value("input_ids", Type::i64, Shape{{1, ""}, {-1, "S"}});
    graph_.inputs = {ids};
    rows_ = node("Reshape", {ids, whole("rows", {-1})}, "ids");
    make_rotation();
    const ValueId table = weight("embedding", -1, {shape_.vocabulary, shape_.width});
    ValueId x = node("Gather", {table, rows_}, "embedded");
    for (int64_t layer = 0; layer < shape_.layers; ++layer) x = inner(attention(x, layer), layer);
    x = norm(x, "last_norm", -1, shape_.width);
    const TensorPtr head = source_("head", -1);
    const ValueId scores = linear(x, head ? weight("head", -1, {shape_.vocabulary, shape_.width}) : table, kNone, "scores");
    node("Unsqueeze", {scores, whole("batch_axis", {0})}, "logits");
    graph_.outputs = {graph_.nodes.back().outputs[0]};
    graph_.at(graph_.outputs[0]).type = Type::f32;
    graph_.at(graph_.outputs[0]).shape = Shape{{1, ""}, {-1, "S"}, {shape_.vocabulary, ""}};
    return std::move(graph_);
  }

 private:
  ValueId node(const std::string& type, std::vector<ValueId> inputs, const std::string& name) {
    const ValueId out = graph_.add_value(graph_.unique_name(name));
    graph_.add_node(type, std::move(inputs), {out}).name = graph_.at(out).name;
    return out;
  }

  ValueId whole(const std::string& name, const std::vector<int64_t>& values) {
    if (const ValueId known = graph_.find(name); known != kNone) return known;
    return graph_.add_constant(name, Tensor(Array::of<int64_t>({int64_t(values.size())}, values)));
  }

  ValueId weight(const std::string& role, int64_t layer, const Dims& dims) {
    const TensorPtr tensor = source_(role, layer);
    const std::string name = tensor_name(role, layer, Naming::hf);
    if (tensor == nullptr) throw Error(where_, "lacks the tensor '" + name + "'", "the file is incomplete, or no " + std::string(shape_.family->hf_type) + ": download it again");
    if (tensor->dims != dims) throw Error(where_, "tensor '" + name + "' has shape " + dims_text(tensor->dims) + ", the configuration asks for " + dims_text(dims));
    const ValueId id = graph_.add_value(name, tensor->type, shape_of(tensor->dims));
    graph_.at(id).constant = tensor;
    return id;
  }

  ValueId bias(const std::string& role, int64_t layer, int64_t size) {
    return source_(role, layer) == nullptr && !shape_.family->projection_biases ? kNone : weight(role, layer, {size});
  }

  ValueId linear(ValueId x, ValueId weights, ValueId biases, const std::string& name) {
    std::vector<ValueId> inputs{x, weights};
    if (biases != kNone) inputs.push_back(biases);
    const ValueId out = node("Gemm", inputs, name);
    graph_.nodes.back().attributes["transB"] = int64_t(1);
    return out;
  }

  ValueId norm(ValueId x, const std::string& role, int64_t layer, int64_t size) {
    const ValueId out = node("RMSNormalization", {x, weight(role, layer, {size})}, prefix(layer) + role);
    graph_.nodes.back().attributes["axis"] = int64_t(-1);
    graph_.nodes.back().attributes["epsilon"] = float(shape_.epsilon);
    return out;
  }

  // Angles position · frequency, as their cosines and sines [1, S, half a head]. Su et al. 2021, RoFormer, section 3.4.
  void make_rotation() {
    const int64_t half = shape_.head_size / 2;
    std::vector<float> frequencies(static_cast<size_t>(half));
    for (int64_t i = 0; i < half; ++i) {
      const double factor = (shape_.frequency_factors.empty() ? 1 : shape_.frequency_factors[size_t(i)]) * shape_.position_scale;
      frequencies[size_t(i)] = float(std::pow(shape_.theta, -2.0 * double(i) / double(shape_.head_size)) / factor);
    }
    const ValueId count = node("Size", {rows_}, "length");
    const ValueId zero = graph_.add_constant("zero", Tensor(Array::scalar<int64_t>(0))), one = graph_.add_constant("one", Tensor(Array::scalar<int64_t>(1)));
    const ValueId range = node("Range", {zero, count, one}, "positions");
    const ValueId column = node("Unsqueeze", {node("Cast", {range}, "float_positions"), whole("position_axes", {0, 2})}, "position_column");
    graph_.nodes[graph_.nodes.size() - 2].attributes["to"] = int64_t(Type::f32);
    const ValueId angles = node("Mul", {column, graph_.add_constant("rotary_frequencies", Tensor(Array::of<float>({half}, frequencies)))}, "angles");
    cosines_ = node("Cos", {angles}, "cosines");
    sines_ = node("Sin", {angles}, "sines");
  }

  // Rows [S, heads · size] as a batch of one, normalized head by head where the family does so, and turned.
  ValueId turned(ValueId rows, const std::string& role, int64_t layer, int64_t heads) {
    if (shape_.family->head_norms) {
      const ValueId apart = node("Reshape", {rows, whole("head_rows", {-1, shape_.head_size})}, prefix(layer) + role + "_heads");
      rows = node("Reshape", {norm(apart, role + "_norm", layer, shape_.head_size), whole(role + "_rows", {-1, heads * shape_.head_size})}, prefix(layer) + role + "_normed");
    }
    const ValueId batch = node("Unsqueeze", {rows, whole("batch_axis", {0})}, prefix(layer) + role + "_batch");
    const ValueId out = node("RotaryEmbedding", {batch, cosines_, sines_}, prefix(layer) + role + "_turned");
    graph_.nodes.back().attributes["num_heads"] = heads;
    if (shape_.interleaved) graph_.nodes.back().attributes["interleaved"] = int64_t(1);
    return out;
  }

  ValueId attention(ValueId x, int64_t layer) {
    const std::string at = prefix(layer);
    const int64_t wide = shape_.heads * shape_.head_size, narrow = shape_.key_heads * shape_.head_size;
    const ValueId normed = norm(x, "attention_norm", layer, shape_.width);
    const ValueId query = linear(normed, weight("query", layer, {wide, shape_.width}), bias("query_bias", layer, wide), at + "query");
    const ValueId key = linear(normed, weight("key", layer, {narrow, shape_.width}), bias("key_bias", layer, narrow), at + "key");
    const ValueId value = linear(normed, weight("value", layer, {narrow, shape_.width}), bias("value_bias", layer, narrow), at + "value");
    const ValueId queries = turned(query, "query", layer, shape_.heads), keys = turned(key, "key", layer, shape_.key_heads);
    const ValueId values = node("Unsqueeze", {value, whole("batch_axis", {0})}, at + "value_batch");
    const ValueId mixed = node("Attention", {queries, keys, values}, at + "attention");
    auto& attributes = graph_.nodes.back().attributes;
    attributes["is_causal"] = int64_t(1);
    attributes["q_num_heads"] = shape_.heads;
    attributes["kv_num_heads"] = shape_.key_heads;
    if (shape_.window > 0) attributes["left_window_size"] = shape_.window - 1;
    const ValueId rows = node("Squeeze", {mixed, whole("batch_axis", {0})}, at + "attention_rows");
    return node("Add", {x, linear(rows, weight("attention_output", layer, {shape_.width, wide}), kNone, at + "attention_output")}, at + "attended");
  }

  ValueId inner(ValueId x, int64_t layer) {
    const std::string at = prefix(layer);
    const ValueId normed = norm(x, "inner_norm", layer, shape_.width);
    const ValueId gate = linear(normed, weight("gate", layer, {shape_.inner, shape_.width}), kNone, at + "gate");
    const ValueId up = linear(normed, weight("up", layer, {shape_.inner, shape_.width}), kNone, at + "up");
    const ValueId silu = node("Mul", {gate, node("Sigmoid", {gate}, at + "gate_sigmoid")}, at + "gate_silu");
    const ValueId down = linear(node("Mul", {silu, up}, at + "gated"), weight("down", layer, {shape_.width, shape_.inner}), kNone, at + "down");
    return node("Add", {x, down}, at + "out");
  }

  static std::string prefix(int64_t layer) { return layer < 0 ? "" : "layer" + std::to_string(layer) + "_"; }

  const DecoderShape& shape_;
  const TensorSource& source_;
  const std::string& where_;
  Graph graph_;
  ValueId rows_ = kNone, cosines_ = kNone, sines_ = kNone;
};

}  // namespace

void check_shape(const DecoderShape& shape, const std::string& where) {
  struct Row {
    const char* what;
    int64_t value, most;
  };
  // Far above any model there is, and small enough that products of two stay exact.
  const Row rows[] = {{"layers", shape.layers, 4096}, {"width", shape.width, 1 << 20}, {"attention heads", shape.heads, 1 << 16}, {"key and value heads", shape.key_heads, 1 << 16},
                      {"head size", shape.head_size, 1 << 16}, {"inner width", shape.inner, 1 << 24}, {"vocabulary", shape.vocabulary, 1 << 26}, {"context length", shape.context, int64_t(1) << 32}};
  for (const Row& row : rows)
    if (row.value < 1 || row.value > row.most) throw Error(where, std::string("has ") + std::to_string(row.value) + " as its " + row.what, "the file is damaged, or no language model");
  if (shape.heads % shape.key_heads != 0) throw Error(where, std::to_string(shape.heads) + " attention heads cannot share " + std::to_string(shape.key_heads) + " key heads");
  if (shape.head_size % 2 != 0) throw Error(where, "has heads of " + std::to_string(shape.head_size) + " elements, rotary pairs need an even number");
  if (!(shape.epsilon > 0 && shape.epsilon < 1) || !(shape.theta > 0) || !(shape.position_scale > 0)) throw Error(where, "has an epsilon or rotary base out of range");
  if (!shape.frequency_factors.empty() && int64_t(shape.frequency_factors.size()) != shape.head_size / 2)
    throw Error(where, std::to_string(shape.frequency_factors.size()) + " rotary factors do not fit heads of " + std::to_string(shape.head_size));
}

Graph build_decoder(const DecoderShape& shape, const TensorSource& source, const std::string& where) {
  check_shape(shape, where);
  return Builder(shape, source, where).build();
}

}  // namespace pare
