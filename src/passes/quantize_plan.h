#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace pare {

// What static quantization does with a graph, decided before anything is changed.
struct QuantizePlan {
  std::map<size_t, std::vector<size_t>> eight_bit;   // node → the inputs it reads in 8 bits
  std::map<size_t, std::string> weights_only;        // layer → why it computes in float; its weights are stored in int8 all the same
  std::map<size_t, std::string> left_out;            // layer → why it stays in float32 altogether
  std::set<ValueId> values;                          // all that is quantized
  std::map<ValueId, ValueId> same_scale;             // value → the value whose scale it shares
  std::vector<ValueId> tied;                         // of these, parts of a concatenation, last ones first: they may also have their own
  std::set<ValueId> alone;                           // of these, parts that nobody else reads
  ValueId scale_source(ValueId value) const;         // follows same_scale to its end
};

struct QuantizeChoice {
  std::string exclude, weights_only;                          // names or operators, as in the recipe
  bool residual = true;
  std::function<std::string(const Node&)> too_coarse;         // why 8 bits cannot carry the layer's input; "" where they can
};

// Layers (constant weights) read 8 bits; sums, pools, concatenations and what only moves values do where their result
// reaches such a reader. Everything else is left as it is.
QuantizePlan plan_quantization(const Graph& graph, const QuantizeChoice& choice);

// What a layer reads.
struct LayerInput {
  float scale = 0;            // 0: floats, in which the layer then computes
  std::vector<double> means;  // of its channels: the bias takes out what rounding weights adds to the outputs' means (Nagel et al. 2019, section 4.2)
  bool small_sums = false;    // 8-bit weights whose products with 8-bit inputs can be added in 16 bits (solvers/small_sums.h)
};

// Stores weights in integers of 8 bits (or 4, or 2) per output channel, and biases in int32 where the input is quantized too. Layers that read the
// same weights keep sharing them.
class LayerQuantizer {
 public:
  explicit LayerQuantizer(Graph& graph);
  bool quantize(size_t node, int bits, const LayerInput& input);  // whether it chose weights for small sums

 private:
  // A bias added behind a MatMul stays a float, in whole units of input scale · weight scale: integer engines add it to their
  // sums and others to a product of floats, and both get the same. Scales: one for each output.
  void round_bias_behind(size_t node, const Array& weight_scale, float input_scale);

  Graph& graph_;
  std::vector<std::vector<int>> readers_;   // of each value, before the first change
  struct Form {
    ValueId id;
    bool small_sums;
  };
  std::map<ValueId, Form> done_;  // float weight → its form in integers
};
bool is_layer(const Node& node);   // an operator with weights: convolution or linear
int output_axis(const Node& node, int weight_rank);

}  // namespace pare
