#pragma once
#include "graph/graph.h"

namespace pare {

// MatMulNBits of com.microsoft becomes MatMul (and Add) with an encoded weight, where codecs hold its form.
void fold_n_bits(Graph& graph);

}  // namespace pare
