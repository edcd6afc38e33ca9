#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/array.h"

namespace pare {

struct Codec;

// A constant of a model. Plain, or encoded: `codec` says how `parts` (plain arrays) make up the logical
// elements. Type and dims are the logical ones either way. Everything but the codec sees through decode().
struct Tensor {
  Type type = Type::none;        // logical element type, f32 for encoded weights
  Dims dims;                     // logical extents
  const Codec* codec = nullptr;  // null: parts[0] is the tensor
  int axis = 0;                  // the axis scales run along, where the codec has one
  int64_t group = 0;             // elements that share a scale along `axis`; 0: the codec's own default
  std::vector<Array> parts;      // the first may lie in a mapped file at any address: take array(), decode() or aligned()

  Tensor() = default;
  Tensor(Array array) : type(array.type()), dims(array.dims()), parts{std::move(array)} {}  // NOLINT: a plain array is a tensor
  bool plain() const { return codec == nullptr; }
  Array array() const { PARE_CHECK(plain()); return parts[0].aligned(); }
  Array decode() const;          // the logical elements, whatever the codec
  int64_t count() const { return count_of(dims); }
  int64_t size_bytes() const;    // stored bytes of all parts
};
using TensorPtr = std::shared_ptr<const Tensor>;

// How weights are stored. The record is declared here because tensors point to one; instances live in codecs/.
struct Node;
struct Graph;
struct BlockFormat;
struct Codec {
  const char* name;         // "int8", "float16"
  const char* summary;      // one line for people
  const char* layout;       // the parts and their bytes, drawn
  const char* parameters;   // what encode's axis and group mean
  Array (*decode)(const Tensor& tensor);
  // Nearest encoding of plain f32 `values`; axis/group as in Tensor.
  Tensor (*encode)(const Array& values, int axis, int64_t group);
  double (*bits_per_weight)(const Tensor& tensor);  // including scales
  // The standard ONNX nodes that compute the logical tensor from its parts, for files without codecs: appends to `graph`
  // (constants for parts, nodes) and returns the id of the value holding the logical tensor. `name` is that value's name.
  int (*unfold)(Graph& graph, const Tensor& tensor, const std::string& name);
  // The reverse: the tensor that `node` (its inputs constant in `graph`) computes, or null if it is not this codec's form.
  TensorPtr (*fold)(const Graph& graph, const Node& node);
  const BlockFormat* blocks = nullptr;  // of codecs that store blocks as GGUF files hold them (codecs/blocks.h)
};

}  // namespace pare
