// The table of scores. One that needs something new of the data is a row and a value of Needs.
#include "passes/prune_scores.h"

#include <algorithm>

#include "passes/solvers/prune_columns.h"

namespace pare {
namespace {

std::vector<float> magnitude(const ScoreInput& in) {
  std::vector<float> scores(in.weights.begin(), in.weights.end());
  for (float& s : scores) s *= s;
  return scores;
}

// (|w|·‖x‖)², Sun et al. 2023, A Simple and Effective Pruning Approach for Large Language Models, section 3.
std::vector<float> wanda(const ScoreInput& in) {
  const MatrixShape& shape = in.layer.shape;
  std::vector<float> scores = magnitude(in);
  for (int64_t g = 0; g < shape.rows / shape.group_rows; ++g) {
    const std::vector<double> squares = in.columns->squares(g);
    for (int64_t r = g * shape.group_rows; r < (g + 1) * shape.group_rows; ++r)
      for (int64_t c = 0; c < shape.cols; ++c) scores[size_t(r * shape.cols + c)] *= float(squares[size_t(c)]);
  }
  return scores;
}

std::vector<float> obs(const ScoreInput& in) {
  MatrixShape shape = in.layer.shape;
  const int64_t groups = shape.rows / shape.group_rows, n = shape.cols + 1, rows = shape.group_rows;
  shape.rows = rows;
  std::vector<float> scores;
  for (int64_t g = 0; g < groups; ++g) {
    std::vector<float> weights(size_t(rows * n), 0.f);
    for (int64_t r = 0; r < rows; ++r) std::copy_n(in.weights.begin() + (g * rows + r) * shape.cols, shape.cols, weights.begin() + r * n);
    const std::vector<float> part = obs_scores(weights, shape, factor_inverse(in.columns->products(g), n, in.damping));
    scores.insert(scores.end(), part.begin(), part.end());
  }
  return scores;
}

std::vector<float> first_order(const ScoreInput& in) { return {in.changes.begin(), in.changes.end()}; }

constexpr PruneScore kScores[] = {
    {"magnitude", "its size; no data needed", PruneScore::nothing, false, false, magnitude},
    {"wanda", "its size times its input's; needs data, a single run of it", PruneScore::squares, true, false, wanda},
    {"obs", "what the layer's output loses when the other weights make up for it, which they do (SparseGPT); needs data", PruneScore::products, false, true, obs},
    {"first-order", "what the loss changes by to first order when it goes, weight times gradient; needs labelled training data and the training library", PruneScore::gradients, false, false, first_order},
};

}  // namespace

std::span<const PruneScore> prune_scores() { return kScores; }

const PruneScore& find_score(const std::string& name) {
  const auto found = std::find_if(std::begin(kScores), std::end(kScores), [&](const PruneScore& score) { return score.name == name; });
  PARE_CHECK(found != std::end(kScores));
  return *found;
}

}  // namespace pare
