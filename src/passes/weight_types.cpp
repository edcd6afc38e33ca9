#include "passes/weight_types.h"

#include <fmt/format.h>

#include <algorithm>

#include "codecs/codecs.h"
#include "passes/statistics/layer_columns.h"
#include "passes/weights.h"

namespace pare {
namespace {

// What a weight becomes when a type is asked for. Ordered; the first row whose role and type fit decides.
struct TypeRule {
  std::string role;      // "*": any
  std::string wanted;    // names separated by '|'; "*": any; "blocks": any block type; "groups": int with scales shared by fewer than all inputs
  std::string stored;    // "=": as wanted; "stays": as it is; "int8": 8 bits, a scale an output
  std::string reason;
};
const TypeRule kRules[] = {
    {"output", "q2_k|q3_k|q4_k|q5_k|q4_0|q4_1|q5_0|q5_1|iq4_nl", "q6_k", "the output layer, also where it is the embedding: small errors there change which token wins, and llama.cpp takes the same"},
    {"convolution", "blocks", "stays", "GGUF's blocks are for matrices"},
    {"narrow", "blocks", "stays", "GGUF's blocks are for matrices"},
    {"narrow", "groups", "int8", "a convolution of fewer inputs than a group holds: 8 bits with a scale an output lose little, and it is small"},
    {"*", "*", "=", ""},
};

// Where rows do not divide into a type's blocks, the next larger type of shorter blocks: llama.cpp's choices, for the same size.
struct Fallback {
  std::string from, to;
};
const Fallback kFallbacks[] = {{"q2_k", "iq4_nl"}, {"q3_k", "iq4_nl"}, {"q4_k", "q5_0"}, {"q5_k", "q5_1"}, {"q6_k", "q8_0"}, {"*", "f16"}};

bool fits(const TypeRule& rule, const std::string& role, const WeightType& type) {
  if (rule.role != "*" && rule.role != role) return false;
  if (rule.wanted == "*") return true;
  if (rule.wanted == "blocks") return type.blocks() != nullptr;
  if (rule.wanted == "groups") return type.name == "int" && type.group > 0;
  return ("|" + rule.wanted + "|").find("|" + type.name + "|") != std::string::npos;
}

const std::string& fallback_of(const std::string& name) {
  for (const Fallback& row : kFallbacks)
    if (row.from == name || row.from == "*") return row.to;
  PARE_CHECK(false);
}

bool divides(const PrunableLayer& layer, const WeightType& type) { return type.blocks() == nullptr || layer.shape.cols % type.blocks()->blocks->elements == 0; }

// Columns that share a scale: as many as asked for, or the next larger number that divides the inputs (OpenVINO takes no shorter
// last group); in a convolution within a tap. Where there is none an output has one scale.
int64_t group_of(const WeightType& type, const PrunableLayer& layer) {
  for (int64_t group = type.group; group > 0 && group <= layer.shape.run; ++group)
    if (layer.shape.run % group == 0) return group;
  return layer.shape.cols;
}

Tensor group_tensor(const GroupGrid& grid, const PrunableLayer& layer, const Dims& dims, int bits, int64_t group) {
  const MatrixShape& shape = layer.shape;
  const Type type = bits <= 4 ? Type::i4 : Type::i8;
  Array wide(Type::i32, dims);
  auto levels = wide.mutable_values<int32_t>();
  for_matrix_order(layer, [&](size_t at, size_t stored) { levels[stored] = grid.level(int64_t(at) / shape.cols, int64_t(at) % shape.cols); });
  // As the weight, but with a place for each group along the axis of inputs; one scale an output: along the axis of outputs.
  const bool whole = group == shape.cols;
  const int axis = whole ? (layer.transposed ? 1 : 0) : (layer.transposed ? 0 : 1);
  Dims scale_dims = {shape.rows};
  if (!whole) {
    scale_dims = dims;
    scale_dims[size_t(axis)] = (shape.run + group - 1) / group;
  }
  Array scale(Type::f32, scale_dims), zero(Type::i32, scale_dims);
  auto s = scale.mutable_values<float>();
  auto z = zero.mutable_values<int32_t>();
  const int64_t groups = whole ? 1 : grid.parts() / layer.taps;
  for (int64_t r = 0; r < shape.rows; ++r)
    for (int64_t p = 0; p < grid.parts(); ++p) {
      const int64_t tap = p / groups, g = p % groups;
      const auto at = size_t(layer.transposed ? g * shape.rows + r : (r * groups + g) * (whole ? 1 : layer.taps) + tap);
      s[at] = grid.scale(r, p);
      z[at] = grid.zero(r, p);
    }
  return affine_tensor(wide.cast(type), scale, zero.cast(type), axis, whole ? 0 : group);
}

}  // namespace

bool StoredWeight::fed_back(const WeightType& type) const { return solvable() && layer.shape.group_rows == layer.shape.rows && type.few_bits(); }

const Codec* WeightType::blocks() const {
  const Codec* codec = find_codec(name);
  return codec != nullptr && codec->blocks != nullptr ? codec : nullptr;
}

std::optional<WeightType> WeightType::of(const Tensor& tensor) {
  if (tensor.codec == nullptr) return std::nullopt;
  WeightType type{tensor.codec->name};
  if (type.blocks() != nullptr) return type;
  if (tensor.codec != &codec_int4 && tensor.codec != &codec_int8) return std::nullopt;
  return WeightType{"int", tensor.codec == &codec_int4 ? 4 : 8, tensor.group, tensor.parts.size() > 2};
}

std::string WeightType::text() const {
  if (name != "int") return name;
  return fmt::format("int{} {}", bits, group == 0 ? "with a scale an output" : fmt::format("in groups of {}", group));
}

double WeightType::bits_per_weight(const PrunableLayer& layer) const {
  if (const Codec* codec = blocks()) return 8.0 * codec->blocks->bytes / codec->blocks->elements;
  if (name == "int") return (bits <= 4 ? 4 : 8) + (32.0 + (zero_points ? (bits <= 4 ? 4 : 8) : 0)) / double(group_of(*this, layer));
  return name == "f32" ? 32 : 16;
}

std::vector<std::string> weight_type_names() {
  std::vector<std::string> names{"int"};
  for (const Codec* codec : codecs())
    if (codec->blocks != nullptr) names.emplace_back(codec->name);
  names.insert(names.end(), {"bf16", "f16", "f32"});
  return names;
}

std::vector<StoredWeight> stored_weights(const Graph& graph) {
  std::vector<StoredWeight> weights;
  const std::vector<PrunableLayer> layers = prunable_layers(graph);
  const std::vector<char> last = last_layers(graph, layers);
  for (size_t l = 0; l < layers.size(); ++l) {
    const PrunableLayer& layer = layers[l];
    StoredWeight weight{layer};
    if (!layer.same_matrix) continue;
    if (layer.convolution) weight.role = layer.shape.run < 32 ? "narrow" : "convolution";
    else if (last[l]) weight.role = "output";
    weights.push_back(std::move(weight));
  }
  for (const WeightUse& use : weight_uses(graph)) {
    const Node& node = graph.nodes[size_t(use.node)];
    const Dims& dims = graph.constant(use.value)->dims;
    const auto known = [&](const StoredWeight& weight) { return weight.layer.value == use.value; };
    if (!node.is("Gather") || node.integer("axis", 0) != 0 || dims.size() != 2 || count_of(dims) == 0 || std::any_of(weights.begin(), weights.end(), known)) continue;
    StoredWeight weight;
    weight.role = "embedding";
    weight.reader = use.node;
    weight.layer.value = use.value;
    weight.layer.shape = {dims[0], dims[1], dims[1], dims[0]};
    weight.layer.name = node.name.empty() ? graph.at(use.value).name : node.name;
    weights.push_back(std::move(weight));
  }
  return weights;
}

bool is_excluded(const StoredWeight& weight, const Graph& graph, const std::string& exclude) {
  const auto matches = [&](int n) { return n >= 0 && name_matches(exclude, graph.nodes[size_t(n)]); };
  return matches(weight.reader) || std::any_of(weight.layer.nodes.begin(), weight.layer.nodes.end(), matches);
}

TypeChoice type_for(const StoredWeight& weight, const WeightType& wanted, const Graph& graph, const std::string& exclude) {
  TypeChoice choice{wanted, false, ""};
  if (is_excluded(weight, graph, exclude)) return {wanted, true, "excluded by the recipe"};
  if (weight.layer.left || (weight.layer.transposed && wanted.blocks() != nullptr)) return {wanted, true, "its weight lies with the inputs first, blocks lie along the last axis"};
  for (const TypeRule& rule : kRules) {
    if (!fits(rule, weight.role, wanted)) continue;
    choice.reason = rule.reason;
    choice.stays = rule.stored == "stays";
    if (rule.stored == "int8") choice.type = {"int", std::max(8, wanted.bits), 0, false};
    else if (rule.stored != "=" && !choice.stays) choice.type.name = rule.stored;
    break;
  }
  while (!divides(weight.layer, choice.type)) {
    choice.reason = fmt::format("rows of {} do not divide into {}'s blocks", weight.layer.shape.cols, choice.type.name);
    choice.type.name = fallback_of(choice.type.name);
  }
  return choice;
}

void TypeNotes::add(const StoredWeight& weight, const TypeChoice& choice) {
  Row& row = rows_[{choice.stays ? "" : choice.type.text(), choice.reason}];
  if (row.count++ == 0) row.first = weight.layer.name;
  row.weights += double(weight.layer.shape.count());
  if (!choice.stays) row.bits += double(weight.layer.shape.count()) * choice.type.bits_per_weight(weight.layer);
}

void TypeNotes::give(PassRun& pass) const {
  for (const auto& [key, row] : rows_) {
    const std::string which = row.count == 1 ? row.first : fmt::format("{} weights ({}, …)", row.count, row.first);
    const std::string stored = key.first.empty() ? "as before" : fmt::format("{}, {:.2f} bits a weight", key.first, row.bits / row.weights);
    pass.notes.push_back(fmt::format("{}: {}{}", which, stored, key.second.empty() ? "" : " (" + key.second + ")"));
  }
  if (rows_.empty()) pass.notes.push_back("the graph has no convolution, linear layer or embedding with constant weights");
}

std::string type_rules_text() {
  std::string text;
  for (const TypeRule& rule : kRules)
    text += fmt::format("{:<12} {:<12} {}{}\n", rule.role == "*" ? "any other" : rule.role, rule.stored == "=" ? "as asked" : rule.stored,
                        rule.wanted == "*" ? "" : fmt::format("for {}", rule.wanted), rule.reason.empty() ? "" : ": " + rule.reason);
  text += "rows that do not divide into blocks:";
  for (const Fallback& row : kFallbacks) text += fmt::format(" {} → {}", row.from == "*" ? "others" : row.from, row.to);
  return text + "\n";
}

Tensor float_tensor(const WeightType& type, const Array& values) {
  if (type.name == "f32") return Tensor(values);
  return (type.name == "f16" ? codec_float16 : codec_bfloat16).encode(values, 0, 0);
}

GridOfWeight grid_for(const WeightType& type, const PrunableLayer& layer, const Dims& dims, ScaleSearch search) {
  const MatrixShape& shape = layer.shape;
  if (const Codec* codec = type.blocks())
    return {std::make_unique<BlockGrid>(*codec->blocks, shape.rows, shape.cols, search),
            [codec, dims](const WeightGrid& grid) { return block_tensor(*codec, dims, static_cast<const BlockGrid&>(grid).bytes()); }};
  if (type.name != "int") return {};
  const int64_t group = group_of(type, layer);
  return {std::make_unique<GroupGrid>(type.bits, type.zero_points, shape.rows, shape.cols, group, search),
          [layer, dims, bits = type.bits, group](const WeightGrid& grid) { return group_tensor(static_cast<const GroupGrid&>(grid), layer, dims, bits, group); }};
}

std::vector<std::vector<float>> input_importance(const Graph& graph, std::span<const StoredWeight> weights, const std::string& who, const PassRun& pass) {
  std::vector<std::vector<float>> importance(weights.size());
  std::vector<const PrunableLayer*> layers;
  std::vector<size_t> which;
  for (size_t w = 0; w < weights.size(); ++w) {
    const MatrixShape& shape = weights[w].layer.shape;
    if (weights[w].layer.nodes.empty() || shape.group_rows != shape.rows) continue;
    layers.push_back(&weights[w].layer);
    which.push_back(w);
  }
  const std::vector<LayerColumns> columns = measure_columns(graph, layers, {.squares_only = true, .progress = who + ": calibration"}, pass);
  for (size_t i = 0; i < which.size(); ++i) {
    std::vector<double> squares = columns[i].squares(0);
    squares.pop_back();   // of the constant input
    double mean = 0;
    for (const double s : squares) mean += s / double(squares.size());
    // An input that was silent on these samples still counts a little.
    for (const double s : squares) importance[which[i]].push_back(mean > 0 ? float(s / mean + 1e-4) : 1.f);
  }
  return importance;
}

Tensor rounded_tensor(const Graph& graph, const StoredWeight& weight, const WeightType& type, ScaleSearch search, std::span<const float> importance) {
  const Tensor& tensor = *graph.constant(weight.layer.value);
  if (const Codec* codec = type.blocks()) return encode_blocks(*codec, tensor, importance, search);
  const GridOfWeight made = grid_for(type, weight.layer, tensor.dims, search);
  if (made.grid == nullptr) return float_tensor(type, tensor.decode());
  round_rows(*made.grid, weight_matrix(graph, weight.layer).data(), importance);
  return made.tensor(*made.grid);
}

}  // namespace pare
