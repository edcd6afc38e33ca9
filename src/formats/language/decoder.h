#pragma once
// Decoders of the Llama family: what a config.json or GGUF metadata says, and the graph it stands for.
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace pare {

// How a family differs from Llama. Rows: families.inc.
struct DecoderFamily {
  const char* hf_type;         // "model_type" in config.json
  const char* hf_class;        // "architectures" in config.json
  const char* gguf_name;       // general.architecture
  bool projection_biases;      // queries, keys and values have a bias (Qwen 2)
  bool head_norms;             // queries and keys are normalized head by head (Qwen 3)
  bool gguf_interleaved;       // GGUF holds the rows of queries and keys so that neighbours turn, not halves
};
const DecoderFamily* find_family_by_hf(std::string_view model_type);   // null if there is none
const DecoderFamily* find_family_by_gguf(std::string_view architecture);
std::string known_families();                                          // for messages

struct DecoderShape {
  const DecoderFamily* family = nullptr;
  int64_t width = 0, layers = 0, heads = 0, key_heads = 0, head_size = 0, inner = 0, vocabulary = 0, context = 0;
  int64_t window = 0;              // of sliding attention; 0: none
  double epsilon = 1e-5, theta = 10000;
  double position_scale = 1;       // positions are divided by it (linear scaling)
  std::vector<float> frequency_factors;  // each rotary frequency is divided by its factor; empty: all 1
  bool interleaved = false;        // rotary pairs are neighbours
  std::string name;
};
// Throws Error (where) for numbers that no model has or that contradict each other.
void check_shape(const DecoderShape& shape, const std::string& where);

// The tensors of a decoder. Rows: tensors.inc.
struct TensorRow {
  const char* role;       // "query"
  const char* hf;         // "model.layers.{}.self_attn.q_proj.weight"; {}: the layer
  const char* gguf;       // "blk.{}.attn_q.weight"
  bool optional;
};
struct TensorPlace {
  const TensorRow* row;
  int64_t layer;          // -1 outside of layers
};
std::span<const TensorRow> tensor_rows();
enum class Naming { hf, gguf };
std::optional<TensorPlace> place_of(std::string_view tensor_name, Naming naming);
std::string tensor_name(std::string_view role, int64_t layer, Naming naming);

// The stored tensor of a role; null where the model has none.
using TensorSource = std::function<TensorPtr(std::string_view role, int64_t layer)>;

// input_ids [1, S] (int64) → logits [1, S, vocabulary], in ONNX operators of opset 23. Constants have the names of Hugging
// Face checkpoints; linear weights are [outputs, inputs] as stored. Throws Error naming a tensor that is missing or has
// another shape.
Graph build_decoder(const DecoderShape& shape, const TensorSource& source, const std::string& where);

}  // namespace pare
