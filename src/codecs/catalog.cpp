#include "codecs/codecs.h"

namespace pare {

std::span<const Codec* const> codecs() {
  static const Codec* const all[] = {
#define CODEC(name) &codec_##name,
#include "codecs/catalog.inc"
#undef CODEC
  };
  return all;
}

const Codec* find_codec(std::string_view name) {
  for (const Codec* codec : codecs())
    if (name == codec->name) return codec;
  return nullptr;
}

namespace {

std::string problem_of(const Tensor& tensor) {
  if (tensor.plain()) {
    const bool sound = tensor.parts.size() == 1 && tensor.parts[0].type() == tensor.type && tensor.parts[0].dims() == tensor.dims;
    return sound ? "" : "its elements are of another type or other extents than it says";
  }
#define CODEC(name) \
  if (tensor.codec == &codec_##name) return problem_##name(tensor);
#include "codecs/catalog.inc"
#undef CODEC
  return "";  // a codec of a test
}

}  // namespace

void check_tensor(const Tensor& tensor, const std::string& where) {
  count_of(tensor.dims, where);
  if (const std::string problem = problem_of(tensor); !problem.empty())
    throw Error(where, "a tensor of " + dims_text(tensor.dims) + ", stored as " + (tensor.plain() ? "it is" : tensor.codec->name) + ", is broken: " + problem,
                "the file is damaged or its exporter is at fault: get it again");
}

void check_constants(const Graph& graph) {
  for (const Value& value : graph.values)
    if (value.constant != nullptr) check_tensor(*value.constant, "value '" + value.name + "'");
  for (const Node& node : graph.nodes)
    for (const auto& [key, attribute] : node.attributes) {
      if (auto* tensor = std::get_if<TensorPtr>(&attribute)) check_tensor(**tensor, node.where() + " attribute '" + key + "'");
      if (auto* one = std::get_if<std::shared_ptr<Graph>>(&attribute)) check_constants(**one);
      if (auto* many = std::get_if<std::vector<std::shared_ptr<Graph>>>(&attribute))
        for (const auto& inner : *many) check_constants(*inner);
    }
}

void make_dense(Graph& graph) {
  for (Value& value : graph.values)
    if (value.constant != nullptr)
      if (Tensor dense = dense_tensor(*value.constant); dense.codec != value.constant->codec) value.constant = std::make_shared<const Tensor>(std::move(dense));
  const auto inner = [](std::shared_ptr<Graph>& one) {
    one = std::make_shared<Graph>(*one);  // graphs share subgraphs when they are copied
    make_dense(*one);
  };
  for (Node& node : graph.nodes)
    for (auto& [key, attribute] : node.attributes) {
      if (auto* one = std::get_if<std::shared_ptr<Graph>>(&attribute)) inner(*one);
      if (auto* many = std::get_if<std::vector<std::shared_ptr<Graph>>>(&attribute))
        for (auto& each : *many) inner(each);
    }
}

}  // namespace pare
