#include "passes/channel_scores.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pare {
namespace {

// Calls f(weights of one slice) for each slice of `group` in the outputs of the layers that make it; with `changes`, f(theirs).
template <class F>
void for_each_slice(const ChannelPlan& plan, const ChannelClass& channels, const ChannelGroup& group, F f, const LossChanges* changes = nullptr) {
  for (int k : channels.makers) {
    const WeightLayer& layer = plan.layers()[size_t(k)];
    const Array weight = plan.graph().constant(layer.weight)->array().cast(Type::f32);
    int64_t inner = 1, outer = 1;
    for (int i = 0; i < layer.out_axis; ++i) outer *= weight.dim(i);
    for (int i = layer.out_axis + 1; i < weight.rank(); ++i) inner *= weight.dim(i);
    auto values = weight.values<float>();
    if (changes != nullptr) {
      const auto found = changes->find(plan.graph().at(layer.weight).name);
      if (found == changes->end()) continue;
      values = found->second;
    }
    std::vector<float> slice(size_t(outer * inner));
    for (const Slice& at : group.slices) {
      if (at.value != layer.weight || at.axis != layer.out_axis) continue;
      for (int64_t o = 0; o < outer; ++o)
        std::copy_n(values.data() + (o * weight.dim(layer.out_axis) + at.index) * inner, inner, slice.data() + o * inner);
      f(slice);
    }
  }
}

std::vector<double> sums(const ChannelPlan& plan, const ChannelClass& channels, double (*of)(float), const LossChanges* changes = nullptr) {
  std::vector<double> scores;
  for (int g : channels.groups) {
    double sum = 0;
    for_each_slice(plan, channels, plan.groups()[size_t(g)], [&](const std::vector<float>& slice) { for (float w : slice) sum += of(w); }, changes);
    scores.push_back(sum);
  }
  return scores;
}

std::vector<double> score_l1(const ChannelPlan& plan, const ChannelClass& channels, const LossChanges&) {
  return sums(plan, channels, [](float w) { return double(std::abs(w)); });
}
std::vector<double> score_l2(const ChannelPlan& plan, const ChannelClass& channels, const LossChanges&) {
  return sums(plan, channels, [](float w) { return double(w) * w; });
}

// |scale| of the BatchNormalizations the channels pass.
std::vector<double> score_bn(const ChannelPlan& plan, const ChannelClass& channels, const LossChanges&) {
  std::vector<ValueId> scales;
  for (const Node& node : plan.graph().nodes)
    if (node.is("BatchNormalization"))
      for (const auto& [id, axis] : channels.axes)
        if (id == node.input(1) && plan.graph().constant(id) != nullptr) scales.push_back(id);
  if (scales.empty()) return {};
  std::vector<double> scores;
  for (int g : channels.groups) {
    double sum = 0;
    for (const Slice& at : plan.groups()[size_t(g)].slices)
      if (std::find(scales.begin(), scales.end(), at.value) != scales.end())
        sum += std::abs(double(plan.graph().constant(at.value)->decode().to_floats()[size_t(at.index)]));
    scores.push_back(sum);
  }
  return scores;
}

// Sum of the distances to all other channels of the class: what lies in the middle can be replaced by the others.
std::vector<double> score_median(const ChannelPlan& plan, const ChannelClass& channels, const LossChanges&) {
  std::vector<std::vector<float>> filters;
  for (int g : channels.groups) {
    filters.emplace_back();
    for_each_slice(plan, channels, plan.groups()[size_t(g)], [&](const std::vector<float>& slice) { filters.back().insert(filters.back().end(), slice.begin(), slice.end()); });
  }
  std::vector<double> scores(filters.size(), 0.0);
  for (size_t i = 0; i < filters.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      double square = 0;
      for (size_t k = 0; k < std::min(filters[i].size(), filters[j].size()); ++k) square += double(filters[i][k] - filters[j][k]) * (filters[i][k] - filters[j][k]);
      scores[i] += std::sqrt(square);
      scores[j] += std::sqrt(square);
    }
  return scores;
}

std::vector<double> score_taylor(const ChannelPlan& plan, const ChannelClass& channels, const LossChanges& changes) {
  return sums(plan, channels, [](float change) { return double(change); }, &changes);
}

}  // namespace

const std::vector<ChannelScore>& channel_scores() {
  static const std::vector<ChannelScore> scores{
      {"l1", "sum of the weights' magnitudes (Li et al. 2017, Pruning Filters for Efficient ConvNets, section 3.1)", score_l1},
      {"l2", "sum of the weights' squares", score_l2},
      {"bn", "scale of the batch normalization behind (Liu et al. 2017, Network Slimming, section 3); l2 where there is none", score_bn},
      {"median", "distance to the geometric median (He et al. 2019, FPGM, section 3.3)", score_median},
      {"taylor", "first-order change of the loss (Molchanov et al. 2019, section 3.1); needs labelled training data and the training library", score_taylor, true},
  };
  return scores;
}

const ChannelScore& find_channel_score(const std::string& name) {
  for (const ChannelScore& score : channel_scores())
    if (name == score.name) return score;
  throw UsageError("prune-channels", "has no score '" + name + "'");
}

LossCurve curve_of_scores(const ChannelClass& channels, const std::vector<double>& scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  const double total = std::max(std::accumulate(scores.begin(), scores.end(), 0.0), 1e-30);
  LossCurve curve;
  double gone = 0;
  // A channel of a sum is missed by every layer that reads the sum.
  const double layers = double(std::max<size_t>(channels.makers.size() + channels.readers.size(), 1));
  for (size_t i : order) {
    gone += scores[i];
    curve.order.push_back(channels.groups[i]);
    curve.loss.push_back(-layers * std::log(std::max(1 - gone / total, 1e-9)));
  }
  return curve;
}

bool choose_cuts(ChannelPlan& plan, const std::vector<LossCurve>& curves, const CutLimits& limits) {
  std::vector<size_t> done(curves.size(), 0);
  // As many groups as go at once, so that a multiple stays.
  const auto step_of = [&](size_t c) -> size_t {
    const int64_t left = int64_t(curves[c].order.size() - done[c]);
    if (limits.multiple <= 1 || left <= limits.multiple) return limits.multiple <= 1 ? 1 : 0;
    return size_t(left % limits.multiple != 0 ? left % limits.multiple : limits.multiple);
  };
  while (!limits.enough(plan)) {
    size_t best = curves.size();
    double least = INFINITY;
    for (size_t c = 0; c < curves.size(); ++c) {
      const size_t step = step_of(c), size = curves[c].order.size();
      if (step == 0 || done[c] + step > size_t(limits.most * double(size)) || done[c] + step >= size + (plan.classes()[c].heads ? 0 : 1)) continue;
      if (!plan.can_cut(curves[c].order[done[c]])) continue;
      const ChannelPlan::Saving saving = plan.saving(curves[c].order[done[c]]);
      const int64_t saved = limits.by_parameters ? saving.parameters : saving.macs;
      if (saved <= 0) continue;
      const double loss = curves[c].loss[done[c] + step - 1] - (done[c] == 0 ? 0 : curves[c].loss[done[c] - 1]);
      if (const double price = std::max(loss, 0.0) / double(saved * int64_t(step)); price < least) {
        least = price;
        best = c;
      }
    }
    if (best == curves.size()) return false;
    for (size_t i = step_of(best); i-- > 0;) {
      if (plan.can_cut(curves[best].order[done[best]])) plan.cut(curves[best].order[done[best]]);
      ++done[best];
    }
  }
  return true;
}

}  // namespace pare
