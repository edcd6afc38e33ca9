#pragma once
// What packing has in common for all depthwise kernels.

#include "kernels/depthwise_int8/depthwise_int8.h"

namespace pare {

// Everything but weights and scratch: shape, zero point, bias with the zero point's share folded in, channels padded
// to a multiple of `lanes`.
PackedDepthwiseInt8 start_depthwise_int8_pack(const DepthwiseInt8Shape& shape, const DepthwiseInt8Weights& source,
                                              int lanes);

}  // namespace pare
