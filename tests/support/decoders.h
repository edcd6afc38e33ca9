#pragma once
// Small decoders with random weights, as the readers of checkpoints build them.
#include "../support/networks.h"
#include "codecs/codecs.h"
#include "formats/language/checkpoint.h"

namespace pare::testing {

inline DecoderShape small_shape(const char* family = "llama") {
  DecoderShape shape;
  shape.family = find_family_by_hf(family);
  shape.width = 64;
  shape.layers = 2;
  shape.heads = 4;
  shape.key_heads = 2;
  shape.head_size = 16;
  shape.inner = 96;
  shape.vocabulary = 50;
  shape.context = 128;
  return shape;
}

// Extents of a role's tensor.
inline Dims dims_of(const DecoderShape& s, std::string_view role) {
  const int64_t wide = s.heads * s.head_size, narrow = s.key_heads * s.head_size;
  const std::map<std::string_view, Dims> all{
      {"embedding", {s.vocabulary, s.width}}, {"head", {s.vocabulary, s.width}}, {"last_norm", {s.width}}, {"attention_norm", {s.width}}, {"inner_norm", {s.width}},
      {"query", {wide, s.width}}, {"key", {narrow, s.width}}, {"value", {narrow, s.width}}, {"query_bias", {wide}}, {"key_bias", {narrow}}, {"value_bias", {narrow}},
      {"query_norm", {s.head_size}}, {"key_norm", {s.head_size}}, {"attention_output", {s.width, wide}}, {"gate", {s.inner, s.width}}, {"up", {s.inner, s.width}}, {"down", {s.width, s.inner}}};
  return all.at(role);
}

// Matrices in `codec`, null: as floats. Without a head of its own.
inline Graph small_decoder(const DecoderShape& shape, const Codec* codec = nullptr) {
  const TensorSource source = [&](std::string_view role, int64_t layer) -> TensorPtr {
    const bool bias = role.ends_with("_bias");
    if (role == "head" || (bias && !shape.family->projection_biases)) return nullptr;
    const Dims dims = dims_of(shape, role);
    uint64_t seed = uint64_t(layer + 2);
    for (const char c : role) seed = seed * 131 + uint64_t(c);
    Array values = random_array(dims, seed, dims.size() == 1 ? 0.1f : 1.5f / std::sqrt(float(dims.back())));
    if (dims.size() == 1 && !bias)
      for (float& v : values.mutable_values<float>()) v += 1;
    return std::make_shared<const Tensor>(codec && dims.size() == 2 ? codec->encode(values, 0, 0) : Tensor(values));
  };
  Graph graph = build_decoder(shape, source, "test");
  infer_shapes(graph);
  verify(graph);
  graph.metadata[kConfigKey] = config_of(shape).dump();
  return graph;
}

inline Array token_ids(const std::vector<int64_t>& ids) { return Array::of<int64_t>({1, int64_t(ids.size())}, ids); }

}  // namespace pare::testing
