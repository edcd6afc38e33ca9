// config.json and GGUF's settings as the shape of a decoder, and back.
#include <fmt/format.h>

#include <cmath>

#include "formats/language/checkpoint.h"

namespace pare {
namespace {

using nlohmann::json;

template <class T>
T setting(const json& config, const char* key, T fallback, const std::string& where) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return fallback;
  const bool fits = std::is_floating_point_v<T> ? found->is_number() : std::is_same_v<T, bool> ? found->is_boolean() : std::is_same_v<T, std::string> ? found->is_string() : found->is_number_integer();
  if (!fits) throw Error(where, fmt::format("'{}' is {}, expected another kind of value", key, found->dump().substr(0, 60)));
  return found->get<T>();
}

// Low frequencies are stretched, high ones kept, those between blended: the rule of Llama 3.1's published configuration.
std::vector<float> llama3_factors(const json& scaling, int64_t head_size, double theta, const std::string& where) {
  const double factor = setting(scaling, "factor", 8.0, where), low = setting(scaling, "low_freq_factor", 1.0, where);
  const double high = setting(scaling, "high_freq_factor", 4.0, where), length = setting(scaling, "original_max_position_embeddings", 8192.0, where);
  if (!(factor > 0) || !(high > low) || !(length > 0)) throw Error(where, "has rope_scaling values out of range");
  std::vector<float> factors;
  for (int64_t i = 0; i < head_size / 2; ++i) {
    const double wave = 2 * M_PI * std::pow(theta, 2.0 * double(i) / double(head_size)), smooth = (length / wave - low) / (high - low);
    factors.push_back(float(smooth >= 1 ? 1 : smooth <= 0 ? factor : 1 / ((1 - smooth) / factor + smooth)));
  }
  return factors;
}

void read_scaling(const json& config, DecoderShape& shape, const std::string& where) {
  const auto found = config.find("rope_scaling");
  if (found == config.end() || !found->is_object()) return;
  const std::string kind = setting(*found, "rope_type", setting<std::string>(*found, "type", "default", where), where);
  if (kind == "llama3") shape.frequency_factors = llama3_factors(*found, shape.head_size, shape.theta, where);
  else if (kind == "linear") shape.position_scale = setting(*found, "factor", 1.0, where);
  else if (kind != "default") throw Error(where, "has rope_scaling of type '" + kind + "', pare computes linear and llama3");
}

// GGUF's keys of numbers: behind the architecture's name, and the member they set.
struct WholeKey {
  const char* key;
  int64_t DecoderShape::*member;
};
constexpr WholeKey kWholeKeys[] = {
    {"block_count", &DecoderShape::layers}, {"embedding_length", &DecoderShape::width}, {"feed_forward_length", &DecoderShape::inner},
    {"attention.head_count", &DecoderShape::heads}, {"attention.head_count_kv", &DecoderShape::key_heads}, {"attention.key_length", &DecoderShape::head_size},
    {"context_length", &DecoderShape::context}, {"attention.sliding_window", &DecoderShape::window}};
struct RealKey {
  const char* key;
  double DecoderShape::*member;
};
constexpr RealKey kRealKeys[] = {{"attention.layer_norm_rms_epsilon", &DecoderShape::epsilon}, {"rope.freq_base", &DecoderShape::theta}};

int64_t whole_of(const json& value, const std::string& key, const std::string& where) {
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(1) << 62))
    throw Error(where, "'" + key + "' is " + value.dump().substr(0, 60) + ", expected one whole number");
  return value.get<int64_t>();
}

void read_gguf_scaling(const GgufFile& file, const std::string& prefix, DecoderShape& shape, const std::string& where) {
  const json* kind = file.find(prefix + "rope.scaling.type");
  if (kind != nullptr && *kind != "none" && *kind != "linear") throw Error(where, "has rope.scaling.type " + kind->dump() + ", pare computes linear");
  if (const json* factor = file.find(prefix + "rope.scaling.factor"); kind != nullptr && *kind == "linear" && factor != nullptr && factor->is_number()) shape.position_scale = factor->get<double>();
}

}  // namespace

DecoderShape shape_from_config(const json& config, const std::string& where) {
  if (!config.is_object()) throw Error(where, "is no JSON object, expected a model's configuration");
  DecoderShape shape;
  const std::string type = setting<std::string>(config, "model_type", "", where);
  shape.family = find_family_by_hf(type);
  if (shape.family == nullptr) throw Error(where, "model_type is '" + type + "'", "pare reads " + known_families() + "; other models as ONNX");
  shape.width = setting<int64_t>(config, "hidden_size", 0, where);
  shape.inner = setting<int64_t>(config, "intermediate_size", 0, where);
  shape.layers = setting<int64_t>(config, "num_hidden_layers", 0, where);
  shape.heads = setting<int64_t>(config, "num_attention_heads", 0, where);
  shape.key_heads = setting<int64_t>(config, "num_key_value_heads", shape.heads, where);
  shape.head_size = setting<int64_t>(config, "head_dim", shape.heads > 0 ? shape.width / shape.heads : 0, where);
  shape.vocabulary = setting<int64_t>(config, "vocab_size", 0, where);
  shape.context = setting<int64_t>(config, "max_position_embeddings", 2048, where);
  if (setting(config, "use_sliding_window", type == "mistral", where)) shape.window = setting<int64_t>(config, "sliding_window", 0, where);
  shape.epsilon = setting(config, "rms_norm_eps", 1e-5, where);
  shape.theta = setting(config, "rope_theta", 10000.0, where);
  if (const std::string act = setting<std::string>(config, "hidden_act", "silu", where); act != "silu") throw Error(where, "hidden_act is '" + act + "', pare computes silu");
  check_shape(shape, where);
  read_scaling(config, shape, where);
  check_shape(shape, where);
  return shape;
}

json config_of(const DecoderShape& shape) {
  json config{{"architectures", {shape.family->hf_class}}, {"model_type", shape.family->hf_type}, {"hidden_size", shape.width}, {"intermediate_size", shape.inner},
              {"num_hidden_layers", shape.layers}, {"num_attention_heads", shape.heads}, {"num_key_value_heads", shape.key_heads}, {"head_dim", shape.head_size},
              {"vocab_size", shape.vocabulary}, {"max_position_embeddings", shape.context}, {"rms_norm_eps", shape.epsilon}, {"rope_theta", shape.theta}, {"hidden_act", "silu"}};
  if (shape.position_scale != 1) config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", shape.position_scale}};
  if (shape.window > 0) config["sliding_window"] = shape.window;
  return config;
}

DecoderShape shape_from_gguf(const GgufFile& file, const std::string& where) {
  const json* architecture = file.find("general.architecture");
  DecoderShape shape;
  const std::string name = architecture != nullptr && architecture->is_string() ? architecture->get<std::string>() : "";
  shape.family = find_family_by_gguf(name);
  if (shape.family == nullptr) throw Error(where, "general.architecture is '" + name + "'", "pare reads " + known_families());
  const std::string prefix = name + ".";
  for (const WholeKey& row : kWholeKeys)
    if (const json* value = file.find(prefix + row.key)) shape.*row.member = whole_of(*value, prefix + row.key, where);
  for (const RealKey& row : kRealKeys)
    if (const json* value = file.find(prefix + row.key); value != nullptr && value->is_number()) shape.*row.member = value->get<double>();
  if (const json* experts = file.find(prefix + "expert_count"); experts != nullptr && *experts != 0) throw Error(where, "is a mixture of experts", "pare computes dense decoders");
  if (shape.key_heads == 0) shape.key_heads = shape.heads;
  if (shape.head_size == 0 && shape.heads > 0) shape.head_size = shape.width / shape.heads;
  if (const json* turned = file.find(prefix + "rope.dimension_count"); turned != nullptr && whole_of(*turned, prefix + "rope.dimension_count", where) != shape.head_size)
    throw Error(where, "turns only a part of each head, pare computes whole ones");
  if (const json* title = file.find("general.name"); title != nullptr && title->is_string()) shape.name = title->get<std::string>();
  for (const GgufTensor& tensor : file.tensors)
    if (tensor.name == "token_embd.weight" && tensor.dims.size() == 2) shape.vocabulary = tensor.dims[0];
  read_gguf_scaling(file, prefix, shape, where);
  shape.interleaved = shape.family->gguf_interleaved;
  return shape;
}

GgufMetadata gguf_settings_of(const DecoderShape& shape) {
  const std::string prefix = std::string(shape.family->gguf_name) + ".";
  GgufMetadata settings{{"general.architecture", {{"str", shape.family->gguf_name}}}, {"general.name", {{"str", shape.name}}}};
  for (const WholeKey& row : kWholeKeys)
    if (shape.*row.member != 0) settings.emplace_back(prefix + row.key, json{{"u32", shape.*row.member}});
  for (const RealKey& row : kRealKeys) settings.emplace_back(prefix + row.key, json{{"f32", shape.*row.member}});
  settings.emplace_back(prefix + "rope.dimension_count", json{{"u32", shape.head_size}});
  settings.emplace_back(prefix + "vocab_size", json{{"u32", shape.vocabulary}});
  if (shape.position_scale != 1) {
    settings.emplace_back(prefix + "rope.scaling.type", json{{"str", "linear"}});
    settings.emplace_back(prefix + "rope.scaling.factor", json{{"f32", shape.position_scale}});
  }
  return settings;
}

}  // namespace pare
