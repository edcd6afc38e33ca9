#pragma once
#include <span>

#include "graph/graph.h"

namespace pare {

std::span<const Codec* const> codecs();         // the catalog
const Codec* find_codec(std::string_view name);  // null if there is none

#define CODEC(name) extern const Codec codec_##name;
#include "codecs/catalog.inc"
#undef CODEC

// An affine tensor from parts that are already quantized: logical = (values − zero) · scale, scale per entry of `axis`
// (one element: for all) or per `group` elements along it. `zero` may be empty: 0. The codec follows from the type of `values`.
Tensor affine_tensor(Array values, Array scale, Array zero, int axis, int64_t group = 0);

}  // namespace pare
