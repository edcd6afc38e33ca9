#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "passes/channel_plan.h"

namespace pare {

// In which order the groups of a class go, and what has been lost in all when the first k + 1 are gone: a share of what
// the class carries, so that classes can be compared.
struct LossCurve {
  std::vector<int> order;
  std::vector<double> loss;  // grows
};

// Mean square of what the loss changes by to first order when an element goes, by constant; empty where a score asks for none.
using LossChanges = std::map<std::string, std::vector<float>>;

// A way to judge channels by the weights, and by what the loss says of them.
struct ChannelScore {
  const char* name;
  const char* summary;
  // What each group of a class is worth, not negative; empty: this way has nothing to say about the class.
  std::vector<double> (*score)(const ChannelPlan& plan, const ChannelClass& channels, const LossChanges& changes);
  bool needs_changes = false;
};
const std::vector<ChannelScore>& channel_scores();
const ChannelScore& find_channel_score(const std::string& name);

// The least first; a loss is the share of the scores that is gone, p, as -log(1 - p): the last channels of a layer are dear.
LossCurve curve_of_scores(const ChannelClass& channels, const std::vector<double>& scores);

// Cuts the groups that cost least for what they save, class by class along its curve, until `enough` says so. At most the share
// `most` of a class goes, and what stays is a multiple of `multiple` where the class permits. Returns false where nothing is left to cut.
struct CutLimits {
  double most = 0.8;
  int64_t multiple = 1;
  std::function<bool(const ChannelPlan&)> enough;
  bool by_parameters = false;  // what a cut saves: parameters instead of MACs
};
bool choose_cuts(ChannelPlan& plan, const std::vector<LossCurve>& curves, const CutLimits& limits);

}  // namespace pare
