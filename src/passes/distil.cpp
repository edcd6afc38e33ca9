// Trains a small model on the answers of a large one.
#include "passes/training.h"

namespace pare {
namespace {

struct Distil : TrainingOptions {
  std::string teacher;
  double temperature = 4;
  double weight = 0.9;
  double hints = 0;
  static std::vector<Field> fields() {
    FieldList<Distil> list;
    list.word("teacher", &Distil::teacher, {}, "the model file to learn from; empty: the model itself as it was before it was compressed")
        .number("temperature", &Distil::temperature, 0.1, 100, "", "softens both models' answers, so that the teacher's second choices count", {"2", "4"})
        .number("weight", &Distil::weight, 0, 1, "", "share of the teacher's answers against the labels; without labels the teacher decides alone", {"0.5", "0.9"})
        .number("hints", &Distil::hints, 0, 100, "", "weight of equal values inside: sums and activations that both models compute under one name");
    return training_fields(list).take();
  }
};

void run(Graph& graph, const Distil& options, PassRun& pass) {
  Graph loaded;
  const Graph* teacher = pass.original != nullptr ? pass.original : &pass.reference;
  if (!options.teacher.empty()) {
    if (!pass.load) throw Error("distil", "cannot read the teacher " + options.teacher + " here");
    loaded = pass.load(options.teacher);
    teacher = &loaded;
  }
  run_training(graph, "distil", options, {teacher, options.temperature, options.weight, options.hints}, pass);
}

}  // namespace

Pass pass_distil() {
  Pass pass = declare_pass<Distil>("distil", "Trains the model on the answers of a teacher, also without labels; zeros stay zero, quantizers learn their steps. Needs data.",
                                   "Hinton et al. 2015, section 2; Romero et al. 2015 (hints)", false, run);
  pass.data = "yes: a training split";
  pass.needs_training = true;
  return pass;
}

}  // namespace pare
