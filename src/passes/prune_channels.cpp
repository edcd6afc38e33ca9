// Whole channels leave the graph, with everything that hangs on them: the result is an ordinary smaller model.
#include <fmt/format.h>

#include <cmath>

#include "passes/channel_cuts.h"

namespace pare {
namespace {

struct PruneChannels {
  std::string score = "l2";
  double macs = 0, parameters = 0, latency = 0;
  double multiple = 1, most = 0.75;
  std::string exclude;
  static std::vector<Field> fields() {
    std::vector<std::string> names;
    for (const ChannelScore& score : channel_scores()) names.push_back(score.name);
    return FieldList<PruneChannels>()
        .word("score", &PruneChannels::score, names, "what a channel is worth", {"l2"})
        .number("macs", &PruneChannels::macs, 0, 1, "", "share of the multiplications to keep; 0: not asked for (0.67 where nothing is)", {"0.8", "0.67", "0.5"})
        .number("parameters", &PruneChannels::parameters, 0, 1, "", "share of the layers' weights to keep; 0: not asked for")
        .number("latency", &PruneChannels::latency, 0, 1, "", "share of the measured time to keep; 0: not asked for")
        .number("multiple", &PruneChannels::multiple, 1, 64, "channels", "keep multiples of so many", {"1", "8"})
        .number("most", &PruneChannels::most, 0, 1, "", "largest share of a layer's channels that may go")
        .word("exclude", &PruneChannels::exclude, {}, "layers whose channels stay: names or operators, separated by |, * for anything")
        .take();
  }
};

std::vector<LossCurve> curves_of(const ChannelPlan& plan, const PruneChannels& options) {
  std::vector<LossCurve> curves;
  for (const ChannelClass& channels : plan.classes()) {
    std::vector<double> scores = find_channel_score(options.score).score(plan, channels);
    if (scores.empty()) scores = find_channel_score("l2").score(plan, channels);
    curves.push_back(curve_of_scores(channels, scores));
  }
  return curves;
}

void run(Graph& graph, const PruneChannels& options, PassRun& pass) {
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
    const bool reached = choose_cuts(plan, curves_of(plan, options), limits);
    note_cuts(plan, pass.notes);
    note_fixed(plan, pass.notes);
    pass.notes.push_back(fmt::format("{:.1f} % of the multiplications and {:.1f} % of the weights stay", 100 * double(plan.macs()) / double(std::max<int64_t>(macs, 1)),
                                     100 * double(plan.parameters()) / double(std::max<int64_t>(parameters, 1))));
    if (!reached) pass.notes.push_back("more was asked for than can be cut");
    for (const ChannelGroup& group : plan.groups()) pass.changed += plan.is_cut(int(&group - plan.groups().data()));
    Graph result = graph;
    cut_slices(result, plan.cuts(), plan.coupling(), inputs);
    graph = std::move(result);
  });
}

}  // namespace

Pass pass_prune_channels() {
  return declare_pass<PruneChannels>("prune-channels", "Cuts whole channels, with everything that is coupled to them, so that a smaller ordinary model stays.",
                                     "Fang et al. 2023, DepGraph, section 3", false, run);
}

}  // namespace pare
