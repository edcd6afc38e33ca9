// Whole channels leave the graph, with everything that hangs on them: the result is an ordinary smaller model.
#include <fmt/format.h>

#include <cmath>

#include "graph/simplify.h"
#include "passes/channel_cuts.h"
#include "passes/channel_repair.h"

namespace pare {
namespace {

struct PruneChannels {
  std::string score = "auto";
  double macs = 0, parameters = 0, latency = 0;
  double multiple = 1, most = 0.75;
  bool repair = true;
  double samples = 256;
  std::string exclude;
  static std::vector<Field> fields() {
    std::vector<std::string> names{"auto", "reconstruction"};
    for (const ChannelScore& score : channel_scores()) names.push_back(score.name);
    return FieldList<PruneChannels>()
        .word("score", &PruneChannels::score, names, "what a channel is worth; auto: reconstruction where there is data, else l2", {"auto"})
        .number("macs", &PruneChannels::macs, 0, 1, "", "share of the multiplications to keep; 0: not asked for (0.67 where nothing is)", {"0.8", "0.67", "0.5"})
        .number("parameters", &PruneChannels::parameters, 0, 1, "", "share of the layers' weights to keep; 0: not asked for")
        .number("latency", &PruneChannels::latency, 0, 1, "", "share of the measured time to keep; 0: not asked for")
        .number("multiple", &PruneChannels::multiple, 1, 64, "channels", "keep multiples of so many", {"1", "8"})
        .number("most", &PruneChannels::most, 0, 1, "", "largest share of a layer's channels that may go")
        .flag("repair", &PruneChannels::repair, "with data: the layers behind are fitted to what they computed before")
        .number("samples", &PruneChannels::samples, 1, 100000, "", "calibration samples for reconstruction and repair; fewer where a sample is large")
        .word("exclude", &PruneChannels::exclude, {}, "layers whose channels stay: names or operators, separated by |, * for anything")
        .take();
  }
};

std::vector<LossCurve> curves_of(const ChannelPlan& plan, const PruneChannels& options, const PassRun& pass) {
  std::string score = options.score;
  if (score == "reconstruction" && pass.samples.count == 0)
    throw Error("prune-channels", "score=reconstruction needs calibration data, none was given", "add --data FILE (a data description with a [calibration] part; see docs/guide/data.md)");
  if (score == "auto") score = pass.samples.count > 0 ? "reconstruction" : "l2";
  std::vector<LossCurve> curves(plan.classes().size());
  if (score == "reconstruction") curves = curves_by_reconstruction(plan, options.most, int64_t(options.samples), pass);
  for (size_t c = 0; c < curves.size(); ++c) {
    if (!curves[c].order.empty()) continue;
    const ChannelClass& channels = plan.classes()[c];
    std::vector<double> scores;
    if (score != "reconstruction") scores = find_channel_score(score).score(plan, channels);
    if (scores.empty()) scores = find_channel_score("l2").score(plan, channels);
    curves[c] = curve_of_scores(channels, scores);
  }
  return curves;
}

void run(Graph& graph, const PruneChannels& options, PassRun& pass) {
  if (pass.samples.count > 0 && options.repair && options.score != "bn") fold_batch_norms(graph);  // layers are fitted with all that scales them
  const std::vector<Dims> inputs = assumed_inputs(graph, pass);
  PruneChannels wanted = options;
  if (wanted.macs == 0 && wanted.parameters == 0 && wanted.latency == 0) wanted.macs = 0.67;
  with_plan(graph, inputs, excluded_nodes(graph, options.exclude), [&](ChannelPlan& plan) {
    const int64_t macs = plan.macs(), parameters = plan.parameters();
    CutLimits limits;
    limits.most = options.most;
    limits.multiple = int64_t(options.multiple);
    limits.by_parameters = wanted.macs == 0;
    limits.enough = [&](const ChannelPlan& now) {
      return (wanted.macs == 0 || double(now.macs()) <= wanted.macs * double(macs)) && (wanted.parameters == 0 || double(now.parameters()) <= wanted.parameters * double(parameters));
    };
    const bool reached = choose_cuts(plan, curves_of(plan, options, pass), limits);
    note_cuts(plan, pass.notes);
    note_fixed(plan, pass.notes);
    pass.notes.push_back(fmt::format("{:.1f} % of the multiplications and {:.1f} % of the weights stay", 100 * double(plan.macs()) / double(std::max<int64_t>(macs, 1)),
                                     100 * double(plan.parameters()) / double(std::max<int64_t>(parameters, 1))));
    if (!reached) pass.notes.push_back("more was asked for than can be cut");
    for (const ChannelGroup& group : plan.groups()) pass.changed += plan.is_cut(int(&group - plan.groups().data()));
    Graph result = graph;
    cut_slices(result, plan.cuts(), plan.coupling(), inputs);
    if (options.repair && pass.changed > 0 && pass.samples.count > 0)
      pass.notes.push_back(fmt::format("{} layers were fitted to what they computed before", repair_layers(result, plan, int64_t(options.samples), pass)));
    graph = std::move(result);
  });
}

}  // namespace

Pass pass_prune_channels() {
  return declare_pass<PruneChannels>("prune-channels", "Cuts whole channels, with everything that is coupled to them, so that a smaller ordinary model stays.",
                                     "Fang et al. 2023, DepGraph, section 3", false, run);
}

}  // namespace pare
