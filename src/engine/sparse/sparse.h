#pragma once
// Float layers that leave out the products with zeros. Nothing marks a pruned weight but its zeros.
#include "engine/clipped.h"
#include "engine/plan.h"
#include "kernels/sparse_float/sparse_float.h"

namespace pare {

// The share of a constant's elements that are zero, where it is stored as 32-bit floats; else 0.
double zero_share(const Tensor& tensor);
// Most of the multiplications of the graph's convolutions may be worth leaving out: the plan with lanes is then tried.
bool worth_lanes(const Graph& graph);

inline SparseLanes lanes_of(const Storage& storage) {
  return {storage.dims[2], storage.dims[3], storage.ring, storage.bands};
}
// Where a band of an image begins in a map of `channels`, in floats; `pitch` is that of the storage.
inline int64_t band_at(const SparseLanes& map, int64_t channels, const int64_t* pitch, int64_t image, int64_t band) {
  return image * map.band(channels) + (band > 0 ? band * *pitch : 0);
}
// Vectors around a map in lanes that a convolution without groups reaches; or why it has no form on lanes.
struct Reach {
  int64_t ring = 0;
  std::string misfit;
};
Reach reach_of(const Planner& planner, const Node& conv);

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
  bool ahead = false;      // inputs are fetched before they are needed
};

// A packed layer: outputs one by one, and in groups of four that share a pattern.
struct SparseLayer {
  std::vector<SparseFloatWeights> parts;
  SparseTiling tiling;
  SparseFloatJob job;      // all but weights, tile and pointers
};
SparseLayer pack_sparse_layer(const SparseSource& source, const SparseFloatJob& job, const SparseTiling& tiling);
// The share of one thread. `done` is called with its output channels, the first of each group of `height`, behind all
// of their places.
using Done = std::function<void(std::span<const int32_t> groups, int height)>;
void run_sparse_layer(const SparseLayer& layer, const float* x, const float* residual, float* y, int thread,
                      int threads, const Done& done = {});
// The fastest tiling on this CPU, remembered under `key`. `run` executes a layer once with all threads.
SparseLayer tune_sparse_layer(Planner& planner, const SparseSource& source, const SparseFloatJob& job, const std::string& key, const std::function<void(const SparseLayer&)>& run);
std::string tiling_text(const SparseLayer& layer);  // "2x4", "1x7 blocks of 4"

// Layers with fewer zeros have no sparse form.
constexpr double kLeastZeros = 0.2;

struct FreeAligned {
  void operator()(void* p) const { ::operator delete(p, std::align_val_t(64)); }
};
using AlignedFloats = std::unique_ptr<float, FreeAligned>;
AlignedFloats aligned_zeros(size_t bytes);
// The best of a few runs, in microseconds; at most about 20 ms.
double least_time(const std::function<void()>& run);
// Microseconds of nodes that follow one another, on memory of their own; of steps only whose operator begins with `steps`.
double time_nodes(const Planner& planner, std::span<const int> nodes, SparseLayers sparse, const std::string& steps = "");

// Microseconds of one change of layout of a float map; remembered.
double time_lanes_change(Planner& planner, const Storage& from, const Storage& to);

// Microseconds that changes of layout around a layer add to its forms.
struct Changes {
  double dense = 0, sparse = 0;
};
struct Comparison {
  bool sparse_wins;
  std::string note;
};
// Both forms of a layer; what they take is remembered under `key`, for the sparse one with `form`.
Comparison compare_forms(Planner& planner, const std::string& key, const std::string& form, double zeros,
                         const std::function<double()>& dense, const std::function<double()>& sparse,
                         const Changes& around = {});
std::string percent(double share);  // "87 %"

}  // namespace pare
