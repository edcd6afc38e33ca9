// Which of its two neighbours on the grid a weight becomes is learned from what blocks of layers are to compute. Layers
// that are still in floats are rounded to the nearest first; those that an earlier pass quantized keep their grid.
#include "graph/simplify.h"
#include "passes/training.h"
#include "passes/weight_types.h"

namespace pare {
namespace {

struct LearnRounding : RoundingOptions {
  double bits = 4;
  double group = 0;
  std::string exclude;
  static std::vector<Field> fields() {
    return FieldList<LearnRounding>()
        .number("bits", &LearnRounding::bits, 2, 8, "",
                "of the weights that are still floats; up to 4 are stored in int4, more in int8", {"3", "4", "8"})
        .number("group", &LearnRounding::group, 0, 4096, "weights",
                "of linear layers that share a scale along the inputs; 0: one scale per output channel, as "
                "convolutions have")
        .word("exclude", &LearnRounding::exclude, {},
              "layers left as they are: names or operators, * for anything, | between them")
        .number("steps", &LearnRounding::steps, 1, 100000, "", "of the optimizer, for each block",
                {"500", "1000", "4000"})
        .number("rate", &LearnRounding::rate, 1e-5, 1, "", "learning rate of the variables that round")
        .number("batch", &LearnRounding::batch, 1, 4096, "samples", "samples of one step")
        .number("step-rate", &LearnRounding::step_rate, 0, 1, "",
                "learning rate of activation quantizers' steps, relative to the step; 0: they stay")
        .number("bias-rate", &LearnRounding::bias_rate, 0, 1, "", "learning rate of the layers' biases; 0: they stay")
        .word("freeze", &LearnRounding::freeze, {},
              "quantized layers that keep the rounding they have; embeddings (Gather) by default")
        .take();
  }
};

// Nearest, with the scales of least squared error: where learning begins.
void encode_floats(Graph& graph, const LearnRounding& options, const std::string& left, PassRun& pass) {
  TypeNotes notes;
  const int before = pass.changed;
  for (const StoredWeight& weight : stored_weights(graph)) {
    if (!graph.constant(weight.layer.value)->plain() || weight.role == std::string_view("embedding")) continue;
    const TypeChoice choice = type_for(weight, {"int", int(options.bits), int64_t(options.group)}, graph, left);
    notes.add(weight, choice);
    if (choice.stays) continue;
    replace_constant(graph, weight.layer.value,
                     rounded_tensor(graph, weight, choice.type, ScaleSearch::least_squares, {}));
    ++pass.changed;
  }
  if (pass.changed > before) notes.give(pass);
}

void run(Graph& graph, const LearnRounding& options, PassRun& pass) {
  need_samples(pass.samples, "learn-rounding");
  fold_batch_norms(graph);  // a weight in few bits could not take one up any more
  const Graph floats = pass.floats != nullptr ? *pass.floats : graph;
  RoundingJob job;
  job.options = options;
  job.options.freeze = options.exclude + "|" + options.freeze;
  encode_floats(graph, options, job.options.freeze, pass);
  job.floats = &floats;
  job.count = pass.samples.count;
  job.sample = pass.samples.get;
  job.max_memory = pass.max_memory;
  take_run(pass, job);
  const TrainingReport report = training_library().learn_rounding(graph, job);
  pass.changed = std::max(pass.changed, report.changed);
  pass.stopped = !report.finished;
  pass.notes.insert(pass.notes.end(), report.notes.begin(), report.notes.end());
}

}  // namespace

Pass pass_learn_rounding() {
  Pass pass = declare_pass<LearnRounding>(
      "learn-rounding",
      "Rounds weights to 2 to 8 bits so that blocks of layers compute what they did, which nearest rounding does not.",
      "Nagel et al. 2020, Up or Down? (AdaRound), section 3.3; Li et al. 2021, BRECQ, section 3.2", false, run);
  pass.data = "yes: a calibration split";
  pass.needs_training = true;
  return pass;
}

}  // namespace pare
