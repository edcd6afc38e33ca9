#pragma once
// How one operator is computed by libtorch so that gradients flow through it. A row of ops.inc names the operator; its
// function is defined in one of the map_*.cpp files.
#include <ATen/ATen.h>

#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace pare {

// What a mapping sees: tensors in, tensors out; an input left out is undefined.
struct Mapped {
  const Node& node;
  const Graph& graph;
  at::ScalarType real;        // of all floats: kFloat, or kDouble where gradients are checked
  bool training;              // batch statistics rather than stored ones
  std::vector<at::Tensor> in, out = {};

  bool has(size_t i) const { return i < in.size() && in[i].defined(); }
  Type type(size_t i) const { return graph.at(node.inputs[i]).type; }  // as the graph declares it
  std::vector<int64_t> integers(size_t i) const;                       // the elements of a whole-number input
  // The whole numbers of input i, or of the attribute where the input is left out.
  std::vector<int64_t> integers(size_t i, const char* attribute) const { return has(i) ? integers(i) : node.integers(attribute); }
  int64_t axis(int64_t fallback, int64_t rank) const;                  // the attribute, made positive; throws Error
  [[noreturn]] void fail(const std::string& problem) const { throw Error(node.where(), problem + ": training does not know this form"); }
};

using Mapping = void (*)(Mapped&);
Mapping find_mapping(const Node& node);            // null where training has no row for the operator
std::vector<std::string_view> mapped_operators();  // every row

// Spatial axes' windows, explicit padding in front of and behind every axis.
struct MappedWindow {
  std::vector<int64_t> kernel, stride, dilation, begin, end;
  bool symmetric() const { return begin == end; }
  // For at::constant_pad_nd: the last axis first, begin and end in turn.
  std::vector<int64_t> around() const;
};
MappedWindow mapped_window(const Mapped& m, const std::vector<int64_t>& kernel);

}  // namespace pare
