#pragma once
// Float layers that leave out the products with zeros. Nothing marks a pruned weight but its zeros.
#include "engine/plan.h"
#include "kernels/sparse_float/sparse_float.h"

namespace pare {

// The share of a constant's elements that are zero, where it is stored as 32-bit floats; else 0.
double zero_share(const Tensor& tensor);
// Most of the multiplications of the graph's convolutions may be worth leaving out: the plan with lanes is then tried.
bool worth_lanes(const Graph& graph);

// The sum and the bounds behind a layer that its sparse form applies itself.
struct Clipped {
  std::vector<int> nodes;
  ValueId result = kNone, residual = kNone;
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
  std::string text;  // "+Add+Relu"
};
Clipped clip_behind(const Planner& planner, ValueId value, bool allow_residual);

// A layer's weights as they were dense, and where each input lies.
struct SparseSource {
  const float* weight = nullptr;  // [outputs][inputs]
  const float* bias = nullptr;    // [outputs] or null
  int64_t outputs = 0, inputs = 0;
  std::vector<int32_t> offsets;   // [inputs], floats
  int64_t inputs_a_channel = 1;   // of the source
  int64_t channels() const { return inputs / inputs_a_channel; }
};

// How a layer is cut; chosen by measuring.
struct SparseTiling {
  int rows = 1, columns = 8;
  int64_t channels = 0;    // of the source that are summed together; 0: all
  bool blocks = false;     // groups of four outputs where they share a pattern
};

// A packed layer: outputs one by one, and in groups of four that share a pattern.
struct SparseLayer {
  std::vector<SparseFloatWeights> parts;
  SparseTiling tiling;
  SparseFloatJob job;      // all but weights, tile and pointers
};
SparseLayer pack_sparse_layer(const SparseSource& source, const SparseFloatJob& job, const SparseTiling& tiling);
// The share of one thread. `done(channel)` is called for each of its output channels, behind all of its places.
void run_sparse_layer(const SparseLayer& layer, const float* x, const float* residual, float* y, int thread, int threads, const std::function<void(int64_t)>& done = {});
// The fastest tiling on this CPU, remembered under `key`. `run` executes a layer once with all threads.
SparseLayer tune_sparse_layer(Planner& planner, const SparseSource& source, const SparseFloatJob& job, const std::string& key, const std::function<void(const SparseLayer&)>& run);
std::string tiling_text(const SparseLayer& layer);  // "2x4", "1x7 blocks of 4"

// Microseconds that the dense form of a Conv takes here, remembered under `key`.
double time_dense_conv(Planner& planner, const Node& node, const std::string& key);

}  // namespace pare
