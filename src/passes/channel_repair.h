#pragma once
// What calibration data adds to cutting channels: which ones the layers behind can do without, and new weights for these layers.
#include "passes/channel_scores.h"
#include "passes/pass.h"

namespace pare {

// Loss curves by reconstruction: a channel goes when the layers that read it, their other weights refitted, change least
// (passes/solvers/least_squares.h). Classes that no measurable layer reads have empty curves. At most the share `most` of a class is
// ordered.
std::vector<LossCurve> curves_by_reconstruction(const ChannelPlan& plan, double most, int64_t samples, const PassRun& pass);

// After the cut: every dense layer behind it, from the input on, gets the weights and bias with which it computes, from what it
// reads now, as nearly as can be what it computed in the original (He et al. 2017, Channel Pruning, section 3.1; here with all
// that lies in front already repaired). `small`: `plan.graph()` after cut_slices. Returns how many layers.
int repair_layers(Graph& small, const ChannelPlan& plan, int64_t samples, const PassRun& pass);

}  // namespace pare
