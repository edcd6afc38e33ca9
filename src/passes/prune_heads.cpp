// Whole attention heads leave the graph: their slices of the query, key, value and output weights.
#include "passes/channel_pruning.h"

namespace pare {
namespace {

struct PruneHeads {
  double heads = 0.75;
  std::string score = "auto";
  double most = 0.75;
  bool repair = true;
  double samples = 256;
  std::string exclude;
  static std::vector<Field> fields() {
    return FieldList<PruneHeads>()
        .number("heads", &PruneHeads::heads, 0.01, 1, "", "share of the attention heads to keep", {"0.75", "0.5"})
        .word("score", &PruneHeads::score, score_names(), "what a head is worth; auto: reconstruction where there is data, else l2", {"auto"})
        .number("most", &PruneHeads::most, 0, 1, "", "largest share of a layer's heads that may go")
        .flag("repair", &PruneHeads::repair, "with data: the layers behind are fitted to what they computed before")
        .number("samples", &PruneHeads::samples, 1, 100000, "", "calibration samples for reconstruction and repair; fewer where a sample is large")
        .word("exclude", &PruneHeads::exclude, {}, "layers whose heads stay: names or operators, separated by |, * for anything")
        .take();
  }
};

void run(Graph& graph, const PruneHeads& options, PassRun& pass) {
  PruningRequest request;
  request.score = options.score, request.exclude = options.exclude, request.heads = options.heads;
  request.most = options.most, request.only_heads = true;
  request.repair = options.repair, request.samples = int64_t(options.samples);
  prune_groups(graph, request, pass);
  if (pass.changed == 0) pass.notes.push_back("no attention heads that can be cut: prune-channels cuts what else can be");
}

}  // namespace

Pass pass_prune_heads() {
  return declare_pass<PruneHeads>("prune-heads", "Cuts whole attention heads. Better with data.", "Michel et al. 2019, Are Sixteen Heads Really Better than One, section 2.3", false, run);
}

}  // namespace pare
