#pragma once
// How an operator couples the channels of what it reads and makes. An element (value, axis, index) is a slice of a value:
// channel 5 of an activation, row 5 of the weight that makes it. Slices that can only be left out together are tied; the
// operator's hook states the ties, after which (Fang et al. 2023, DepGraph, section 3.2, by index instead of by layer)
// every set of tied slices can be cut from the graph so that all that stays is computed by the same formulas.
#include "graph/graph.h"

namespace pare {

class Coupling;

// What Op::links sees: one node, every axis of whose values has a known extent.
class Links {
 public:
  Links(Coupling& coupling, const Node& node, int64_t opset) : coupling_(coupling), node_(node), opset_(opset) {}
  const Node& node() const { return node_; }
  int64_t opset() const { return opset_; }
  ValueId in(size_t i) const { return node_.input(i); }
  ValueId out(size_t i = 0) const { return i < node_.outputs.size() ? node_.outputs[i] : kNone; }
  const Dims& dims(ValueId id) const;
  int64_t extent(ValueId id, int axis) const { return dims(id)[size_t(axis)]; }
  int rank(ValueId id) const { return int(dims(id).size()); }
  bool constant(ValueId id) const;
  std::optional<std::vector<int64_t>> integers(ValueId id) const;  // where they are known before running

  // Slices i of one axis and i of the other are cut together. Where one extent is 1 it is repeated, and nothing is tied.
  void tie(ValueId a, int axis_a, ValueId b, int axis_b);
  // Slices start_a + i and start_b + i.
  void tie_range(ValueId a, int axis_a, int64_t start_a, ValueId b, int axis_b, int64_t start_b, int64_t count);
  void tie_index(ValueId a, int axis_a, int64_t index_a, ValueId b, int axis_b, int64_t index_b);
  void fix(ValueId id, int axis, const std::string& why);  // cannot be cut, because…
  void fix_index(ValueId id, int axis, int64_t index, const std::string& why);
  void fix_all(ValueId id, const std::string& why);
  // `a` and `b` hold the same elements in the same order under other extents. Where the axes could be cut in several ways,
  // one is chosen: along attention heads, else along the longest axis, else the last.
  void tie_reshaped(ValueId a, ValueId b);
  void mark_heads(ValueId id, int axis);                   // a product of activations runs along it: attention heads
  bool fixed(ValueId id, int axis) const;                  // every slice of it

 private:
  struct Side;
  Side side_of(ValueId id, size_t first, size_t last) const;
  bool choose(Side& side, bool may_choose);
  void spread_reason(const Side& open, const Side& closed);
  void tie_block(Side a, Side b);
  Coupling& coupling_;
  const Node& node_;
  int64_t opset_;
};

// Slices that are cut: by value and axis, ascending indices.
using Cuts = std::map<std::pair<ValueId, int>, std::vector<int64_t>>;

// What Op::narrow sees: a node some of whose values lose slices, to bring attributes and constants that hold extents or
// places into line. Constants with cut axes have been cut already.
class Narrowing {
 public:
  Narrowing(Graph& graph, int node, const Cuts& cuts, const std::vector<std::optional<Dims>>& before) : graph_(graph), node_(node), cuts_(cuts), before_(before) {}
  Node& node() { return graph_.nodes[size_t(node_)]; }
  int64_t opset() const { return graph_.opset(); }
  ValueId in(size_t i) { return node().input(i); }
  ValueId out(size_t i = 0) { return i < node().outputs.size() ? node().outputs[i] : kNone; }
  // Of what the node reads and made before any narrowing.
  const Dims& before(ValueId id) const { return size_t(id) < before_.size() ? *before_[size_t(id)] : graph_.constant(id)->dims; }
  Dims after(ValueId id) const;
  bool is_cut(ValueId id, int axis) const { return cuts_.count({id, axis}) != 0; }
  int64_t kept_before(ValueId id, int axis, int64_t index) const;  // how many slices in front of `index` stay
  bool is_kept(ValueId id, int axis, int64_t index) const;
  std::optional<std::vector<int64_t>> integers(size_t input) const;  // of a constant
  void set_integers(size_t input, const std::vector<int64_t>& values);  // gives the node a constant of its own
  // Entry `at` of the list of extents that input `input` holds, also where a Concat puts the list together from constants and
  // extents of inputs. What is computed is left: it follows by itself.
  std::optional<int64_t> entry(size_t input, size_t at) const;
  void set_entry(size_t input, size_t at, int64_t value);

 private:
  struct Place { int node = -1; size_t input = 0; size_t at = 0; };
  Place place_of(size_t input, size_t at) const;
  Graph& graph_;
  int node_;
  const Cuts& cuts_;
  const std::vector<std::optional<Dims>>& before_;
};

// A set of tied slices.
struct Slice {
  ValueId value = kNone;
  int axis = 0;
  int64_t index = 0;
};
struct ChannelGroup {
  std::vector<Slice> slices;  // by value, axis, index
  bool heads = false;         // attention heads
};

// All ties of a graph.
class Coupling {
 public:
  // `inputs`: extents to assume for the graph's inputs, as for infer_shapes. By node index, with the reason: `untouched` nodes are
  // left as they are, `whole` ones keep all channels they make.
  Coupling(const Graph& graph, const std::vector<Dims>& inputs, const std::map<int, std::string>& untouched = {}, const std::map<int, std::string>& whole = {});
  std::vector<ChannelGroup> groups() const;                        // that can be cut, in order of the values
  const std::vector<std::optional<Dims>>& dims() const { return dims_; }  // of every value, where known
  // Why slices of an axis cannot be cut; "" where some can.
  std::string why_fixed(ValueId id, int axis) const;

 private:
  friend class Links;
  int64_t element(ValueId id, int axis, int64_t index) const;
  int64_t root(int64_t element) const;
  void tie(int64_t a, int64_t b);
  void fix(int64_t element, const std::string& why);
  void link_node(int n);
  void link_until_stable();

  const Graph& graph_;
  std::map<int, std::string> untouched_;
  std::vector<std::optional<Dims>> dims_;
  std::vector<TensorPtr> known_;            // of every value: the constant, also one that follows from the extents
  std::vector<std::vector<int64_t>> first_; // of every value and axis: its first element
  mutable std::vector<int64_t> parent_;
  std::vector<int> reason_;                 // of a root: index into reasons_, -1: it can be cut
  std::vector<char> heads_;                 // of a root
  std::vector<std::string> reasons_;
  bool changed_ = false, choosing_ = false;
};

// Cuts the slices: constants lose them, attributes and lists of extents follow, declared shapes too. Throws Error (node)
// where the graph does not compute the expected extents afterwards; `graph` is unfit then.
void cut_slices(Graph& graph, const Cuts& cuts, const Coupling& coupling, const std::vector<Dims>& inputs);

}  // namespace pare
