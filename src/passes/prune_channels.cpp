// Whole channels leave the graph, with everything that hangs on them: the result is an ordinary smaller model.
#include "passes/channel_pruning.h"

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
    return FieldList<PruneChannels>()
        .word("score", &PruneChannels::score, score_names(), "what a channel is worth; auto: reconstruction where there is data, else l2", {"auto"})
        .number("macs", &PruneChannels::macs, 0, 1, "", "share of the multiplications to keep; 0: not asked for (0.67 where nothing is)", {"0.8", "0.67", "0.5"})
        .number("parameters", &PruneChannels::parameters, 0, 1, "", "share of the layers' weights to keep; 0: not asked for")
        .number("latency", &PruneChannels::latency, 0, 1, "", "share of the time to keep, measured on this machine with one thread; 0: not asked for")
        .number("multiple", &PruneChannels::multiple, 1, 64, "channels", "keep multiples of so many", {"1", "8"})
        .number("most", &PruneChannels::most, 0, 1, "", "largest share of a layer's channels that may go")
        .flag("repair", &PruneChannels::repair, "with data: the layers behind are fitted to what they computed before")
        .number("samples", &PruneChannels::samples, 1, 100000, "", "calibration samples for reconstruction and repair; fewer where a sample is large")
        .word("exclude", &PruneChannels::exclude, {}, "layers whose channels stay: names or operators, separated by |, * for anything")
        .take();
  }
};

void run(Graph& graph, const PruneChannels& options, PassRun& pass) {
  PruningRequest request;
  request.score = options.score, request.exclude = options.exclude;
  request.macs = options.macs, request.parameters = options.parameters, request.latency = options.latency;
  request.most = options.most, request.multiple = int64_t(options.multiple);
  request.repair = options.repair, request.samples = int64_t(options.samples);
  if (request.macs == 0 && request.parameters == 0 && request.latency == 0) request.macs = 0.67;
  prune_groups(graph, request, pass);
}

}  // namespace

Pass pass_prune_channels() {
  return declare_pass<PruneChannels>("prune-channels", "Cuts whole channels, with everything that is coupled to them, so that a smaller ordinary model stays. Better with data.",
                                     "Fang et al. 2023, DepGraph, section 3; He et al. 2017, Channel Pruning, section 3", false, run);
}

}  // namespace pare
