#pragma once
// Layers that compute in 8-bit integers: what their lowerings share.
#include <array>
#include <limits>

#include "engine/plan.h"
#include "kernels/choose_kernel.h"
#include "kernels/conv_int8/conv_int8.h"
#include "kernels/int8_epilogue/int8_epilogue.h"

namespace pare {

// y = table[x] for bytes as they are stored.
using ByteTable = std::array<uint8_t, 256>;

// Nodes that compute an 8-bit value from one other 8-bit value, element by element.
struct TableFunction {
  std::vector<int> nodes;        // ends with the QuantizeLinear
  Planner::Quantized out;
  std::shared_ptr<const ByteTable> table;
};
// The nearest one behind `source`; `node`, unless negative, must be part of it. If not `shared`, it is all that reads
// `source`.
std::optional<TableFunction> table_function(const Planner& planner, ValueId source, int node, bool shared);

// An activation that epilogues compute in floats, with the nodes that it is made of: one, or a Sigmoid and the Mul behind it.
struct FloatActivation {
  std::vector<int> nodes;
  Int8Activation function;
  std::string text;
};
std::optional<FloatActivation> float_activation(const Planner& planner, ValueId x);

// The nodes behind an integer layer that its epilogue takes up:
// [activation] (ReLU, Clip)* [Q → DQ] [Add] [activation] (ReLU, Clip)* [Q [table]].
struct IntegerChain {
  std::vector<int> nodes;
  std::string text;                          // "+Add+Relu"
  ValueId result = kNone;                    // integer where `out` is set, else float
  std::optional<Planner::Quantized> out, mid, residual;
  Int8Activation first, last;                // before and after the sum; without a sum only `last`
  std::shared_ptr<const ByteTable> table;    // of `out`'s values
  Type type = Type::f32;                     // of the result
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();           // of the result
  float mid_low = -std::numeric_limits<float>::infinity(), mid_high = std::numeric_limits<float>::infinity();   // before the sum
};
// Without `activations` neither these nor a table are taken up.
IntegerChain integer_chain(const Planner& planner, ValueId value, bool activations = true);

// The epilogue without pointers. `scales` become the multipliers: input scale · weight scale [c] divided by what follows.
Int8Epilogue epilogue_of(const IntegerChain& chain, std::vector<float>& scales);

// The integer limits that [low, high] leaves in a quantized type.
struct IntegerLimits {
  int low, high;
};
bool holds_bytes(const Tensor* weight);  // a weight of signed integers of at most 8 bits, not in groups
IntegerLimits limits_of(const Planner::Quantized& q, float low, float high);

// An int8 weight without zero point, one scale per output channel, and its bias in int32 units of input scale · weight scale.
struct IntegerWeights {
  Array weights;                 // i8, as the node holds it
  std::vector<float> scales;     // [outputs]
  std::vector<int32_t> bias;     // [outputs], zeros where there is none
};
// Null (with a refusal) if the constants have another form. `axis`: the output channels'.
std::optional<IntegerWeights> integer_weights(Planner& planner, const Node& node, int axis, float input_scale, ValueId bias);

// What no sum of such a layer exceeds in magnitude; weights as [output][…].
float largest_sum(const IntegerWeights& weights);

// Memory of its own for each thread, 64-byte aligned.
class ThreadScratch {
 public:
  void resize(int threads, size_t bytes) {
    stride_ = (bytes + 127) / 64;
    lines_.resize(size_t(threads) * stride_);
  }
  void* of(int thread) { return lines_.empty() ? nullptr : &lines_[size_t(thread) * stride_]; }

 private:
  size_t stride_ = 0;
  std::vector<Int8Line> lines_;
};

// Where a layer writes a value of which only a Concat of channels (4-D, 8 bits) reads: into the Concat's memory, as part of
// its pixels. To be called by who will write it so.
struct ConcatPlace {
  SlotId memory = -1;
  int pitch = 0;         // bytes from one pixel to the next
  int64_t offset = 0;    // bytes
};
std::optional<ConcatPlace> place_in_concat(Planner& planner, ValueId value);

// The results of the DynamicQuantizeLinear whose DequantizeLinear makes `x`.
struct DynamicSource {
  ValueId value, scale, zero;
};
std::optional<DynamicSource> dynamic_source(const Planner& planner, ValueId x);
// A linear layer that lower_dynamic_linear takes, whatever its shape.
bool is_dynamic_linear(const Planner& planner, int node);

bool is_eight_bit(Type type);
// Moves quantization past what only moves values, see move_quantization.cpp. Outputs stay. Returns how many nodes changed.
int move_quantization(Graph& graph);
// The reverse behind Attention: its result is quantized behind its Transpose and Reshape. move_quantization would undo it.
int quantize_behind_attention(Graph& graph);
// Emits the step that turns a deferred DequantizeLinear's result into floats.
void emit_dequantize(Planner& planner, int node);

}  // namespace pare
