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
void check_rank(const Forward& forward, size_t i, int rank);                // of input i; throws Error
void check_dims(const Forward& forward, size_t i, const Dims& dims);        // of input i, -1 for any extent; throws Error
double scalar_of(const Forward& forward, size_t i);                         // the one element of input i; throws Error
// Calls f(out_index, in_offset) for all elements of `out` in row-major order.
void for_each_index(const Dims& out, const Dims& strides, const std::function<void(int64_t, int64_t)>& f);

// Shapes with unknown extents.
Dim times(const Dim& dim, int64_t factor);
Dim over(const Dim& dim, int64_t divisor);
Dim plus(const Dim& a, const Dim& b);
std::optional<Shape> broadcast_shapes(const Shape* a, const Shape* b, const std::string& where);
void infer_same(Inference& inference);       // output 0 is like input 0
void infer_broadcast(Inference& inference);  // output 0 is the broadcast of all inputs, type of input 0

// Channels that DepthToSpace takes lie [groups][row in a block][column][channels / groups]: DCR has one group, CRD one for each of its result's
// channels, and the engine writes others into this attribute.
constexpr const char* kDepthGroups = "pare.groups";
int64_t depth_groups(const Node& node, int64_t channels);

// Window arithmetic that convolution and pooling share, along the spatial axes.
struct Window {
  std::vector<int64_t> kernel, stride, dilation, pad_begin, pad_end;
  Dims out;  // spatial extents
};
// `in`: spatial extents. Reads kernel_shape (or `kernel`), strides, dilations, pads, auto_pad, ceil_mode.
Window window_of(const Node& node, const Dims& in, std::vector<int64_t> kernel = {});

// Whether a transposed convolution over two axes is a convolution for each phase of its stride, as the engine writes it: one stride of at
// most 8, explicit pads.
bool goes_in_phases(const Node& node);

// What a Slice takes along one axis: `extent` elements from `start` on, each `step` further.
struct Cut {
  int64_t start = 0, step = 1, extent = 0;
};
// One Cut per axis of `dims`, by ONNX's clamping rules for negative and overlong bounds.
std::vector<Cut> cuts_of(const Node& node, const Dims& dims, const std::vector<int64_t>& starts, const std::vector<int64_t>& ends,
                         std::vector<int64_t> axes, const std::vector<int64_t>& steps);
// Convolution over any number of spatial axes, attributes as of Conv: x (f32) n x c x spatial, w (f32) m x c/group x kernel,
// `bias` m or none; the sums are float64: y[n,m,o…] = b[m] + Σ w[m,c,k…] · x[n, g·C+c, o·stride + k·dilation − pad].
Array convolve(const Node& node, const Array& x, const Array& w, const std::vector<float>& bias);
void infer_convolution(Inference& inference, size_t weight, Type type);  // output 0, of input 0 and the weight's extents
// Matrix product of integers with numpy's broadcasting, sums in int64: a … x rows x inner, b … x inner x columns.
Array multiply_integers(const Node& node, const Array& a, const Array& b);
std::optional<Dims> product_dims(Inference& inference, size_t a, size_t b);  // of the inputs' product, where known

// y = f(x) element by element, computed in double and rounded once.
template <class F>
void map_real(Forward& f, F function) {
  Array y = f.in(0).cast(Type::f64);
  for (double& v : y.mutable_values<double>()) v = function(v);
  f.outputs[0] = y.cast(f.in(0).type());
}
// Calls f(span) with the elements of `x` in the widest type of their kind: double, int64_t or uint64_t.
template <class F>
void with_numbers(const Array& x, F f) {
  const Type wide = x.type() == Type::u64 ? Type::u64 : is_integer(x.type()) || x.type() == Type::boolean ? Type::i64 : Type::f64;
  const Array y = x.cast(wide);
  if (wide == Type::u64) f(y.values<uint64_t>());
  else if (wide == Type::i64) f(y.values<int64_t>());
  else f(y.values<double>());
}
// An order with NaN behind all numbers, as numpy sorts.
template <class T>
bool is_less(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a < b || (std::isnan(b) && !std::isnan(a));
  else return a < b;
}

// A tensor seen along one axis: element (o, i, n) stands at (o · extent + i) · inner + n.
struct Lines {
  int64_t outer = 1, extent = 1, inner = 1;
  int64_t start(int64_t line) const { return line / inner * extent * inner + line % inner; }  // of line 0 … outer · inner
};
Lines lines_of(const Dims& dims, int64_t axis);
// An index from -extent to extent - 1 made positive; throws Error.
int64_t checked_index(int64_t index, int64_t extent, const std::string& where);
// Bytes of an element; throws Error for strings and elements below 8 bits, which cannot be moved one by one.
size_t element_size(const Node& node, const Array& x);

// f32 in and out for a float operator of any float type: casts inputs, runs, casts the result to the type of input 0.
Array float_in(const Forward& forward, size_t i);
void float_out(Forward& forward, size_t i, Array result);

}  // namespace pare
