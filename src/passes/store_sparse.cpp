#include <fmt/format.h>

#include "codecs/codecs.h"
#include "passes/pass.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct StoreSparse {
  double saving = 0.1;
  std::string exclude;
  static std::vector<Field> fields() {
    return FieldList<StoreSparse>()
        .number("saving", &StoreSparse::saving, 0, 1, "", "a weight stays dense where less than this fraction of its bytes would be saved")
        .word("exclude", &StoreSparse::exclude, {}, "layers left dense: names or operators, * for anything, | between them")
        .take();
  }
};

// Bytes of a tensor in an ONNX file: there every stored value comes with its place as an int64.
double bytes_in_file(const Tensor& dense, const Tensor& sparse) {
  constexpr double kPlace = 8;
  const double width = double(type_bits(dense.parts[0].type())) / 8;
  return double(sparse.parts[0].count()) * (width + kPlace);
}

void run(Graph& graph, const StoreSparse& options, PassRun& pass) {
  int64_t dense_left = 0;
  for (const WeightUse& use : weight_uses(graph)) {
    const Node& node = graph.nodes[size_t(use.node)];
    const Tensor& weight = *graph.constant(use.value);
    const Tensor sparse = sparse_tensor(weight);
    if (sparse.codec == weight.codec) continue;  // no sparse form, or stored already
    if (name_matches(options.exclude, node) || bytes_in_file(weight, sparse) > (1 - options.saving) * double(weight.parts[0].size_bytes())) {
      ++dense_left;
      continue;
    }
    replace_constant(graph, use.value, sparse);
    ++pass.changed;
  }
  if (dense_left > 0)
    pass.notes.push_back(fmt::format("{} weights stay dense: a place takes 8 bytes, which pays from 67 % zeros on in float32 and from 89 % on in int8", dense_left));
  if (pass.changed > 0) pass.notes.push_back("sparse initializers are read by ONNX Runtime; OpenVINO refuses them, and a .pare file is smaller without this pass");
}

}  // namespace

Pass pass_store_sparse() {
  return declare_pass<StoreSparse>("store-sparse",
                                   "Stores pruned weights without their zeros: ONNX files get sparse initializers, which ONNX Runtime loads and OpenVINO does not. Goes last.",
                                   "ONNX IR specification, SparseTensorProto", true, run);
}

}  // namespace pare
