#pragma once
#include <map>
#include <string>

#include "graph/graph.h"
#include "passes/pass.h"

namespace pare {

// What int8 costs a network that magnifies its noise.
struct Fragility {
  bool outputs = false;                       // all layers together leave the outputs less than 20 dB above the noise
  std::map<std::string, std::string> layers;  // what a layer computes (its result's name) → why it should compute in float
};

// Looks at a quantized graph on a few of the pass's samples. Where the outputs are too noisy, each layer is measured alone
// (as assign-bits does), and those that cost most a multiplication are named, until what is left promises 20 dB or they hold
// `float_share` of the multiplications. `floats` is the graph before, with batch normalizations merged.
Fragility find_fragile(const Graph& floats, const Graph& quantized, double float_share, PassRun& pass);

}  // namespace pare
