#include "passes/weights.h"

#include <algorithm>

namespace pare {
namespace {

bool glob(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

std::vector<WeightUse> weight_uses(const Graph& graph) {
  std::vector<WeightUse> uses;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    auto add = [&](size_t input, int axis, bool linear) {
      const Tensor* tensor = graph.constant(node.input(input));
      if (tensor == nullptr || !is_float(tensor->type) || tensor->dims.size() < 2) return;
      uses.push_back({int(n), input, node.inputs[input], axis, linear});
    };
    if (node.is("Conv")) add(1, 0, false);
    else if (node.is("ConvTranspose")) add(1, 1, false);
    else if (node.is("Gemm")) add(1, node.integer("transB", 0) != 0 ? 0 : 1, true);
    else if (node.is("Gather")) add(0, 0, false);
    else if (node.is("MatMul")) {
      for (size_t i = 0; i < 2; ++i)
        if (const Tensor* tensor = graph.constant(node.input(i))) add(i, i == 1 ? int(tensor->dims.size()) - 1 : int(tensor->dims.size()) - 2, true);
    }
  }
  return uses;
}

std::vector<double> mean_shift(const Array& exact, const Array& rounded, int axis, const std::vector<double>& means) {
  if (axis > 1 || exact.rank() < 2) return {};
  const int64_t outputs = exact.dim(axis), inputs = exact.dim(1 - axis), taps = exact.count() / (outputs * inputs);
  const int64_t groups = int64_t(means.size()) / inputs;
  if (groups < 1 || groups * inputs != int64_t(means.size()) || outputs % groups != 0) return {};
  const Array exact_floats = exact.cast(Type::f32), rounded_floats = rounded.cast(Type::f32);
  const auto a = exact_floats.values<float>(), b = rounded_floats.values<float>();
  std::vector<double> shift(size_t(outputs), 0.0);
  for (int64_t i = 0; i < exact.count(); ++i) {
    const int64_t output = axis == 0 ? i / (inputs * taps) : i % outputs, input = axis == 0 ? i / taps % inputs : i / outputs;
    shift[size_t(output)] += means[size_t(output / (outputs / groups) * inputs + input)] * (double(b[size_t(i)]) - a[size_t(i)]);
  }
  return shift;
}

void replace_constant(Graph& graph, ValueId value, Tensor tensor) {
  graph.at(value).type = tensor.type;
  graph.at(value).constant = std::make_shared<const Tensor>(std::move(tensor));
}

std::vector<std::string> names_in(const std::string& list) {
  std::vector<std::string> names;
  for (size_t start = 0; start < list.size();) {
    const size_t end = std::min(list.find('|', start), list.size());
    if (end > start) names.push_back(list.substr(start, end - start));
    start = end + 1;
  }
  return names;
}

bool name_matches(const std::string& patterns, const Node& node) {
  const std::vector<std::string> names = names_in(patterns);
  return std::any_of(names.begin(), names.end(), [&](const std::string& pattern) { return glob(pattern, node.name) || glob(pattern, node.op_type); });
}

std::vector<char> nodes_beyond(const Graph& graph, const std::vector<char>& among, bool forward) {
  const auto producers = graph.producers();
  const auto consumers = graph.consumers();
  std::vector<char> beyond(graph.nodes.size(), 0);
  const auto visit = [&](size_t n) {
    const auto take = [&](int other) {
      if (other >= 0 && (among[size_t(other)] || beyond[size_t(other)])) beyond[n] = 1;
    };
    if (forward) {
      for (ValueId id : graph.nodes[n].inputs) take(id == kNone ? -1 : producers[size_t(id)]);
    } else {
      for (ValueId id : graph.nodes[n].outputs)
        if (id != kNone)
          for (int other : consumers[size_t(id)]) take(other);
    }
  };
  for (size_t i = 0; i < beyond.size(); ++i) visit(forward ? i : beyond.size() - 1 - i);
  return beyond;
}

}  // namespace pare
