#pragma once
#include <span>
#include <string>

#include "graph/graph.h"

namespace pare {

std::span<const Codec* const> codecs();         // the catalog
const Codec* find_codec(std::string_view name);  // null if there is none

// Each codec's own: why the parts do not make up the tensor, "" where they do.
#define CODEC(name)                 \
  extern const Codec codec_##name; \
  std::string problem_##name(const Tensor& tensor);
#include "codecs/catalog.inc"
#undef CODEC

// Throws Error (where) where the parts do not make up a tensor of its type and extents. decode() and kernels rely on
// them, and a file may say what it likes: readers call this for every tensor, and decode() calls it itself.
void check_tensor(const Tensor& tensor, const std::string& where);
void check_constants(const Graph& graph);   // those of its subgraphs and attributes too

// A tensor that leaves out its zeros with them, as codec int8 or plain; any other as it is. The reverse is for those two.
// Files and memory profit from sparse tensors; passes and the engine see dense ones, in which pruning shows as zeros.
Tensor dense_tensor(const Tensor& tensor);
Tensor sparse_tensor(const Tensor& tensor);
void make_dense(Graph& graph);              // all of its constants and its subgraphs'

// An affine tensor from parts that are already quantized: logical = (values − zero) · scale, scale per entry of `axis`
// (one element: for all) or per `group` elements along it. `zero` may be empty: 0. The codec follows from the type of `values`.
Tensor affine_tensor(Array values, Array scale, Array zero, int axis, int64_t group = 0);
// Float32 values (biases) as the nearest int32 multiples of given scales, one for each or one for all.
Tensor int32_tensor(const Array& values, Array scale);

}  // namespace pare
