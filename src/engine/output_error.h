#pragma once
#include <vector>

#include "engine/front.h"
#include "graph/graft.h"

namespace pare {

// Decibels of a signal above its noise as the ratio of their powers, and back; no noise is infinitely many.
double noise_over_signal(double db);
double signal_over_noise_db(double ratio);

// What a difference between outputs counts as, over the signal: the power of the noise; or, of outputs that are scores of the next token, the mean
// of the distributions' Kullback-Leibler divergence, in nats. Both grow with the square of what causes them, as long as it is small.
enum class Difference { noise, divergence };
// Divergence where the model reads token ids and its results have a score for each of them.
Difference difference_for(const Graph& graph);

// How far a model's outputs are from a baseline's on a few samples; also with one layer alone in another form, which tells
// that layer's cost from what comes in from before and from what later layers forgive.
class OutputError {
 public:
  // `samples`: inputs by position; ranking layers needs two, not two hundred.
  OutputError(const Graph& baseline, std::vector<std::vector<Array>> samples, int threads = 0, Difference difference = Difference::noise);
  // Signal to noise (one to the divergence) in dB, of the output that lost most, so that large boxes do not hide small scores; infinite where nothing
  // differs. `graph` has the baseline's inputs and outputs.
  double sqnr_db(const Graph& graph) const;
  // The same for the baseline with this layer's form from `donor`. What lies in front of the layer is computed once and kept
  // for the next one: cheapest in the order of shared_layers().
  double sqnr_db(const Graph& donor, const SharedLayer& layer, Graft what = Graft::whole);
  // The same for a graph that differs from the baseline in nothing that lies in front of `node`.
  double sqnr_db(const Graph& changed, int node);

 private:
  using Arrays = Front::Arrays;
  double worst_db(const Arrays& results, const std::vector<size_t>& outputs) const;
  Graph baseline_;   // weights are shared
  Arrays samples_, exact_;
  SessionOptions session_;
  Difference difference_;
  Front front_;
};

}  // namespace pare
