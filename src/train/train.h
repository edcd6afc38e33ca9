#pragma once
// Training as passes see it: no word of libtorch. What trains is a library of its own beside the program
// (src/train/torch), loaded when a recipe first needs it.
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "graph/graph.h"

namespace pare {

// Samples with their classes as batches: the model's inputs by position, the samples along axis 0.
struct TrainingBatch {
  std::vector<Array> inputs;
  std::vector<int64_t> labels;  // of samples, or of all their tokens; -1: none
  // Of each sample: equal numbers mean equal inputs (but for padding), in any batch of this training. Empty: nothing is known of that.
  std::vector<int64_t> contents = {};
};
struct TrainingSource {
  int64_t count = 0;
  std::function<int64_t(int64_t)> length;                        // of a sample (a text's tokens); 0: all are alike
  std::function<TrainingBatch(std::span<const int64_t>)> batch;  // from any thread, one call at a time
  // Language models: every token has a label, the one that follows; -1 is not asked for. Samples are read one by one.
  bool tokens = false;
};

// The member initialisers are the defaults of every training pass.
struct TrainingOptions {
  std::string loss = "classes";
  double epochs = 5;
  double rate = 0.001;
  std::string schedule = "cosine";
  double warmup = 0.05;  // of all steps
  std::string optimizer = "adam";
  double decay = 0;
  double batch = 128;
  double smoothing = 0;  // of labels
  double average = 0;    // decay of the running mean of the weights, which is judged and kept instead of them; 0: none
  std::string augment = "none";
  double held_out = 0.05;  // of the training split
  std::string batch_norm = "train";
  std::string freeze = "Gather";
  double step_rate = 0.001;  // of quantizers' steps, in their logarithms
};

// What a student learns from beside the labels.
struct Teaching {
  const Graph* teacher = nullptr;  // null: nobody
  double temperature = 4;
  double weight = 0.9;  // of the teacher's answers against the labels
  double hints = 0;     // weight of equal values inside
};

// Weights that go little by little while the others are trained.
struct GradualPruning {
  std::function<void(Graph& graph, double part)>
      prune;           // sets as many weights to zero as are to be gone after that part of all steps; null: no pruning
  double until = 1;    // the part after which all are gone
  std::string recipe;  // what says how, for checkpoints
};

struct TrainingJob {
  std::string name = "finetune";  // of the pass, for progress and errors
  TrainingOptions options;
  Teaching teaching;
  GradualPruning pruning;
  const TrainingSource* data = nullptr;
  const Graph* floats = nullptr;  // the graph as it was before weights were encoded; null: they never were
  uint64_t seed = 1;
  int threads = 1;
  std::string checkpoint;  // file that lets a killed run continue; empty: none
  Progress progress = {};
  std::function<bool()> stopped = [] { return false; };
  std::function<bool(const std::string& patterns, const Node&)> matches;  // of `freeze`
  // Constants that alone are trained; empty: what `freeze` leaves. All others stay as they are stored, and activations
  // are computed twice instead of being kept, so that memory holds large models.
  std::vector<std::string> only;
};
struct TrainingReport {
  int changed = 0;       // constants trained
  bool finished = true;  // false: stopped before its last epoch
  std::vector<std::string> notes;
};

// How encoded weights are rounded is learned, block of layers by block.
struct RoundingOptions {
  double steps = 1000;            // of the optimizer, a block
  double rate = 0.02;             // of the variables that round
  double batch = 32;
  double step_rate = 0.0005;      // of activation quantizers' steps, in their logarithms
  double bias_rate = 0.0005;
  std::string freeze = "Gather";
};
struct RoundingJob {
  std::string name = "learn-rounding";
  RoundingOptions options;
  const Graph* floats = nullptr;  // as it was before weights were encoded: what the blocks are held to
  int64_t count = 0;              // of samples
  std::function<std::vector<Array>(int64_t)> sample;  // inputs by position
  int64_t max_memory = int64_t(1) << 30;  // bytes that values of the samples may take while they are kept
  uint64_t seed = 1;
  int threads = 1;
  Progress progress = {};
  std::function<bool()> stopped = [] { return false; };
  std::function<bool(const std::string& patterns, const Node&)> matches;  // of `freeze`
};

// Of one constant, over all samples seen: the mean gradient of the loss and the mean of its square, as the constant is
// laid out.
struct LossGradient {
  Array mean, mean_square;
};

class TrainingLibrary {
 public:
  virtual ~TrainingLibrary() = default;
  // Trains the graph's layers in place. Zeros of unencoded weights stay zero; quantizers are trained through. Throws
  // Error: an operator that training does not know, data without labels, a damaged checkpoint.
  virtual TrainingReport train(Graph& graph, const TrainingJob& job) const = 0;
  // Chooses for every encoded weight between its two neighbours on the grid, so that blocks compute what they did in floats; biases
  // and the steps of activation quantizers are learned along. Throws Error: an operator that training does not know.
  virtual TrainingReport learn_rounding(Graph& graph, const RoundingJob& job) const = 0;
  // Cross entropy's gradients by constants' names, for pruning scores; at most `samples` of the data, chosen by the
  // seed.
  virtual std::map<std::string, LossGradient> gradients(const Graph& graph, const TrainingJob& job,
                                                        int64_t samples) const = 0;
  // The graph's outputs as training computes them, for tests.
  virtual std::vector<Array> forward(const Graph& graph, const std::vector<Array>& inputs) const = 0;
};

bool has_training();                        // the library lies beside the program
std::string training_advice();              // the command that adds it
const TrainingLibrary& training_library();  // loads it at the first call; throws Error where it is absent or unfit

}  // namespace pare
