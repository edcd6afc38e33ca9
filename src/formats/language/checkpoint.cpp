// A decoder's graph seen as a checkpoint: its shape and its tensors.
#include "formats/language/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "base/files.h"

namespace pare {
namespace {

using nlohmann::json;

const Node* first(const Graph& graph, std::string_view type) {
  const auto found =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.is(type); });
  return found == graph.nodes.end() ? nullptr : &*found;
}

// Row r of each head of `size` rows comes from row source(r): neighbours ← halves, or the reverse.
int64_t source_row(int64_t row, int64_t size, bool to_neighbours) {
  const int64_t head = row / size * size, r = row % size, half = size / 2;
  return head + (to_neighbours ? r % 2 * half + r / 2 : r < half ? 2 * r : 2 * (r - half) + 1);
}

Error damaged(const std::string& where, const nlohmann::json::exception& error) {
  return Error(where, std::string("the model's configuration is damaged: ") + error.what());
}

}  // namespace

std::map<int64_t, int64_t> layer_numbers(const Graph& graph) {
  std::map<int64_t, int64_t> numbers;
  for (const Value& value : graph.values)
    if (value.constant)
      if (const auto place = place_of(value.name, Naming::hf); place && place->layer >= 0) numbers[place->layer] = 0;
  int64_t next = 0;
  for (auto& [layer, number] : numbers) number = next++;
  return numbers;
}

// Every part has one entry, or one run of bytes, for each row.
TensorPtr with_turned_rows(const Tensor& tensor, int64_t head_size, bool to_neighbours, const std::string& where) {
  Tensor turned = tensor;
  const int64_t rows = tensor.dims.at(0);
  std::vector<int64_t> from;
  for (int64_t row = 0; row < rows; ++row) from.push_back(source_row(row, head_size, to_neighbours));
  for (Array& part : turned.parts) {
    if (part.size_bytes() % size_t(rows) != 0 || rows % head_size != 0)
      throw Error(where, "cannot be written with its rows in another order", "write the format it was read from");
    part = part.with_rows(from);
  }
  return std::make_shared<const Tensor>(std::move(turned));
}

bool is_turned(std::string_view role) {
  return role.starts_with("query") || role.starts_with("key");
}

GgufFile kept_metadata(const Graph& graph, const std::string& where) {
  GgufFile file;
  const auto kept = graph.metadata.find(kGgufKey);
  if (kept == graph.metadata.end()) return file;
  try {
    for (json& entry : json::parse(kept->second)) file.metadata.emplace_back(entry.at(0).get<std::string>(), std::move(entry.at(1)));
  } catch (const json::exception& error) {
    throw damaged(where, error);
  }
  return file;
}

DecoderShape shape_of_graph(const Graph& graph, const std::string& where) {
  return shape_of_graph(graph, kept_metadata(graph, where), where);
}

DecoderShape shape_of_graph(const Graph& graph, const GgufFile& kept, const std::string& where) {
  const auto config = graph.metadata.find(kConfigKey);
  DecoderShape shape;
  try {
    if (!kept.metadata.empty()) {
      shape = shape_from_gguf(kept, where);
    } else if (config != graph.metadata.end()) {
      shape = shape_from_config(json::parse(config->second), where);
    } else {
      throw Error(where, "the model is no language model that was read from a checkpoint", "write .onnx");
    }
  } catch (const json::exception& error) {
    throw damaged(where, error);
  }
  shape.layers = int64_t(layer_numbers(graph).size());
  const Node *rotation = first(graph, "RotaryEmbedding"), *attention = first(graph, "Attention");
  const ValueId table = graph.find(tensor_name("embedding", -1, Naming::hf)),
                inner = graph.find(tensor_name("up", 0, Naming::hf));
  if (rotation == nullptr || attention == nullptr || table == kNone || graph.constant(table) == nullptr ||
      shape.layers == 0)
    throw Error(where, "the graph is no decoder of the Llama family any more", "write .onnx");
  shape.interleaved = rotation->integer("interleaved", 0) != 0;
  shape.heads = attention->integer("q_num_heads", shape.heads);
  shape.key_heads = attention->integer("kv_num_heads", shape.key_heads);
  shape.vocabulary = graph.constant(table)->dims.at(0);
  shape.width = graph.constant(table)->dims.at(1);
  if (const Tensor* up = graph.constant(inner)) shape.inner = up->dims.at(0);
  return shape;
}

// A checkpoint holds a weight for each place; a pass may have put other layers there.
void check_places(const Graph& graph, const std::map<int64_t, int64_t>& numbers, const std::string& where) {
  const auto check = [&](const TensorRow& row, int64_t layer) {
    const std::string name = tensor_name(row.role, layer, Naming::hf);
    if (graph.constant(graph.find(name)) == nullptr)
      throw Error(where, "the model has no weight '" + name + "' any more, checkpoints of its family do",
                  "write .onnx, which holds any graph");
  };
  for (const TensorRow& row : tensor_rows()) {
    if (row.optional) continue;
    if (std::string_view(row.hf).find("{}") == std::string_view::npos)
      check(row, -1);
    else
      for (const auto& [layer, number] : numbers) check(row, layer);
  }
}

std::vector<NamedTensor> named_tensors(const Graph& graph, const DecoderShape& shape, Naming naming, bool interleaved, const std::string& where) {
  const auto numbers = layer_numbers(graph);
  check_places(graph, numbers, where);
  std::vector<NamedTensor> tensors;
  for (const Value& value : graph.values) {
    if (!value.constant) continue;
    const auto place = place_of(value.name, Naming::hf);
    if (!place) continue;
    TensorPtr tensor = value.constant;
    const std::string role = place->row->role;
    if (interleaved != shape.interleaved && is_turned(role))
      tensor = with_turned_rows(*tensor, shape.head_size, interleaved, where + ": " + value.name);
    tensors.push_back({tensor_name(role, place->layer < 0 ? -1 : numbers.at(place->layer), naming), role, tensor});
  }
  return tensors;
}

}  // namespace pare
