#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace pare {

// The weights of one output channel in the order in which engines that keep channels innermost read them.
struct WeightOrder {
  std::vector<int64_t> offsets;  // from the channel's first weight
  int64_t row = 0;               // of so many weights each; products of different rows are never added in 16 bits
};

// A weight [outputs, inputs, taps…] (axis 0) or a matrix [inputs, outputs] (axis 1). Empty for others, and
// where an output reads one input alone.
WeightOrder weight_order(std::span<const int64_t> dims, int axis);

// Rounds one output channel to integers of −127 to 127 whose products with inputs of 0 to 255 can be added in 16 bits, two steps
// of four inputs at once (vpmaddubsw twice, vpaddw): in every eight inputs of a row, weights 0, 1, 4, 5 of one sign add up to at most 128, and
// so do 2, 3, 6, 7. CPUs without VNNI then widen half as often, and runtimes that saturate there do not. `scale` grows to about four
// times what it was at most. Of the steps tried, and of the weights in its groups, those of least squared error are taken, and of the
// scales the one that fits the integers best: weights that gave up steps would else make the channel quieter.
void round_to_small_sums(std::span<const float> weights, const WeightOrder& order, float& scale, std::span<int32_t> levels);

}  // namespace pare
