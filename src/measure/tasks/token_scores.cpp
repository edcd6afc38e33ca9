#include "measure/tasks/token_scores.h"

#include <fmt/format.h>

#include <cmath>

namespace pare {
namespace {

const Array& ids_of(const JudgedBatch& batch, const DataSet& data) {
  for (const Array& input : batch.inputs)
    if (input.type() == Type::i64 || input.type() == Type::i32) return input;
  throw Error(data.path, "the model takes no token ids");
}

// The output with a row of scores for every token.
const Array& scores_of(std::span<const Array> outputs, const Array& ids, const DataSet& data) {
  std::string found;
  for (const Array& output : outputs) {
    if (output.rank() == 3 && output.dim(0) == ids.dim(0) && output.dim(1) == ids.dim(1)) return output;
    found += (found.empty() ? "" : ", ") + dims_text(output.dims());
  }
  throw Error(data.path, "none of the model's outputs scores the vocabulary for every token: " + found,
              fmt::format("task = \"{}\" is for models that predict the next token", data.task));
}

}  // namespace

TokenScores::TokenScores(const JudgedBatch& batch, std::span<const Array> outputs, const DataSet& data) : data_(data) {
  const Array& ids = ids_of(batch, data);
  scores_ = scores_of(outputs, ids, data).cast(Type::f32);
  ids_ = ids.to_integers();
}

std::span<const float> TokenScores::row(size_t i, int64_t t) const {
  const auto width = size_t(vocabulary());
  return scores_.values<float>().subspan((i * size_t(scores_.dim(1)) + size_t(t)) * width, width);
}

int64_t TokenScores::next(size_t i, int64_t t) const {
  const int64_t id = ids_[i * size_t(scores_.dim(1)) + size_t(t) + 1];
  if (id >= vocabulary())
    throw Error(data_.path, fmt::format("token {} is not in the model's vocabulary of {}", id, vocabulary()),
                "take the ids of the model's own tokenizer");
  return id;
}

JudgedTokens judged_tokens(const DataSet& data, int64_t sample) {
  return {std::max<int64_t>(1, data.test->get(sample).given), data.test->length(sample)};
}

ScoreSum sum_scores(std::span<const float> scores) {
  double most = -INFINITY, sum = 0;
  for (const float score : scores) most = std::max(most, double(score));
  for (const float score : scores) sum += std::exp(double(score) - most);
  return {most, most + std::log(sum)};
}

}  // namespace pare
