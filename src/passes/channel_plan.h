#pragma once
// What structured pruning can take out of a graph and what that saves, before anything is changed.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "graph/links.h"

namespace pare {

// A convolution or linear layer with a constant weight.
struct WeightLayer {
  int node = 0;
  ValueId weight = kNone, x = kNone, y = kNone, bias = kNone;
  int out_axis = 0, in_axis = -1;  // of the weight; in_axis -1: channels pass it one by one (depthwise, whole groups)
  int x_axis = 1;                  // of x, along in_axis
};
std::vector<WeightLayer> weight_layers(const Graph& graph);

// Groups that are cut in the same places: the channels of one layer, or of several that are added up.
struct ChannelClass {
  std::vector<std::pair<ValueId, int>> axes;  // every axis that loses slices
  std::vector<int> groups;                    // in order of their indices
  std::vector<int> makers, readers;           // layers whose outputs, or inputs, these channels are
  bool heads = false;
};

class ChannelPlan {
 public:
  // As Coupling's.
  ChannelPlan(const Graph& graph, const std::vector<Dims>& inputs, const std::map<int, std::string>& untouched = {}, const std::map<int, std::string>& whole = {});
  const Graph& graph() const { return graph_; }
  const Coupling& coupling() const { return coupling_; }
  const std::vector<ChannelGroup>& groups() const { return groups_; }
  const std::vector<ChannelClass>& classes() const { return classes_; }
  const std::vector<WeightLayer>& layers() const { return layers_; }

  int64_t macs() const { return macs_; }              // of what is left, at the assumed extents
  int64_t parameters() const { return parameters_; }  // weights of the layers, of what is left
  struct Saving {
    int64_t macs = 0, parameters = 0;
  };
  Saving saving(int group) const;       // if it were cut next
  bool can_cut(int group) const;        // every axis keeps a slice
  void cut(int group);
  bool is_cut(int group) const { return cut_[size_t(group)] != 0; }
  Cuts cuts() const;
  std::string name_of(const ChannelClass& channels) const;  // for people: the layers that make the channels

 private:
  void find_classes();
  int64_t node_macs(size_t node, const std::vector<Dims>& dims) const;
  int64_t count_parameters(const std::vector<Dims>& dims, ValueId id) const;
  const Graph& graph_;
  Coupling coupling_;
  std::vector<ChannelGroup> groups_;
  std::vector<ChannelClass> classes_;
  std::vector<WeightLayer> layers_;
  std::vector<std::vector<int>> readers_;     // of every value: nodes that read or make it
  std::vector<char> is_weight_;
  mutable std::vector<Dims> dims_;            // of every value, of what is left; empty: unknown
  std::vector<char> cut_;
  int64_t macs_ = 0, parameters_ = 0;
};

// Runs `attempt` with nodes to leave alone, and again with one node more whenever it throws an Error about a node:
// operators whose arithmetic of extents cannot be followed are found out by trying.
void with_untouched(const Graph& graph, const std::function<void(const std::map<int, std::string>&)>& attempt);

}  // namespace pare
