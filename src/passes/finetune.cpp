// Recovers what compression lost by training on: pruned weights stay zero, quantizers in the graph are trained through, which
// is quantization-aware training.
#include "passes/training.h"

namespace pare {
namespace {

struct Finetune : TrainingOptions {
  static std::vector<Field> fields() {
    FieldList<Finetune> list;
    return training_fields(list).take();
  }
};

void run(Graph& graph, const Finetune& options, PassRun& pass) { run_training(graph, "finetune", options, {}, pass); }

}  // namespace

Pass pass_finetune() {
  Pass pass = declare_pass<Finetune>("finetune", "Trains a classifier on, after pruning or quantizing it: zeros stay zero, quantizers learn their steps. Needs labelled data.",
                                     "Han et al. 2015, section 3; Esser et al. 2020 (LSQ), section 2; steps in their logarithms: Jain et al. 2020, section 3", false, run);
  pass.data = "yes: a training split";
  pass.needs_training = true;
  return pass;
}

}  // namespace pare
