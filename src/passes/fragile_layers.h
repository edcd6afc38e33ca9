#pragma once
#include <map>
#include <string>

#include "graph/graph.h"
#include "passes/pass.h"

namespace pare {

// What a layer computes (its result's name) → why it should compute in float.
using FragileLayers = std::map<std::string, std::string>;

// Layers of a quantized graph whose 8 bits the outputs cannot bear: where all layers together leave the outputs less than
// 20 dB above the noise, those that cost most a multiplication, each measured alone (as assign-bits does), until what is
// left promises 20 dB or they hold `float_share` of the multiplications. `floats` is the graph before, with batch
// normalizations merged; runs it on a few of the pass's samples.
FragileLayers fragile_layers(const Graph& floats, const Graph& quantized, double float_share, PassRun& pass);

}  // namespace pare
