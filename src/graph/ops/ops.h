#pragma once
// What the operators' files share. Reference forwards compute 16-bit floats in f32 and round once at the end.
#include <algorithm>
#include <cmath>
#include <functional>

#include "base/float16.h"
#include "graph/op.h"

namespace pare {

#define OP(name) extern const Op op_##name;
#include "graph/ops/catalog.inc"
#undef OP

int64_t normal_axis(int64_t axis, int64_t rank, const std::string& where);  // negative counts from the end; throws Error
Dims broadcast(const Dims& a, const Dims& b, const std::string& where);     // numpy's rule; throws Error
Dims strides_of(const Dims& dims);                                          // elements, row major
// For each axis of `out`, the stride in an array of `dims` that is broadcast to it (0 where repeated).
Dims broadcast_strides(const Dims& dims, const Dims& out);
void check_fits(const Dims& dims, const Dims& out, const std::string& where);  // throws Error unless `dims` broadcasts to `out`
void check_count(const Node& node, int64_t found, int64_t wanted, const char* what);  // throws Error
double scalar_of(const Forward& forward, size_t i);                         // the one element of input i; throws Error
// Calls f(out_index, in_offset) for all elements of `out` in row-major order.
void for_each_index(const Dims& out, const Dims& strides, const std::function<void(int64_t, int64_t)>& f);

// Shapes with unknown extents.
std::optional<Shape> broadcast_shapes(const Shape* a, const Shape* b, const std::string& where);
void infer_same(Inference& inference);       // output 0 is like input 0
void infer_broadcast(Inference& inference);  // output 0 is the broadcast of all inputs, type of input 0

// Window arithmetic that convolution and pooling share, along the spatial axes.
struct Window {
  std::vector<int64_t> kernel, stride, dilation, pad_begin, pad_end;
  Dims out;  // spatial extents
};
// `in`: spatial extents. Reads kernel_shape (or `kernel`), strides, dilations, pads, auto_pad, ceil_mode.
Window window_of(const Node& node, const Dims& in, std::vector<int64_t> kernel = {});

// What a Slice takes along one axis: `extent` elements from `start` on, each `step` further.
struct Cut {
  int64_t start = 0, step = 1, extent = 0;
};
// One Cut per axis of `dims`, by ONNX's clamping rules for negative and overlong bounds.
std::vector<Cut> cuts_of(const Node& node, const Dims& dims, const std::vector<int64_t>& starts, const std::vector<int64_t>& ends,
                         std::vector<int64_t> axes, const std::vector<int64_t>& steps);

// f32 in and out for a float operator of any float type: casts inputs, runs, casts the result to the type of input 0.
Array float_in(const Forward& forward, size_t i);
void float_out(Forward& forward, size_t i, Array result);

}  // namespace pare
