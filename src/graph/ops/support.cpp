#include "graph/ops/ops.h"

namespace pare {

int64_t normal_axis(int64_t axis, int64_t rank, const std::string& where) {
  if (axis < -rank || axis >= rank)
    throw Error(where, "axis " + std::to_string(axis) + " is outside a tensor of rank " + std::to_string(rank));
  return axis < 0 ? axis + rank : axis;
}

Dims broadcast(const Dims& a, const Dims& b, const std::string& where) {
  Dims out(std::max(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) {  // from the last axis backwards
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1, y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) throw Error(where, "shapes " + dims_text(a) + " and " + dims_text(b) + " cannot be broadcast");
    out[out.size() - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

Dims strides_of(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

Dims broadcast_strides(const Dims& dims, const Dims& out) {
  const Dims own = strides_of(dims);
  Dims strides(out.size(), 0);
  for (size_t i = 0; i < dims.size(); ++i) {
    const size_t o = out.size() - dims.size() + i;
    strides[o] = dims[i] == 1 ? 0 : own[i];
  }
  return strides;
}

void check_fits(const Dims& dims, const Dims& out, const std::string& where) {
  if (broadcast(dims, out, where) != out) throw Error(where, "shape " + dims_text(dims) + " cannot be broadcast to " + dims_text(out));
}

void check_count(const Node& node, int64_t found, int64_t wanted, const char* what) {
  if (found != wanted) throw Error(node.where(), "has " + std::to_string(found) + " " + what + ", expected " + std::to_string(wanted));
}

void check_rank(const Forward& forward, size_t i, int rank) {
  if (!forward.has(i)) throw Error(forward.node.where(), "input " + std::to_string(i) + " is left out, the operator needs it");
  if (forward.in(i).rank() != rank)
    throw Error(forward.node.where(), "input " + std::to_string(i) + " has shape " + dims_text(forward.in(i).dims()) + ", expected " + std::to_string(rank) + " axes");
}

void check_dims(const Forward& forward, size_t i, const Dims& dims) {
  check_rank(forward, i, int(dims.size()));
  for (size_t k = 0; k < dims.size(); ++k)
    if (dims[k] >= 0 && forward.in(i).dim(int(k)) != dims[k])
      throw Error(forward.node.where(), "input " + std::to_string(i) + " has shape " + dims_text(forward.in(i).dims()) + ", expected " + dims_text(dims));
}

double scalar_of(const Forward& forward, size_t i) {
  if (forward.in(i).count() != 1) throw Error(forward.node.where(), "input " + std::to_string(i) + " has shape " + dims_text(forward.in(i).dims()) + ", expected one element");
  return forward.in(i).cast(Type::f64).values<double>()[0];
}

void for_each_index(const Dims& out, const Dims& strides, const std::function<void(int64_t, int64_t)>& f) {
  const int64_t count = count_of(out);
  Dims at(out.size(), 0);
  int64_t offset = 0;
  for (int64_t i = 0; i < count; ++i) {
    f(i, offset);
    for (size_t axis = out.size(); axis-- > 0;) {
      offset += strides[axis];
      if (++at[axis] < out[axis]) break;
      offset -= strides[axis] * out[axis];
      at[axis] = 0;
    }
  }
}

// An extent beyond 64 bits is as good as unknown: what would compute it is refused when it runs.
Dim times(const Dim& dim, int64_t factor) {
  if (!dim.known()) return factor == 1 ? dim : Dim{};
  int64_t product = 0;
  return __builtin_mul_overflow(dim.value, factor, &product) ? Dim{} : Dim{product, ""};
}
Dim over(const Dim& dim, int64_t divisor) { return dim.known() && divisor > 0 ? Dim{dim.value / divisor, ""} : divisor == 1 ? dim : Dim{}; }
Dim plus(const Dim& a, const Dim& b) {
  int64_t sum = 0;
  if (a.known() && b.known()) return __builtin_add_overflow(a.value, b.value, &sum) ? Dim{} : Dim{sum, ""};
  return a.known() && a.value == 0 ? b : b.known() && b.value == 0 ? a : Dim{};
}

std::optional<Shape> broadcast_shapes(const Shape* a, const Shape* b, const std::string& where) {
  if (a == nullptr || b == nullptr) return std::nullopt;
  Shape out(std::max(a->size(), b->size()));
  for (size_t i = 0; i < out.size(); ++i) {
    const Dim one{1, ""};
    const Dim& x = i < a->size() ? (*a)[a->size() - 1 - i] : one;
    const Dim& y = i < b->size() ? (*b)[b->size() - 1 - i] : one;
    Dim& o = out[out.size() - 1 - i];
    if (x.known() && y.known() && x.value != y.value && x.value != 1 && y.value != 1)
      throw Error(where, "shapes " + shape_text(*a) + " and " + shape_text(*b) + " cannot be broadcast");
    if (x == y || y == one) o = x;
    else if (x == one) o = y;
    else if (x.known()) o = x;
    else if (y.known()) o = y;
  }
  return out;
}

void infer_same(Inference& inference) {
  inference.set_type(0, inference.type(0));
  if (const Shape* shape = inference.shape(0)) inference.set(0, inference.type(0), *shape);
}

void infer_broadcast(Inference& inference) {
  inference.set_type(0, inference.type(0));
  std::optional<Shape> shape;
  for (size_t i = 0; i < inference.inputs(); ++i) {
    const Shape* next = inference.shape(i);
    if (next == nullptr) return;
    shape = i == 0 ? std::optional(*next) : broadcast_shapes(&*shape, next, inference.node().where());
  }
  if (shape) inference.set(0, inference.type(0), *shape);
}

bool goes_in_phases(const Node& node) {
  const auto strides = node.integers("strides", {1, 1});
  return node.text("auto_pad", "NOTSET") == "NOTSET" && !node.has("output_shape") && strides.size() == 2 && strides[0] == strides[1] && strides[0] <= 8 &&
         node.integers("dilations", {1, 1}).size() == 2 && node.integers("pads", {0, 0, 0, 0}).size() == 4;
}

Window window_of(const Node& node, const Dims& in, std::vector<int64_t> kernel) {
  const size_t n = in.size();
  Window w;
  w.kernel = node.integers("kernel_shape", kernel);
  w.stride = node.integers("strides", std::vector<int64_t>(n, 1));
  w.dilation = node.integers("dilations", std::vector<int64_t>(n, 1));
  std::vector<int64_t> pads = node.integers("pads", std::vector<int64_t>(2 * n, 0));
  if (pads.empty()) pads.assign(2 * n, 0);
  if (w.kernel.size() != n || w.stride.size() != n || w.dilation.size() != n || pads.size() != 2 * n)
    throw Error(node.where(), "kernel, strides, dilations or pads do not fit " + std::to_string(n) + " spatial axes");
  for (const auto* values : {&w.kernel, &w.stride, &w.dilation, &pads})  // products of two stay far from overflow
    for (int64_t v : *values)
      if (v < -(int64_t(1) << 30) || v > int64_t(1) << 30) throw Error(node.where(), "has an absurdly large " + std::to_string(v) + " among kernel, strides, dilations and pads");
  w.pad_begin.assign(pads.begin(), pads.begin() + n);
  w.pad_end.assign(pads.begin() + n, pads.end());
  const std::string auto_pad = node.text("auto_pad", "NOTSET");
  const bool ceil_mode = node.integer("ceil_mode", 0) != 0;
  for (size_t i = 0; i < n; ++i) {
    if (w.kernel[i] < 1 || w.stride[i] < 1 || w.dilation[i] < 1)
      throw Error(node.where(), "kernel, strides and dilations must be at least 1");
    const int64_t span = (w.kernel[i] - 1) * w.dilation[i] + 1;
    if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
      const int64_t out = (in[i] + w.stride[i] - 1) / w.stride[i];
      const int64_t total = std::max<int64_t>(0, (out - 1) * w.stride[i] + span - in[i]);
      w.pad_begin[i] = auto_pad == "SAME_LOWER" ? (total + 1) / 2 : total / 2;
      w.pad_end[i] = total - w.pad_begin[i];
    } else if (auto_pad == "VALID") {
      w.pad_begin[i] = w.pad_end[i] = 0;
    }
    const int64_t room = in[i] + w.pad_begin[i] + w.pad_end[i] - span;
    if (room < 0) throw Error(node.where(), "the window is larger than its padded input " + dims_text(in));
    int64_t out = room / w.stride[i] + 1;
    // A window that ceil_mode adds must still start inside the input or its leading padding.
    if (ceil_mode && room % w.stride[i] != 0 && out * w.stride[i] < in[i] + w.pad_begin[i]) ++out;
    w.out.push_back(out);
  }
  return w;
}

Lines lines_of(const Dims& dims, int64_t axis) {
  Lines lines;
  for (size_t i = 0; i < dims.size(); ++i) (int64_t(i) < axis ? lines.outer : int64_t(i) == axis ? lines.extent : lines.inner) *= dims[i];
  return lines;
}

int64_t checked_index(int64_t index, int64_t extent, const std::string& where) {
  if (index < -extent || index >= extent) throw Error(where, "index " + std::to_string(index) + " is outside extent " + std::to_string(extent));
  return index < 0 ? index + extent : index;
}

size_t element_size(const Node& node, const Array& x) {
  if (type_bits(x.type()) % 8 != 0 || x.type() == Type::string)
    throw Error(node.where(), "elements of type " + std::string(type_text(x.type())) + " cannot be moved one by one");
  return size_t(type_bits(x.type()) / 8);
}

Array float_in(const Forward& forward, size_t i) { return forward.inputs.at(i).cast(Type::f32); }

void float_out(Forward& forward, size_t i, Array result) {
  forward.outputs[i] = is_float(forward.inputs[0].type()) ? result.cast(forward.inputs[0].type()) : result;
}

}  // namespace pare
