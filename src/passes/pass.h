#pragma once
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/progress.h"
#include "graph/graph.h"
#include "train/train.h"

namespace pare {

// A stream of model inputs; labels and files stay outside.
struct SampleSource {
  int64_t count = 0;
  std::function<std::vector<Array>(int64_t)> get;  // the model's inputs by position, batch 1; equal shapes side by side
};

// Sees one value of the graph for every calibration sample; memory must not grow with their number.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void see(const Array& values) = 0;
};
using Observations = std::map<std::string, std::shared_ptr<Observer>>;  // by value name

// What a pass is given beside the graph, and what it reports.
struct PassRun {
  const Observations& observed;          // what it asked for
  const Graph& reference;                // the graph as it last computed the original function
  uint64_t seed = 1;
  int changed = 0;                       // nodes or tensors it changed
  std::vector<std::string> notes;        // for people: exclusions with reasons, choices made
  SampleSource samples = {};             // the calibration data, for passes that try what they choose; count 0: none
  Progress progress = {};
  const Graph* original = nullptr;       // the model as it came; null: the reference
  const Graph* floats = nullptr;         // the graph before its weights were encoded; null: they are as they came
  const TrainingSource* training = nullptr;  // labelled samples; null: none
  std::string checkpoint = {};           // a file of this pass's own, to continue a killed run; empty: none
  std::function<Graph(const std::string&)> load = {};  // reads a model file a pass names; passes see no files themselves
  std::map<std::string, Dims> shapes = {};   // extents of inputs that the model leaves open, for passes that need them; others are assumed
  int64_t max_memory = int64_t(1) << 30; // bytes that values of calibration samples may take while they are kept
  GradualPruning pruning = {};           // what the pass in front leaves to a training pass, which takes it; what it leaves itself
  bool stopped = false;                  // it ended early on request and gives the best it had
};

// A pass with its options.
class BoundPass {
 public:
  virtual ~BoundPass() = default;
  virtual void request(const Graph&, Observations&) const {}  // on the reference graph: what it wants measured
  virtual void run(Graph& graph, PassRun& run) const = 0;
  virtual std::string options() const = 0;                   // every option, canonical
};

struct Pass {
  std::string name, summary, source;     // source: paper and section
  bool keeps_function = false;           // the graph computes the same afterwards
  std::string data;                      // which calibration data it needs, and when; empty: none
  bool needs_training = false;           // the training library must lie beside the program
  std::vector<Field> fields;
  std::function<std::unique_ptr<BoundPass>(const OptionTexts&)> bind;
  std::string rules;                     // the policy it follows, as text for people; empty: none
};

// Declares a pass from its options struct S (whose static fields() lists its members) and two functions.
template <class S>
Pass declare_pass(std::string name, std::string summary, std::string source, bool keeps_function,
                  void (*run)(Graph&, const S&, PassRun&), void (*request)(const Graph&, const S&, Observations&) = nullptr) {
  struct Bound : BoundPass {
    S options_struct;
    std::vector<Field> fields;
    void (*run_function)(Graph&, const S&, PassRun&);
    void (*request_function)(const Graph&, const S&, Observations&);
    void request(const Graph& graph, Observations& observations) const override {
      if (request_function != nullptr) request_function(graph, options_struct, observations);
    }
    void run(Graph& graph, PassRun& pass_run) const override { run_function(graph, options_struct, pass_run); }
    std::string options() const override { return print_fields(fields, &options_struct); }
  };
  Pass pass{name, std::move(summary), std::move(source), keeps_function, request != nullptr ? "yes: a calibration split" : "", false, S::fields(), {}, ""};
  pass.bind = [name, run, request](const OptionTexts& texts) {
    auto bound = std::make_unique<Bound>();
    bound->fields = S::fields();
    bound->run_function = run;
    bound->request_function = request;
    parse_fields(bound->fields, &bound->options_struct, texts, name);
    return bound;
  };
  return pass;
}

// Throws Error where there are no samples; `who` needs them.
void need_samples(const SampleSource& samples, const std::string& who);
// At most `most` samples spread over all, for passes that try what they choose; a picture of 100,000 values settles a ranking
// alone, so that no further one is taken behind so many values. Inputs by position.
std::vector<std::vector<Array>> spread_samples(const SampleSource& samples, int64_t most);

std::span<const Pass* const> passes();                 // the catalog
const Pass& find_pass(const std::string& name);        // throws UsageError with the nearest name

// "fold-batchnorm, quantize-static{calibration=mse}": names with options in braces, which may be left out.
struct RecipeStep {
  std::string name;
  OptionTexts options;
};
std::vector<RecipeStep> parse_recipe(const std::string& text);      // throws UsageError saying where
std::string canonical_recipe(const std::string& text);              // every option spelled out; parses back to itself

struct PassRecord {
  std::string recipe;                    // this pass, canonical
  double seconds = 0;
  int64_t bytes_before = 0, bytes_after = 0;  // of all constants
  int changed = 0;
  std::vector<std::string> notes;
};
struct PipelineInputs {
  SampleSource calibration;              // count 0: none
  uint64_t seed = 1;
  Progress progress;
  TrainingSource training = {};          // count 0: none
  std::string checkpoint = {};           // where training passes put their checkpoints; each adds its number. Empty: nowhere
  std::function<Graph(const std::string&)> load = {};  // as in PassRun
  std::map<std::string, Dims> shapes = {};             // as in PassRun
  int64_t max_memory = int64_t(1) << 30; // as in PassRun
};
struct PipelineResult {
  std::string recipe;                    // canonical
  bool stopped = false;                  // a pass ended early on request
  std::vector<PassRecord> passes;
};
// Runs the passes on `graph`. Throws UsageError (recipe), Error (a pass needs data, the graph is unfit).
PipelineResult run_recipe(Graph& graph, const std::string& recipe, const PipelineInputs& inputs);

}  // namespace pare
