#pragma once
// What weights are stored as: the types that passes offer, and which one each weight of a graph takes.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "passes/pass.h"
#include "passes/prune_layers.h"
#include "passes/solvers/weight_grid.h"

namespace pare {

struct WeightType;
// A weight that may be stored in few bits, as a matrix of outputs (or rows that are looked up) by inputs.
struct StoredWeight {
  PrunableLayer layer;
  const char* role = "linear";    // "linear", "output": nothing behind it; "embedding"; "convolution"; "narrow": a convolution with few inputs an output
  int reader = -1;                // the node that looks an embedding up; -1: layers read it, see `layer`
  bool fed_back(const WeightType& type) const;  // quantize-columns rounds it to this type with feedback
  bool solvable() const { return !layer.nodes.empty() && layer.spared.empty(); }  // layers alone read it, all as one matrix
};
// In graph order, a weight once; those that layers read as different matrices are left out.
std::vector<StoredWeight> stored_weights(const Graph& graph);

struct WeightType {
  std::string name;               // "int", "f32", "f16", "bf16" or a block codec's
  int bits = 4;                   // int: of a weight
  int64_t group = 32;             // int: inputs that share a scale; 0: all of an output
  bool zero_points = false;       // int: with a whole zero point beside each scale
  bool few_bits() const { return name == "int" || blocks() != nullptr; }
  static std::optional<WeightType> of(const Tensor& tensor);   // what it is stored as, where that is one of these
  const Codec* blocks() const;    // the block codec; null: another
  std::string text() const;       // "q4_0", "int4 in groups of 32"
  double bits_per_weight(const PrunableLayer& layer) const;
};

// The options that passes share.
struct WeightTypeOptions {
  std::string type = "int";
  double bits = 4, group = 32;
  bool zero_points = false;
  std::string exclude;
  WeightType wanted() const { return {type, int(bits), int64_t(group), zero_points}; }
};
std::vector<std::string> weight_type_names();
template <class S>
FieldList<S>& type_fields(FieldList<S>& fields, std::vector<std::string> names = weight_type_names(), const std::string& more = "") {
  const std::string help = "int: whole numbers of `bits` in groups, for ONNX; q4_0, q4_k, …: blocks as GGUF files hold them; f32, f16, bf16" + more;
  return fields.word("type", &S::type, std::move(names), help.c_str(), {"int"})
      .number("bits", &S::bits, 2, 8, "", "of type=int; 2 and 3 are stored in 4 bits, 5 to 7 in 8", {"4", "8"})
      .number("group", &S::group, 0, 65536, "", "of type=int: inputs that share a scale, or the next larger number that divides them; 0: all of an output", {"32", "64", "128"})
      .flag("zero-points", &S::zero_points, "of type=int: a zero point beside each scale")
      .word("exclude", &S::exclude, {}, "layers whose weights stay: names or operators, * for anything, | between them");
}

// The type this weight takes when `wanted` is asked for, by the rules below.
struct TypeChoice {
  WeightType type;
  bool stays = false;             // as it is
  std::string reason;             // why not as wanted; empty: it is
};
bool is_excluded(const StoredWeight& weight, const Graph& graph, const std::string& exclude);
TypeChoice type_for(const StoredWeight& weight, const WeightType& wanted, const Graph& graph, const std::string& exclude);
// Collects for people what was stored as what, and why not as wanted.
class TypeNotes {
 public:
  void add(const StoredWeight& weight, const TypeChoice& choice);
  void give(PassRun& pass) const;

 private:
  struct Row {
    int count = 0;
    double weights = 0, bits = 0;
    std::string first;   // a layer's name
  };
  std::map<std::pair<std::string, std::string>, Row> rows_;   // by type and reason
};
std::string type_rules_text();    // the rules, one a line

// A grid for a weight and the tensor that it makes. No grid: a float type, where the tensor follows from the values alone.
struct GridOfWeight {
  std::unique_ptr<WeightGrid> grid;
  std::function<Tensor(const WeightGrid&)> tensor;
};
GridOfWeight grid_for(const WeightType& type, const PrunableLayer& layer, const Dims& dims, ScaleSearch search);
Tensor float_tensor(const WeightType& type, const Array& values);   // of f32, f16 and bf16

// How much each column of each weight counts: mean squares of its inputs, over their mean; empty for what is looked up and for
// grouped convolutions. One run of the calibration data.
std::vector<std::vector<float>> input_importance(const Graph& graph, std::span<const StoredWeight> weights, const std::string& who, const PassRun& pass);

// Nearest, each weight by itself. `importance`: of each column, or empty.
Tensor rounded_tensor(const Graph& graph, const StoredWeight& weight, const WeightType& type, ScaleSearch search, std::span<const float> importance);

}  // namespace pare
