// Linear layers of few bits in the form that ONNX Runtime's own quantizer gives them.
#include <fmt/format.h>

#include <map>

#include "codecs/nbits.h"
#include "graph/op.h"
#include "passes/pass.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct MatMulNBits {
  std::string exclude;
  static std::vector<Field> fields() {
    return FieldList<MatMulNBits>().word("exclude", &MatMulNBits::exclude, {}, "layers left as they are: names or operators, * for anything, | between them").take();
  }
};

// A product with an encoded weight: of a Gemm, one that adds one number an output or nothing.
bool is_candidate(const Graph& graph, const Node& node) {
  const Tensor* weight = graph.constant(node.input(1));
  if (weight == nullptr || weight->plain() || weight->dims.size() != 2) return false;
  if (node.is("MatMul")) return true;
  if (!node.is("Gemm") || node.real("alpha", 1) != 1 || node.integer("transA", 0) != 0) return false;
  if (node.input(2) == kNone) return true;
  const Tensor* bias = graph.constant(node.input(2));
  const int64_t outputs = weight->dims[node.integer("transB", 0) != 0 ? 0 : 1];
  return bias != nullptr && bias->plain() && bias->type == Type::f32 && bias->dims == Dims{outputs} && node.real("beta", 1) == 1;
}

// The constants of a weight; nodes that share it share them.
struct Packed {
  NBitsMatrix sizes;  // without contents
  ValueId bytes = kNone, scales = kNone, zeros = kNone;
};

std::optional<Packed> packed_constants(Graph& graph, ValueId weight, bool transposed) {
  std::optional<NBitsMatrix> matrix = n_bits_matrix(*graph.constant(weight), transposed);
  if (!matrix) return std::nullopt;
  const std::string name = graph.at(weight).name;
  Packed packed;
  packed.bytes = graph.add_constant(name + "_q", Tensor(matrix->bytes));
  packed.scales = graph.add_constant(name + "_s", Tensor(matrix->scales));
  if (!matrix->zeros.empty()) packed.zeros = graph.add_constant(name + "_z", Tensor(matrix->zeros));
  packed.sizes = std::move(*matrix);
  packed.sizes.bytes = packed.sizes.scales = packed.sizes.zeros = Array();
  return packed;
}

void rewrite(Node& node, const Packed& packed) {
  const ValueId bias = node.input(2);
  std::vector<ValueId> inputs{node.inputs[0], packed.bytes, packed.scales};
  if (packed.zeros != kNone || bias != kNone) inputs.push_back(packed.zeros);
  if (bias != kNone) inputs.insert(inputs.end(), {kNone, bias});  // no group indices between them
  node.op_type = "MatMulNBits";
  node.domain = "com.microsoft";
  node.op = find_op(node.op_type, node.domain);
  node.inputs = inputs;
  node.attributes = {{"K", packed.sizes.rows}, {"N", packed.sizes.columns}, {"bits", packed.sizes.bits}, {"block_size", packed.sizes.block}};
}

void run(Graph& graph, const MatMulNBits& options, PassRun& pass) {
  std::map<std::pair<ValueId, bool>, std::optional<Packed>> known;
  int64_t others = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (!is_candidate(graph, node) || name_matches(options.exclude, node)) continue;
    const auto key = std::pair(node.inputs[1], node.is("Gemm") && node.integer("transB", 0) != 0);
    if (!known.count(key)) known[key] = packed_constants(graph, key.first, key.second);
    const std::optional<Packed>& packed = known[key];
    others += !packed.has_value();
    if (!packed) continue;
    rewrite(graph.nodes[n], *packed);
    ++pass.changed;
  }
  if (pass.changed > 0) graph.opsets.try_emplace("com.microsoft", 1);
  if (others > 0)
    pass.notes.push_back(fmt::format("{} linear layers stay: MatMulNBits holds 4- and 8-bit weights in groups of 16, 32, 64, … inputs, as quantize-weights{{group=32}} makes them", others));
  graph.remove_unused();
}

}  // namespace

Pass pass_matmul_nbits() {
  return declare_pass<MatMulNBits>("matmul-nbits",
                                   "Writes linear layers of 4 and 8 bits in groups as MatMulNBits, the operator of ONNX Runtime's own quantizer, instead of DequantizeLinear (opset 21). For ONNX files; goes last.",
                                   "onnxruntime, docs/ContribOperators.md", true, run);
}

}  // namespace pare
