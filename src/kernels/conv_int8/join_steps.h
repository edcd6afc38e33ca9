#pragma once
#include "kernels/conv_int8/conv_int8.h"

namespace pare {

// For kernels that add products in 16 bits, where sums could saturate (vpmaddubsw): moves packed.weights to
// packed.joined and packed.wide. Of every block, as many steps as possible are joined whose products can be added in 16
// bits whatever the input, so that one widening (vpmaddwd) serves them all. `without_zeros` leaves out steps whose
// weights are all zero.
void join_steps(PackedConvInt8& packed, int lanes, bool without_zeros);

}  // namespace pare
