#include "measure/causes.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "graph/op.h"

namespace pare {
namespace {

constexpr double kGoodDb = 30;     // noise below 0.1 % of the power: not worth words
constexpr double kOutlier = 4;     // a channel this many times the median channel costs two bits of an 8-bit range
constexpr double kWideRange = 30;  // 8 bits over ±30 rms leave a step of a quarter rms

const Tensor* weight_of(const Graph& graph, const Node& node) {
  if (node.op == nullptr || node.op->weight_input < 0) return nullptr;
  return graph.constant(node.input(size_t(node.op->weight_input)));
}

const Node* node_for(const Graph& graph, const std::map<std::string, int>& producers, const std::string& node_name,
                     const std::string& value) {
  for (const Node& node : graph.nodes)
    if (!node_name.empty() && node.name == node_name && node.op != nullptr && node.op->weight_input >= 0) return &node;
  const auto found = producers.find(value);
  return found == producers.end() ? nullptr : &graph.nodes[size_t(found->second)];
}

// Largest magnitude of each slice along `axis`.
std::vector<double> channel_ranges(const Array& weights, int axis) {
  int64_t inner = 1;
  for (int i = axis + 1; i < weights.rank(); ++i) inner *= weights.dim(i);
  const int64_t channels = weights.dim(axis);
  std::vector<double> ranges(static_cast<size_t>(channels));
  const std::vector<float> values = weights.to_floats();
  for (size_t i = 0; i < values.size(); ++i) {
    double& range = ranges[i / size_t(inner) % size_t(channels)];
    range = std::max(range, std::abs(double(values[i])));
  }
  return ranges;
}

std::string outlier_channel(const std::vector<double>& ranges, const std::string& kind) {
  if (ranges.size() < 4) return "";
  std::vector<double> sorted = ranges;
  std::sort(sorted.begin(), sorted.end());
  const double middle = sorted[sorted.size() / 2];
  const auto top = std::max_element(ranges.begin(), ranges.end());
  if (!(*top > kOutlier * middle)) return "";
  return fmt::format("outlier: {} channel {} of {} takes {:.0f} % of the range (it reaches {:.3g}, the median channel {:.3g})", kind,
                     top - ranges.begin(), ranges.size(), 100 * (1 - middle / *top), *top, middle);
}

double weight_sqnr_db(const Array& ours, const Array& theirs) {
  ValueError error;
  error.see(ours, theirs);
  return error.sqnr_db();
}

std::string weight_cause(const Tensor& ours, const Tensor& theirs, double output_db) {
  if (ours.dims != theirs.dims) return "";
  const Array decoded = ours.decode(), original = theirs.decode();
  const double db = weight_sqnr_db(decoded, original);
  // Noise of the weights reaches the output at about the same ratio; well above it something else is to blame.
  if (db > output_db + 3) return "";
  std::string text = fmt::format("weights are stored at {:.1f} dB", db);
  const bool per_channel = !ours.plain() && ours.parts.size() > 1 && ours.parts[1].count() > 1;
  const std::string outlier = outlier_channel(channel_ranges(original, std::min(per_channel ? 1 : 0, original.rank() - 1)), per_channel ? "weight input" : "weight output");
  return outlier.empty() ? text : text + ": " + outlier;
}

// What a QuantizeLinear behind `value` can represent, from its constants.
struct Range {
  double low, high, step;
};
std::optional<Range> quantized_range(const Graph& graph, const std::string& value) {
  const ValueId id = graph.find(value);
  for (const Node& node : graph.nodes) {
    if (!node.is("QuantizeLinear") || node.input(0) != id) continue;
    const Tensor *scale = graph.constant(node.input(1)), *zero = graph.constant(node.input(2));
    if (scale == nullptr || scale->count() != 1) continue;
    const double step = scale->decode().to_floats()[0], offset = zero != nullptr ? zero->decode().to_floats()[0] : 0;
    const Type type = zero != nullptr ? zero->type : Type::u8;
    if (type != Type::u8 && type != Type::i8) continue;
    const double least = type == Type::u8 ? 0 : -128;
    return Range{(least - offset) * step, (least + 255 - offset) * step, step};
  }
  return std::nullopt;
}

// Values whose QuantizeLinear takes the very scale of this one's although they reach much farther, or which a Concat
// joins with it under one scale.
std::string shared_scale(const CauseQuestion& question, const std::string& value) {
  const auto reach = [&](const std::string& name) {
    const auto error = question.errors.find(name);
    return error == question.errors.end() ? 0.0 : std::max(std::abs(error->second.least), std::abs(error->second.most));
  };
  const Graph& graph = question.small;
  const auto joined = question.baseline_producers.find(value);
  if (joined != question.baseline_producers.end() && question.baseline.nodes[size_t(joined->second)].is("Concat")) {
    std::string small, wide;
    for (ValueId part : question.baseline.nodes[size_t(joined->second)].inputs) {
      const std::string& name = question.baseline.at(part).name;
      if (reach(name) <= 0) continue;
      if (small.empty() || reach(name) < reach(small)) small = name;
      if (wide.empty() || reach(name) > reach(wide)) wide = name;
    }
    if (!small.empty() && reach(wide) > kOutlier * reach(small))
      return fmt::format("producers share one scale: '{}' reaches {:.3g}, '{}' only {:.3g}", wide, reach(wide), small, reach(small));
  }
  const auto scale_of = [&](const Node& node) { return graph.constant(node.input(1)); };
  const Node* own = nullptr;
  for (const Node& node : graph.nodes)
    if (node.is("QuantizeLinear") && graph.at(node.inputs[0]).name == value) own = &node;
  if (own == nullptr || scale_of(*own) == nullptr || reach(value) <= 0) return "";
  for (const Node& node : graph.nodes) {
    if (!node.is("QuantizeLinear") || node.inputs[1] != own->inputs[1]) continue;
    const std::string& other = graph.at(node.inputs[0]).name;
    if (reach(other) > kOutlier * reach(value)) return fmt::format("two producers share one scale: '{}' reaches {:.3g}, '{}' only {:.3g}", other, reach(other), value, reach(value));
  }
  return "";
}

std::string range_cause(const CauseQuestion& question, const std::string& value) {
  const auto range = quantized_range(question.small, value);
  const auto error = question.errors.find(value);
  if (!range || error == question.errors.end()) return "";
  const double low = error->second.least, high = error->second.most, rms = error->second.rms();
  // A ReLU fused into the range cuts negative values on purpose.
  const bool above = high > range->high + 2 * range->step, below = low < range->low - 2 * range->step && range->low < 0;
  if (above || below)
    return fmt::format("activations '{}' reach {:.3g} to {:.3g} and are clipped to {:.3g} to {:.3g}", value, low, high,
                       range->low, range->high);
  const std::string shared = shared_scale(question, value), outlier = outlier_channel(error->second.channel_most, "activation");
  if (!shared.empty()) return shared;
  if (!outlier.empty() && rms > 0 && (range->high - range->low) / 2 > kOutlier * rms) return outlier + " of '" + value + "'";
  if (rms > 0 && (range->high - range->low) / 2 > kWideRange * rms)
    return fmt::format(
        "activations '{}' need {:.3g} to {:.3g} for few values (rms {:.3g}): a step of {:.3g} is coarse for the rest",
        value, range->low, range->high, rms, range->step);
  return "";
}

// The worst compared value the node reads, looking through quantizing steps.
std::string worst_input(const CauseQuestion& question, const Node& node) {
  std::string worst;
  double worst_db = INFINITY;
  for (ValueId id : node.inputs) {
    if (id == kNone) continue;
    std::string name = question.small.at(id).name;
    for (int step = 0; step < 4 && question.errors.count(name) == 0; ++step) {
      const auto producer = question.small_producers.find(name);
      if (producer == question.small_producers.end() ||
          question.small.nodes[size_t(producer->second)].input(0) == kNone)
        break;
      name = question.small.at(question.small.nodes[size_t(producer->second)].inputs[0]).name;
    }
    const auto error = question.errors.find(name);
    if (error != question.errors.end() && error->second.sqnr_db() < worst_db) {
      worst_db = error->second.sqnr_db();
      worst = name;
    }
  }
  return worst;
}

}  // namespace

void ValueError::see(const Array& ours, const Array& theirs) {
  const std::vector<float> x = ours.to_floats(), y = theirs.to_floats();
  for (size_t i = 0; i < y.size(); ++i) {
    const double difference = double(x[i]) - y[i];
    signal += double(y[i]) * y[i];
    noise += difference * difference;
    least = std::min(least, double(y[i]));
    most = std::max(most, double(y[i]));
  }
  count += int64_t(y.size());
  if (theirs.rank() < 2) return;
  const std::vector<double> most_here = channel_ranges(theirs, theirs.rank() == 4 ? 1 : theirs.rank() - 1);
  channel_most.resize(std::max(channel_most.size(), most_here.size()), 0);
  for (size_t c = 0; c < most_here.size(); ++c) channel_most[c] = std::max(channel_most[c], most_here[c]);
}

std::string find_cause(const CauseQuestion& question, const std::string& node_name, const std::string& value) {
  const double output_db = question.errors.at(value).sqnr_db();
  if (output_db > kGoodDb) return "";
  const Node* node = node_for(question.small, question.small_producers, node_name, value);
  const Node* original = node_for(question.baseline, question.baseline_producers, node_name, value);
  if (node == nullptr) return "";
  std::string causes;
  const auto add = [&causes](const std::string& text) {
    if (!text.empty()) causes += (causes.empty() ? "" : "; ") + text;
  };
  if (original != nullptr) {
    const Tensor *ours = weight_of(question.small, *node), *theirs = weight_of(question.baseline, *original);
    if (ours != nullptr && theirs != nullptr) add(weight_cause(*ours, *theirs, output_db));
  }
  const std::string input = worst_input(question, *node);
  if (!input.empty()) add(range_cause(question, input));
  if (!input.empty() && question.errors.at(input).sqnr_db() < output_db + 1)
    add(fmt::format("most of the error comes in with '{}' ({:.1f} dB)", input, question.errors.at(input).sqnr_db()));
  return causes;
}

}  // namespace pare
