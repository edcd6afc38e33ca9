#pragma once
#include "graph/graph.h"

namespace pare {

// Rewrites that keep the function; the engine uses them on its private copy, passes offer them for artifacts.
// Each returns how many nodes it changed or removed.

// Conv/ConvTranspose/Gemm followed by BatchNormalization (its only reader) become one: w' = w·γ/√(σ²+ε), b' = (b−μ)·γ/√(σ²+ε) + β.
// Only where the weight is stored plainly in float.
int fold_batch_norms(Graph& graph);
// What that would multiply the layer's output channels by; empty where it would merge nothing into it. `consumers`: the graph's.
std::vector<double> batch_norm_factors(const Graph& graph, const Node& layer, const std::vector<std::vector<int>>& consumers);
// Nodes all of whose inputs are constant are computed, results up to `most_bytes` are kept; encoded constants stay encoded.
int fold_constants(Graph& graph, int64_t most_bytes = int64_t(64) << 20);
// Identity, inference Dropout, Cast to the same type, Concat of one, Pad by nothing, QuantizeLinear of what was just
// dequantized with the same scale, and results nobody reads.
int remove_no_ops(Graph& graph);

// The next three put one node for what exporters spell out. Outputs of the graph stay as they are.

// Chains of elementwise nodes from one value to one value are tried on numbers and named by what they compute: Swish, Gelu
// (both forms), HardSwish, HardSigmoid, Mish. So every way of writing them is found.
int fuse_activations(Graph& graph);
// (x − mean)/√(var + ε)·γ + β over the last axis → LayerNormalization; the same without the mean → RMSNormalization.
int fuse_norms(Graph& graph);
// Softmax(Q·Kᵀ·scale + mask)·V over four axes → Attention. A transposed K gets its Transpose turned around.
int fuse_attention(Graph& graph);

}  // namespace pare
