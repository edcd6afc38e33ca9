#pragma once
// A network whose training data are its own answers: what compression loses, training can bring back.
#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "passes/pass.h"
#include "support/networks.h"
#include "train/train.h"

namespace pare::testing {

inline std::vector<double> softmax(const std::vector<float>& scores, double temperature) {
  std::vector<double> p;
  double sum = 0;
  for (float s : scores) sum += p.emplace_back(std::exp(double(s) / temperature));
  for (double& v : p) v /= sum;
  return p;
}

// Pictures whose labels are what the dense network says: what compression loses, training can bring back.
class LearnedFromItself {
 public:
  explicit LearnedFromItself(int64_t count = 96, bool batch_norm = false) : network(residual_network(1, batch_norm)) {
    open_batch(network);
    std::vector<std::vector<float>> scores;
    std::vector<double> means(10, 0.0);
    for (int64_t i = 0; i < count; ++i) {
      pictures.push_back(random_array({1, 3, 17, 19}, uint64_t(i) + 1000));
      scores.push_back(run_reference(network, {pictures.back()})[0].to_floats());
      for (size_t c = 0; c < 10; ++c) means[c] += scores.back()[c] / double(count);
    }
    // A random network says one class for all pictures, and says it hardly louder than the others: it becomes one whose
    // scores differ by about kSpread from picture to picture, which is what a trained classifier has to teach.
    double variance = 0;
    for (const std::vector<float>& s : scores)
      for (size_t c = 0; c < 10; ++c) variance += (s[c] - means[c]) * (s[c] - means[c]) / double(10 * count);
    const auto gain = float(kSpread / std::sqrt(variance));
    change_constant(network.nodes.back().inputs[1], [&](size_t, float w) { return w * gain; });
    change_constant(network.nodes.back().inputs[2], [&](size_t c, float b) { return (b - float(means[c])) * gain; });
    for (std::vector<float>& s : scores) {
      for (size_t c = 0; c < 10; ++c) s[c] -= float(means[c]);
      labels.push_back(std::max_element(s.begin(), s.end()) - s.begin());
    }
    inputs.calibration = {8, [this](int64_t i) { return std::vector<Array>{pictures[size_t(i)]}; }};
    inputs.training.count = count;
    inputs.training.batch = [this](std::span<const int64_t> samples) {
      TrainingBatch batch;
      Array all(Type::f32, {int64_t(samples.size()), 3, 17, 19});
      auto out = all.mutable_values<float>();
      for (size_t i = 0; i < samples.size(); ++i) {
        const auto picture = pictures[size_t(samples[i])].values<float>();
        std::copy(picture.begin(), picture.end(), out.begin() + int64_t(i * picture.size()));
        batch.labels.push_back(labelled ? labels[size_t(samples[i])] : -1);
      }
      batch.inputs = {all};
      return batch;
    };
  }
  double right(const Graph& graph) const {
    int count = 0;
    for (size_t i = 0; i < pictures.size(); ++i) {
      const std::vector<float> scores = run_reference(graph, {pictures[i]})[0].to_floats();
      count += std::max_element(scores.begin(), scores.end()) - scores.begin() == labels[i];
    }
    return double(count) / double(pictures.size());
  }
  // Mean over the pictures of the Kullback-Leibler divergence of the graph's classes from the dense network's.
  double divergence(const Graph& graph) const {
    double sum = 0;
    for (const Array& picture : pictures) {
      const std::vector<double> p = softmax(run_reference(network, {picture})[0].to_floats(), 1), q = softmax(run_reference(graph, {picture})[0].to_floats(), 1);
      for (size_t c = 0; c < p.size(); ++c) sum += p[c] * std::log(p[c] / q[c]);
    }
    return sum / double(pictures.size());
  }

  Graph network;
  std::vector<Array> pictures;
  std::vector<int64_t> labels;
  bool labelled = true;
  PipelineInputs inputs;

 private:
  static constexpr double kSpread = 3;

  void change_constant(ValueId id, const std::function<float(size_t, float)>& change) {
    Array changed = network.constant(id)->decode();
    auto values = changed.mutable_values<float>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = change(i, values[i]);
    network.at(id).constant = std::make_shared<const Tensor>(changed);
  }
};

inline std::vector<std::vector<float>> constants_of(const Graph& graph) {
  std::vector<std::vector<float>> all;
  for (const Value& value : graph.values)
    if (value.constant) all.push_back(value.constant->decode().to_floats());
  return all;
}

}  // namespace pare::testing
