#pragma once
// How a graph becomes a plan: one walk over the nodes; for each node the first lowering that does not refuse emits steps.
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "engine/engine.h"

namespace pare {

// How the elements of a value lie in memory. Other than 4-D values (batch, channels, height, width) are plain or in lanes.
enum class Layout {
  plain,          // row major, as in ONNX
  channels_last,  // NHWC: integer layers
  blocked,        // channels in blocks of a vector's width, as oneDNN's float layers want them
  // f32 only, of sparse layers (kernels/sparse_float): sub-tiles of maps in lanes. Values that are no maps lie transposed,
  // [last dimension][the others].
  lanes,
};

struct Storage {
  Type type = Type::none;
  Dims dims;
  Layout layout = Layout::plain;
  int64_t ring = 0, bands = 1;  // of maps in lanes (SparseLanes)
  // Floats from one band to the next. All maps of a plan have the same: a core's bands lie together, apart from the
  // others'. Where they lay in turns, memory that several values use one after the other would go from core to core.
  const int64_t* band_pitch = nullptr;
  size_t bytes() const;  // with channels rounded up to whole blocks
  bool operator==(const Storage&) const = default;
};
// Floats from one row to the next of a value of so many places that is no map, in lanes.
int64_t lanes_pitch(int64_t places);
int64_t channel_block();  // floats in a vector here: 16 with AVX-512, else 8

using SlotId = int;

// A piece of work. `slots` gives the address of every slot for this run.
class Step {
 public:
  virtual ~Step() = default;
  // The share of one thread; steps that are not `team` are called once, with (0, 1), and parallelise inside.
  virtual void run(std::byte* const* slots, int thread, int threads) = 0;
  virtual bool team() const { return false; }

  LayerReport report;
  std::vector<SlotId> reads;
  SlotId writes = -1;
};

// The result lies where its source does: nothing runs, but the memory counts as used.
class ViewStep : public Step {
 public:
  void run(std::byte* const*, int, int) override {}
};

// Threads that run or could run on this machine right now (the fourth field of /proc/loadavg); 0 where it does not say.
int runnable_threads();

// Keeps what was measured on this CPU from run to run. Keys are text; values are small numbers. What was measured while others
// worked beside `threads` of ours is kept as a guess: it serves until a process finds the machine calm, which measures it again.
class TuningCache {
 public:
  explicit TuningCache(bool persistent, int threads = 1, int (*runnable)() = runnable_threads);
  ~TuningCache();
  std::optional<int> find(const std::string& key) const;
  void store(const std::string& key, int choice);
  void save();  // what others stored meanwhile is kept

  struct Choice {
    int value = 0;
    bool guess = false;
    bool own = false;  // measured by this cache's plan, which does not ask itself twice
  };

 private:
  std::map<std::string, Choice> choices_;
  std::string path_;
  bool changed_ = false;
  int threads_;
  int (*runnable_)();
  bool calm_;  // when this process began to ask: later its own threads stand in the way
};

// Microseconds that each of `count` candidates takes; `run(i)` executes candidate i once, `warm(i)` goes before it
// without being timed. Minimum over interleaved rounds.
std::vector<double> least_times(int count, const std::function<void(int)>& run,
                                const std::function<void(int)>& warm = {});
// Index of the fastest.
int fastest_of(int count, const std::function<void(int)>& run);

// A constant stored in 16 bits that layers compute in where the CPU can.
bool in_bfloat16(const Tensor& tensor);
// The elements of an integer constant; empty for what is none.
std::optional<std::vector<int64_t>> constant_integers(const Graph& graph, ValueId id);

// Rewrites of the engine's copy; its outputs stay.
// Subsampling shortcuts become convolutions. Returns how many.
int replace_subsampling(Graph& graph);
// Convolutions of pixels folded into channels become convolutions of the pixels. Returns how many.
int merge_folded_pixels(Graph& graph);
// Convolutions in front of DepthToSpace compute channels that become one pixel's side by side. Needs known shapes. Returns how many.
int order_subpixels(Graph& graph);
// Convolutions over one axis, transposed ones (with a function that alone reads them) and lone batch norms become convolutions over
// two axes; outputs stay. Needs known shapes. Returns how many.
int write_as_convolutions(Graph& graph);

class Planner {
 public:
  // Layout::lanes: as blocked, and with sparse layers.
  Planner(Graph graph, const SessionOptions& options, int threads, Layout image_layout, int bands = 1);

  Graph graph;                    // private copy, all shapes known
  const SessionOptions& options;
  int threads;
  Layout image_layout;            // of dense float images: blocked or channels_last, one for the whole plan
  bool lanes;                     // sparse layers of float images take part; they keep them as lanes
  int bands;                      // that maps in lanes are cut into
  TuningCache cache;
  std::vector<int> producer;                   // value → node
  std::vector<std::vector<int>> consumers;     // value → nodes
  std::vector<char> done;                      // node is lowered or part of a fused group
  std::map<int, SlotId> joined;                // integer Concat node → the memory that its parts are written to
  std::set<ValueId> in_concat;                    // parts of a Concat that their layer has written there already

  // Values.
  Dims dims(ValueId id) const;                 // throws Error where the shape depends on data
  bool pinned(ValueId id) const;               // an output or a tap: it must exist by itself
  int only_consumer(ValueId id) const;         // the node that alone reads it, -1 if there is none, several, or it is pinned
  bool last_use(ValueId id, int reader) const; // nobody but `reader` still reads it
  SlotId slot(ValueId id, Layout layout, Type type);   // emits a conversion where no slot has that form
  std::optional<SlotId> existing(ValueId id) const;    // any slot that holds it
  const Storage& storage(SlotId id) const { return slots[size_t(id)].storage; }
  Storage form(ValueId id) const;              // how it lies already, plain where it is not made yet
  bool is_input(SlotId id) const;              // the caller's memory, which no step may write to
  SlotId define(ValueId id, Storage storage);          // a fresh slot for a node's result
  // The same memory from `shift` bytes on, read or updated in place.
  SlotId define_alias(ValueId id, Storage storage, SlotId of, size_t shift = 0);
  // Concat along blocked channels happens by itself: its inputs are made where they belong in its result.
  bool homed(ValueId id) const { return homes_.count(id) != 0; }   // such an input
  SlotId define_joined(ValueId concat, Type type);                 // the result of such a Concat, blocked
  void keep(ValueId id) { pinned_.insert(id); }         // its memory is read under another name: no step may overwrite it
  SlotId scratch(Storage storage);                     // a slot that belongs to no value
  void emit(std::unique_ptr<Step> step);
  void refuse(const std::string& reason);      // why the lowering at work does not take the node
  Array constant(ValueId id) const;            // decoded

  // Quantization around float nodes.
  struct Quantized {
    ValueId value = kNone;   // the integer value
    float scale = 1;
    int zero = 0;
    Type type = Type::none;  // u8 or i8: as which it is stored
    int least = 0, most = 0; // its range, which may be narrower: 4 bits travel in bytes
  };
  std::optional<Quantized> dequantized(ValueId id) const;   // id is DequantizeLinear of a value of at most 8 bits, one scale for all
  std::optional<Quantized> quantized_by(int node) const;    // node is QuantizeLinear to at most 8 bits with one constant scale

  struct Slot {
    Storage storage;
    SlotId alias = -1;           // shares the memory of this slot, which is no alias itself
    size_t shift = 0;            // bytes from its beginning
    int first = -1, last = -1;   // steps
    size_t offset = 0;
  };
  // Bytes of a slot, and the step that first touches them.
  struct Part {
    size_t from, to;
    int first;
  };
  std::vector<Slot> slots;
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<SlotId> input_slots, output_slots;
  std::vector<ValueId> output_values;
  size_t arena_bytes = 0;
  int64_t band_pitch = 0;  // known when all is planned

  void build();

 private:
  void lower(int node);
  bool travels_in_bytes(ValueId id) const;
  void plan_memory();
  size_t place(std::vector<SlotId> order, const std::vector<int>& touched);
  std::vector<Part> late_parts(SlotId root, const std::vector<int>& touched) const;
  struct Home {
    ValueId concat;
    int64_t channel;   // the first
  };
  bool read_later(ValueId id, int reader) const;
  void find_homes();
  SlotId joined_slot(ValueId concat, Type type);
  void move_in(SlotId id, const Home& home);
  std::map<ValueId, Home> homes_;
  std::map<std::pair<ValueId, Type>, SlotId> joined_;   // not among the forms before the Concat is reached
  std::map<std::tuple<ValueId, Layout, Type>, SlotId> forms_;
  std::vector<std::string> refusals_;
  std::set<ValueId> pinned_;
};

// The 16-bit type a layer computes in: its weight is stored so and this CPU has the instructions; else f32.
Type compute_type(const Planner& planner, ValueId weight);

// One way to execute a node (and the nodes it fuses with): emits steps and marks nodes done, or refuses and returns false.
struct Lowering {
  const char* name;
  bool (*lower)(Planner& planner, int node);
};
std::span<const Lowering> lowerings();   // in order of preference
// A value as lanes, with the ring that the convolutions reading it need.
Storage lanes_storage(const Planner& planner, ValueId id);
// One of both is lanes, both are f32.
std::unique_ptr<Step> make_lanes_conversion(const Storage& from, const Storage& to, SlotId source, SlotId target);
std::unique_ptr<Step> make_conversion(const Storage& from, const Storage& to, SlotId source, SlotId target);

}  // namespace pare
