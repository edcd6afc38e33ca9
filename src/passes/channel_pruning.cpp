#include "passes/channel_pruning.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "engine/engine.h"
#include "graph/simplify.h"
#include "passes/channel_cuts.h"
#include "passes/channel_repair.h"
#include "passes/training.h"

namespace pare {
namespace {

std::vector<LossCurve> curves_of(const ChannelPlan& plan, const PruningRequest& request, PassRun& pass) {
  std::string score = request.score;
  if (score == "reconstruction" && pass.samples.count == 0)
    throw Error("score=reconstruction", "needs calibration data, none was given", "add --data FILE (a data description with a [calibration] part; see docs/guide/data.md)");
  if (score == "auto") score = pass.samples.count > 0 ? "reconstruction" : "l2";
  std::vector<LossCurve> curves(plan.classes().size());
  if (score == "reconstruction") curves = curves_by_reconstruction(plan, request.most, request.samples, pass);
  const LossChanges changes = score != "reconstruction" && find_channel_score(score).needs_changes ? loss_changes(plan.graph(), "score=" + score, pass) : LossChanges();
  for (size_t c = 0; c < curves.size(); ++c) {
    const ChannelClass& channels = plan.classes()[c];
    if (request.only_heads && !channels.heads) curves[c] = {};
    if (!curves[c].order.empty() || (request.only_heads && !channels.heads)) continue;
    std::vector<double> scores;
    if (score != "reconstruction") scores = find_channel_score(score).score(plan, channels, changes);
    if (scores.empty()) scores = find_channel_score("l2").score(plan, channels, changes);
    curves[c] = curve_of_scores(channels, scores);
  }
  return curves;
}

double heads_left(const ChannelPlan& plan) {
  double all = 0, left = 0;
  for (size_t g = 0; g < plan.groups().size(); ++g) {
    all += plan.groups()[g].heads;
    left += plan.groups()[g].heads && !plan.is_cut(int(g));
  }
  return all > 0 ? left / all : 1;
}

double seconds_of(Session& session, const std::vector<Array>& inputs) {
  const auto start = std::chrono::steady_clock::now();
  session.run_only(inputs);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Waiting threads would measure who else uses the machine.
SessionOptions one_thread() {
  SessionOptions options;
  options.threads = 1;
  return options;
}

// Median of the ratios of runs side by side: what of the original's time the cut graph takes.
double time_ratio(Session& original, const std::vector<Array>& original_inputs, const ChannelPlan& plan, const std::vector<Dims>& inputs) {
  Graph small = plan.graph();
  cut_slices(small, plan.cuts(), plan.coupling(), inputs);
  small.remove_unused();
  infer_shapes(small);
  Session session(small, inputs, one_thread());
  std::vector<double> ratios;
  for (int i = 0; i < 3; ++i) seconds_of(session, original_inputs), seconds_of(original, original_inputs);
  const auto start = std::chrono::steady_clock::now();
  while (ratios.size() < 5 || (ratios.size() < 101 && std::chrono::steady_clock::now() - start < std::chrono::milliseconds(400)))
    ratios.push_back(seconds_of(session, original_inputs) / seconds_of(original, original_inputs));
  std::nth_element(ratios.begin(), ratios.begin() + long(ratios.size() / 2), ratios.end());
  return ratios[ratios.size() / 2];
}

// The largest share of the MACs that runs within the time: the curves decide what goes, the clock how much.
double macs_within(const ChannelPlan& plan, const std::vector<LossCurve>& curves, CutLimits limits, double latency, const std::vector<Dims>& inputs, PassRun& pass) {
  Session original(plan.graph(), inputs, one_thread());
  const std::vector<Array> arrays = random_inputs(plan.graph(), inputs, pass.seed);
  const int64_t all = plan.macs();
  double low = 0, high = 1;
  for (int i = 0; i < 6; ++i) {
    if (pass.progress) pass.progress("timing the cut graph", double(i), 6);
    const double share = (low + high) / 2;
    ChannelPlan trial = plan;
    limits.enough = [&](const ChannelPlan& now) { return double(now.macs()) <= share * double(all); };
    const bool reached = choose_cuts(trial, curves, limits);
    const double ratio = time_ratio(original, arrays, trial, inputs);
    pass.notes.push_back(fmt::format("measured: {:.1f} % of the multiplications take {:.1f} % of the time", 100 * double(trial.macs()) / double(std::max<int64_t>(all, 1)), 100 * ratio));
    if (ratio <= latency) low = share;
    else high = share;
    if (!reached && ratio > latency) break;
    if (reached && ratio <= latency && ratio > latency - 0.02) break;
  }
  return low;
}

}  // namespace

std::vector<std::string> score_names() {
  std::vector<std::string> names{"auto", "reconstruction"};
  for (const ChannelScore& score : channel_scores()) names.push_back(score.name);
  return names;
}

void prune_groups(Graph& graph, const PruningRequest& request, PassRun& pass) {
  if (pass.samples.count > 0 && request.repair && request.score != "bn") fold_batch_norms(graph);  // layers are fitted with all that scales them
  const std::vector<Dims> inputs = assumed_inputs(graph, pass);
  with_plan(graph, inputs, excluded_nodes(graph, request.exclude), [&](ChannelPlan& plan) {
    const int64_t macs = plan.macs(), parameters = plan.parameters();
    const std::vector<LossCurve> curves = curves_of(plan, request, pass);
    CutLimits limits{request.most, request.multiple, {}, request.parameters > 0 && request.macs == 0 && request.latency == 0};
    double share = request.macs;
    if (request.latency > 0) {
      const double within = macs_within(plan, curves, limits, request.latency, inputs, pass);
      share = share > 0 ? std::min(share, within) : within;
    }
    limits.enough = [&](const ChannelPlan& now) {
      return ((request.macs == 0 && request.latency == 0) || double(now.macs()) <= share * double(macs)) &&
             (request.parameters == 0 || double(now.parameters()) <= request.parameters * double(parameters)) && (request.heads == 0 || heads_left(now) <= request.heads);
    };
    const bool reached = choose_cuts(plan, curves, limits);
    note_cuts(plan, pass.notes);
    if (!request.only_heads) note_fixed(plan, pass.notes);
    pass.notes.push_back(fmt::format("{:.1f} % of the multiplications and {:.1f} % of the weights stay", 100 * double(plan.macs()) / double(std::max<int64_t>(macs, 1)),
                                     100 * double(plan.parameters()) / double(std::max<int64_t>(parameters, 1))));
    if (!reached) pass.notes.push_back("more was asked for than can be cut");
    for (size_t g = 0; g < plan.groups().size(); ++g) pass.changed += plan.is_cut(int(g));
    Graph result = graph;
    cut_slices(result, plan.cuts(), plan.coupling(), inputs);
    if (request.repair && pass.changed > 0 && pass.samples.count > 0)
      pass.notes.push_back(fmt::format("{} layers were fitted to what they computed before", repair_layers(result, plan, request.samples, pass)));
    graph = std::move(result);
  });
}

}  // namespace pare
