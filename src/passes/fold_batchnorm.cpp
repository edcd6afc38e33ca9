#include "graph/simplify.h"
#include "passes/pass.h"

namespace pare {
namespace {

struct FoldBatchnorm {
  static std::vector<Field> fields() { return {}; }
};

void run(Graph& graph, const FoldBatchnorm&, PassRun& pass) {
  pass.changed = fold_batch_norms(graph);
  if (pass.changed == 0) pass.notes.push_back("no BatchNormalization follows a layer that could take it up");
}

}  // namespace

Pass pass_fold_batchnorm() {
  return declare_pass<FoldBatchnorm>("fold-batchnorm", "Merges batch normalization into the convolution or linear layer before it.",
                                     "Jacob et al. 2018, Quantization and Training of Neural Networks, section 3.2", true, run);
}

}  // namespace pare
