#pragma once
#include "passes/channel_scores.h"
#include "passes/pass.h"

namespace pare {

// What a structured pass asks for. Shares to keep: 0 where one is not asked for.
struct PruningRequest {
  std::string score, exclude;
  double macs = 0, parameters = 0, latency = 0, heads = 0;
  double most = 1;
  int64_t multiple = 1, samples = 256;
  bool repair = true, only_heads = false;
};
// Scores the channels, cuts them until every share is reached, repairs the layers behind where there is data, and notes what
// was done and what could not be.
void prune_groups(Graph& graph, const PruningRequest& request, PassRun& pass);
std::vector<std::string> score_names();  // that a request may have

}  // namespace pare
