#pragma once
// What the training passes share: options, and the way into the training library.
#include "base/threads.h"
#include "passes/pass.h"
#include "passes/weights.h"
#include "train/train.h"

namespace pare {

// The options of TrainingOptions for S, a struct that derives from it: how any training runs, and what training of all
// layers can be told beside it.
template <class S>
FieldList<S>& schedule_fields(FieldList<S>& fields) {
  return fields.number("epochs", &S::epochs, 1, 1000, "", "times that all training samples are seen", {"2", "5", "10"})
      .number("rate", &S::rate, 1e-7, 10, "", "the learning rate at its highest", {"0.0003", "0.001", "0.003"})
      .word("schedule", &S::schedule, {"cosine", "linear", "step", "constant"},
            "how the rate falls to the end; step: to a tenth after half, to a hundredth after three quarters")
      .number("warmup", &S::warmup, 0, 0.9, "", "part of all steps in which the rate rises from 0")
      .word("optimizer", &S::optimizer, {"adam", "sgd"},
            "adam: AdamW; sgd: Nesterov momentum of 0.9, which wants a higher rate")
      .number("decay", &S::decay, 0, 1, "", "weight decay of layers' weights")
      .number("batch", &S::batch, 1, 65536, "samples", "samples of one step")
      .number("average", &S::average, 0, 0.99999, "", "decay of a running mean of the weights, which is kept instead of the last ones: 0.999 is a mean of about a thousand steps; 0: none", {"0", "0.999"})
      .number("smoothing", &S::smoothing, 0, 0.5, "", "label smoothing")
      .word("augment", &S::augment, {"none", "flip", "shift", "flip-shift", "flip-shift-erase"},
            "pictures are mirrored, moved by up to an eighth, a square of them made blank, at random", {"none", "flip-shift"})
      .number("held-out", &S::held_out, 0, 0.5, "",
              "part of the training split that only chooses the best epoch; 0: chosen on what is trained on");
}
template <class S>
FieldList<S>& training_fields(FieldList<S>& fields) {
  return schedule_fields(fields)
      .word("loss", &S::loss, {"classes", "values", "output"},
            "what is lowered. classes: cross entropy, or the distance to a teacher's classes; values: the squared "
            "distance to all that a teacher answers; output: the model's first output, which computes its own loss")
      .word("batchnorm", &S::batch_norm, {"train", "frozen"},
            "train: normalizations use the batch's statistics and follow them; frozen: the stored ones stay")
      .word("freeze", &S::freeze, {},
            "layers that are not trained: names or operators, * for anything, | between them; embeddings (Gather) by "
            "default")
      .number("step-rate", &S::step_rate, 0, 1, "", "learning rate of quantizers' steps, relative to the step");
}

// What every use of the training library takes from the run.
template <class Job>
void take_run(const PassRun& pass, Job& job) {
  job.seed = pass.seed;
  job.threads = threads();
  job.progress = pass.progress;
  job.stopped = [before = interruptions()] { return interruptions() > before; };
  job.matches = name_matches;
}

// (weight · gradient)² of every trained constant, the gradient squared in the mean over batches, as the constant is
// laid out: what the loss changes by to first order when an element goes (Molchanov et al. 2019, Importance Estimation
// for Neural Network Pruning, equation 8). From labelled samples. Throws Error where there are none, or no training
// library.
std::map<std::string, std::vector<float>> loss_changes(const Graph& graph, const std::string& name, PassRun& pass);

// Checks what training needs of the run and hands the graph over.
// `only`: as in TrainingJob.
void run_training(Graph& graph, const std::string& name, const TrainingOptions& options, const Teaching& teaching,
                  PassRun& pass, std::vector<std::string> only = {});

}  // namespace pare
