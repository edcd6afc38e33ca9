#pragma once
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "kernels/float_attention/float_attention.h"

namespace pare {

// The obviously correct twin: every node by its operator's reference forward, weights decoded. Slow.
// Returns the graph's outputs, then the values named in `taps`. Throws Error naming a node whose operator is unknown.
std::vector<Array> run_reference(const Graph& graph, const std::vector<Array>& inputs, const std::vector<std::string>& taps = {});

// Whether layers whose weights hold many zeros leave them out. For tests and benches other than `measured`.
enum class SparseLayers { measured, always, never };
// Keys and values that attention layers keep from run to run, for sessions of one decoder that go on where others stopped.
struct DecoderCache {
  int64_t capacity = 0;             // tokens
  int64_t past = 0;                 // tokens before those of the next run; the caller counts
  KeyValues kept = KeyValues::f16;
  struct Layer {
    Array keys, values;              // bytes
    Array key_scales, value_scales;  // f32, [heads][capacity], where `kept` needs them
  };
  std::map<std::string, Layer> layers;  // by the name of what the layer computes
};

struct SessionOptions {
  int threads = 0;                  // 0: as set by set_threads()
  std::vector<std::string> taps;    // values to return beside the outputs; taps keep layers apart that would be fused
  bool tune = true;                 // measure the candidates of each layer; false: take each one's first
  bool use_cache = true;            // remember what was measured, per CPU
  std::shared_ptr<DecoderCache> cache;  // of causal attention; null: each run stands alone
  std::string kernels;              // take only integer kernels of this instruction set ("base", "avx2", …); empty: the best
  SparseLayers sparse = SparseLayers::measured;
};

// What one step of the plan does and why it does it so.
struct LayerReport {
  std::string name;                 // of the node it computes (the last of a fused group is `output`)
  std::string op;                   // "Conv+Relu", "Reorder"
  std::string output;               // name of the value it writes
  std::string implementation;       // "int8 avx512vnni 12x2", "onednn f32 winograd", "reference"
  std::string precision;            // "f32", "bf16", "int8"
  std::string note;                 // refusals and exclusions, in words
  int64_t macs = 0, weight_bytes = 0;
  double milliseconds = 0;          // filled by Session::time_layers
};

// A graph compiled for given input shapes. Not for use by several callers at once.
class Session {
 public:
  // `inputs`: extents of the graph's inputs by position; unnamed dynamic axes default to 1.
  Session(const Graph& graph, const std::vector<Dims>& inputs, const SessionOptions& options = {});
  ~Session();
  Session(Session&&) noexcept;

  // Inputs by position, of the compiled shapes (types are cast where needed). Outputs, then taps.
  std::vector<Array> run(const std::vector<Array>& inputs);
  // The same without copying results out: what latency measures.
  void run_only(const std::vector<Array>& inputs);
  const std::vector<Dims>& input_dims() const;
  std::vector<LayerReport> time_layers(const std::vector<Array>& inputs, int runs);  // median time of each step
  std::vector<LayerReport> layers() const;
  int64_t arena_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A graph compiled anew for each set of input shapes it meets; the last `keep` are kept, each with packed weights of its
// own. For samples of their own sizes.
class Sessions {
 public:
  Sessions(const Graph& graph, SessionOptions options, size_t keep)
      : graph_(graph), options_(std::move(options)), keep_(keep) {}
  // The session for inputs of these extents. Valid until the next call.
  Session& of(const std::vector<Array>& inputs);

 private:
  const Graph& graph_;
  SessionOptions options_;
  size_t keep_;
  std::list<std::pair<std::vector<Dims>, Session>> kept_;  // the last used first
};

// What open extents are taken to be where nobody says more: the height and width of pictures (a multiple of every
// usual stride) and the length of token sequences.
constexpr int64_t assumed_extent = 128;
// The extents a session takes where the model leaves them open: `batch` for the first axis, `assumed_extent` (or another usual
// extent, where the model's shapes do not fit together with that one) for the spatial axes of 4-D inputs and the second axis of
// 2-D whole-number inputs, 1 for others unless `given` (by input name) says more.
std::vector<Dims> default_input_dims(const Graph& graph, int64_t batch, const std::map<std::string, Dims>& given = {});
std::vector<Array> random_inputs(const Graph& graph, const std::vector<Dims>& dims, uint64_t seed);

}  // namespace pare
