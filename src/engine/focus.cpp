// Detectors begin by folding pixels into channels: four strided slices joined, or SpaceToDepth, in front of a convolution.
// A convolution with a kernel and a stride that many times larger computes the same from the pixels themselves.
#include "codecs/codecs.h"
#include "engine/plan.h"
#include "graph/fuse.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

// Group g of the folded channels holds pixels (row + ratio·y, column + ratio·x) of `source`.
struct Folding {
  ValueId source = kNone;
  int64_t ratio = 0;
  std::vector<std::pair<int64_t, int64_t>> places;
};

// Start and step along rows and columns of a chain of Slices behind `source`.
struct Lattice {
  ValueId source;
  int64_t start[2] = {0, 0}, step[2] = {1, 1};
};

std::optional<Lattice> lattice_of(const Graph& graph, const Uses& uses, ValueId id) {
  Lattice lattice{id};
  for (const Node* node = uses.producer(id); node != nullptr && node->is("Slice"); node = uses.producer(lattice.source)) {
    const auto dims = dims_of(graph, node->inputs[0]);
    const auto starts = constant_integers(graph, node->input(1)), ends = constant_integers(graph, node->input(2)), axes = constant_integers(graph, node->input(3)), steps = constant_integers(graph, node->input(4));
    if (!dims || dims->size() != 4 || !starts || !ends || (node->input(3) != kNone && !axes) || (node->input(4) != kNone && !steps)) return std::nullopt;
    const auto cuts = cuts_of(*node, *dims, *starts, *ends, axes.value_or(Dims()), steps.value_or(Dims()));
    for (size_t axis = 0; axis < 4; ++axis) {
      const Cut& cut = cuts[axis];
      const bool whole = cut.start == 0 && cut.step == 1 && cut.extent == (*dims)[axis];
      if (axis < 2 ? !whole : cut.step < 1) return std::nullopt;
      if (axis < 2) continue;
      lattice.start[axis - 2] = cut.start + cut.step * lattice.start[axis - 2];
      lattice.step[axis - 2] *= cut.step;
    }
    lattice.source = node->inputs[0];
  }
  return lattice.source == id ? std::nullopt : std::optional(lattice);
}

std::optional<Folding> folding_of(const Graph& graph, const Uses& uses, ValueId id) {
  const Node* node = uses.producer(id);
  const auto folded = dims_of(graph, id);
  if (node == nullptr || !folded || folded->size() != 4) return std::nullopt;
  Folding folding;
  if (node->is("SpaceToDepth") && node->text("mode", "DCR") == "DCR") {
    folding.source = node->inputs[0];
    folding.ratio = node->integer("blocksize", 1);
    for (int64_t i = 0; i < folding.ratio * folding.ratio; ++i) folding.places.emplace_back(i / folding.ratio, i % folding.ratio);
  } else if (node->is("Concat") && node->integer("axis", 0) == 1) {
    for (ValueId input : node->inputs) {
      const auto lattice = lattice_of(graph, uses, input);
      const bool fits = lattice && lattice->step[0] == lattice->step[1] && lattice->start[0] < lattice->step[0] && lattice->start[1] < lattice->step[1];
      if (!fits || (folding.ratio != 0 && (lattice->step[0] != folding.ratio || lattice->source != folding.source))) return std::nullopt;
      folding.ratio = lattice->step[0];
      folding.source = lattice->source;
      folding.places.emplace_back(lattice->start[0], lattice->start[1]);
    }
  }
  const auto pixels = folding.ratio > 1 ? dims_of(graph, folding.source) : std::nullopt;
  // Every pixel in its place: the image divides, and each group holds all channels.
  const bool exact = pixels && pixels->size() == 4 && (*pixels)[2] == (*folded)[2] * folding.ratio && (*pixels)[3] == (*folded)[3] * folding.ratio &&
                     (*folded)[1] == (*pixels)[1] * int64_t(folding.places.size());
  // With many channels the convolution is better off with its short kernel.
  return exact && (*pixels)[1] <= 4 ? std::optional(folding) : std::nullopt;
}

// weight[o][g·C + c][y][x] moves to [o][c][ratio·y + row g][ratio·x + column g].
Array unfolded_weight(const Array& weight, const Folding& folding) {
  const int64_t groups = int64_t(folding.places.size()), channels = weight.dim(1) / groups, height = weight.dim(2), width = weight.dim(3), ratio = folding.ratio;
  Array result(Type::f32, {weight.dim(0), channels, height * ratio, width * ratio});
  const auto from = weight.values<float>();
  auto to = result.mutable_values<float>();
  for (int64_t o = 0; o < weight.dim(0); ++o)
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t y = 0; y < height; ++y)
          for (int64_t x = 0; x < width; ++x) {
            const auto [row, column] = folding.places[size_t(g)];
            to[size_t(((o * channels + c) * height * ratio + y * ratio + row) * width * ratio + x * ratio + column)] += from[size_t(((o * groups * channels + g * channels + c) * height + y) * width + x)];
          }
  return result;
}

}  // namespace

int merge_folded_pixels(Graph& graph) {
  const Uses uses(graph);
  int merged = 0;
  for (Node& conv : graph.nodes) {
    if (!conv.is("Conv") || conv.integer("group", 1) != 1 || conv.text("auto_pad", "NOTSET") != "NOTSET") continue;
    const Tensor* weight = graph.constant(conv.input(1));
    const bool brain = weight != nullptr && weight->codec == &codec_bfloat16;
    if (weight == nullptr || weight->dims.size() != 4 || weight->type != Type::f32) continue;
    const auto dilations = conv.integers("dilations", {1, 1});
    const auto folding = dilations == Dims{1, 1} && uses.only_consumer(conv.inputs[0]) >= 0 ? folding_of(graph, uses, conv.inputs[0]) : std::nullopt;
    if (!folding) continue;
    const Array wide = unfolded_weight(weight->decode().cast(Type::f32), *folding);
    auto strides = conv.integers("strides", {1, 1}), pads = conv.integers("pads", {0, 0, 0, 0});
    for (int64_t& stride : strides) stride *= folding->ratio;
    for (int64_t& pad : pads) pad *= folding->ratio;
    conv.inputs[1] = graph.add_constant(graph.at(conv.inputs[1]).name + "_unfolded", brain ? codec_bfloat16.encode(wide, 0, 0) : Tensor(wide));
    conv.inputs[0] = folding->source;
    conv.attributes["strides"] = strides;
    conv.attributes["pads"] = pads;
    conv.attributes["kernel_shape"] = std::vector<int64_t>{wide.dim(2), wide.dim(3)};
    ++merged;
  }
  if (merged > 0) graph.remove_unused();
  return merged;
}

}  // namespace pare
