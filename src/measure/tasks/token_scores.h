#pragma once
// What language models say about each token of a batch of texts.
#include <algorithm>

#include "measure/tasks/task.h"

namespace pare {

class TokenScores {
 public:
  // `outputs`: those of the model, or of the baseline. Throws Error where none of them scores the vocabulary for every
  // token.
  TokenScores(const JudgedBatch& batch, std::span<const Array> outputs, const DataSet& data);

  int64_t vocabulary() const { return scores_.dim(2); }
  // The scores for the token behind token t of the batch's sample i, and which one it was. Throws Error where that is
  // none.
  std::span<const float> row(size_t i, int64_t t) const;
  int64_t next(size_t i, int64_t t) const;

 private:
  const DataSet& data_;
  Array scores_;  // f32 [samples][tokens][vocabulary]
  std::vector<int64_t> ids_;
};

// The tokens of a sample that are judged: [first, length), none of which is the first token.
struct JudgedTokens {
  int64_t first = 1, length = 0;
};
JudgedTokens judged_tokens(const DataSet& data, int64_t sample);

// The scores' largest one and ln Σ e^score.
struct ScoreSum {
  double most = 0, log_sum = 0;
};
ScoreSum sum_scores(std::span<const float> scores);

}  // namespace pare
