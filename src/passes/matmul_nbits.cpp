// Linear layers of few bits in the form that ONNX Runtime's own quantizer gives them.
#include <fmt/format.h>

#include <algorithm>

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

// The bias is one number an output, or absent.
bool plain_gemm(const Graph& graph, const Node& node, int64_t outputs) {
  if (node.real("alpha", 1) != 1 || node.integer("transA", 0) != 0) return false;
  if (node.input(2) == kNone) return true;
  const Tensor* bias = graph.constant(node.input(2));
  return bias != nullptr && bias->plain() && bias->type == Type::f32 && bias->dims == Dims{outputs} && node.real("beta", 1) == 1;
}

std::optional<NBitsMatrix> matrix_of(const Graph& graph, const Node& node) {
  if (!node.is("MatMul") && !node.is("Gemm")) return std::nullopt;
  const Tensor* weight = graph.constant(node.input(1));
  if (weight == nullptr || weight->plain()) return std::nullopt;
  std::optional<NBitsMatrix> matrix = n_bits_matrix(*weight, node.is("Gemm") && node.integer("transB", 0) != 0);
  if (matrix && node.is("Gemm") && !plain_gemm(graph, node, matrix->columns)) return std::nullopt;
  return matrix;
}

void run(Graph& graph, const MatMulNBits& options, PassRun& pass) {
  int64_t others = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node node = graph.nodes[n];
    const std::optional<NBitsMatrix> matrix = matrix_of(graph, node);
    if (!matrix || name_matches(options.exclude, node)) {
      others += (node.is("MatMul") || node.is("Gemm")) && graph.constant(node.input(1)) != nullptr;
      continue;
    }
    const std::string name = graph.at(node.inputs[1]).name;
    std::vector<ValueId> inputs{node.inputs[0], graph.add_constant(name + "_q", Tensor(matrix->bytes)), graph.add_constant(name + "_s", Tensor(matrix->scales))};
    const ValueId bias = node.input(2);
    if (!matrix->zeros.empty() || bias != kNone) inputs.push_back(matrix->zeros.empty() ? kNone : graph.add_constant(name + "_z", Tensor(matrix->zeros)));
    if (bias != kNone) inputs.insert(inputs.end(), {kNone, bias});  // no group indices between them
    Node& now = graph.nodes[n];
    now.op_type = "MatMulNBits";
    now.domain = "com.microsoft";
    now.op = find_op(now.op_type, now.domain);
    now.inputs = inputs;
    now.attributes = {{"K", matrix->rows}, {"N", matrix->columns}, {"bits", matrix->bits}, {"block_size", matrix->block}};
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
                                   "Writes linear layers of 4 and 8 bits in groups as MatMulNBits, the operator of ONNX Runtime's own quantizer, instead of DequantizeLinear (opset 21). Goes last.",
                                   "onnxruntime, docs/ContribOperators.md", true, run);
}

}  // namespace pare
