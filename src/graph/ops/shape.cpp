#include "graph/ops/links_of.h"

namespace pare {
namespace {

void infer_shape(Inference& in) {
  in.set_type(0, Type::i64);
  const Shape* x = in.shape(0);
  if (x == nullptr) return;
  const int64_t rank = int64_t(x->size());
  auto clamp = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank); };
  const int64_t first = clamp(in.node().integer("start", 0)), last = std::max(first, clamp(in.node().integer("end", rank)));
  in.set(0, Type::i64, {{last - first, ""}});
  if (const auto dims = known_dims({x->begin() + first, x->begin() + last})) in.set_constant(0, Array::of<int64_t>({last - first}, *dims));
}
void forward_shape(Forward& f) {
  const int64_t rank = f.in(0).rank();
  auto clamp = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank); };
  const int64_t first = clamp(f.node.integer("start", 0)), last = std::max(first, clamp(f.node.integer("end", rank)));
  const Dims& dims = f.in(0).dims();
  f.outputs[0] = Array::of<int64_t>({last - first}, {dims.begin() + first, dims.begin() + last});
}

void infer_size(Inference& in) {
  in.set(0, Type::i64, {});
  if (const auto x = in.dims(0)) in.set_constant(0, Array::scalar<int64_t>(count_of(*x)));
}
void forward_size(Forward& f) { f.outputs[0] = Array::scalar<int64_t>(f.in(0).count()); }

// 0 copies an extent (unless allowzero), one -1 takes what is left.
Dims reshaped(const Node& node, const Dims& from, Dims wanted) {
  int64_t known = 1, open = -1;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == 0 && node.integer("allowzero", 0) == 0) {
      if (i >= from.size()) throw Error(node.where(), "copies extent " + std::to_string(i) + " of a tensor of rank " + std::to_string(from.size()));
      wanted[i] = from[i];
    }
    if (wanted[i] == -1) {
      if (open >= 0) throw Error(node.where(), "more than one extent is -1");
      open = int64_t(i);
    } else {
      known = count_of({known, wanted[i]}, node.where());
    }
  }
  const int64_t count = count_of(from);
  if (open >= 0 && known > 0) wanted[size_t(open)] = count / known;
  else if (open >= 0) wanted[size_t(open)] = 0;
  if (count_of(wanted, node.where()) != count)
    throw Error(node.where(), "cannot turn " + dims_text(from) + " into " + dims_text(wanted), "the model may hold a fixed batch size in its reshapes: use that batch size");
  return wanted;
}

void infer_reshape(Inference& in) {
  in.set_type(0, in.type(0));
  const auto wanted = in.integers(1);
  if (!wanted) {
    if (const auto n = in.dims(1); n && n->size() == 1) in.set(0, in.type(0), Shape(size_t((*n)[0])));
    return;
  }
  if (const auto x = in.dims(0)) return in.set(0, in.type(0), shape_of(reshaped(in.node(), *x, *wanted)));
  const Shape* x = in.shape(0);
  const bool zero = in.node().integer("allowzero", 0) != 0;
  Shape out;
  for (size_t i = 0; i < wanted->size(); ++i) {
    const int64_t extent = (*wanted)[i];
    if (extent > 0 || (extent == 0 && zero)) out.push_back({extent, ""});
    else if (extent == 0 && x && i < x->size()) out.push_back((*x)[i]);
    else out.push_back({});
  }
  in.set(0, in.type(0), out);
}
void forward_reshape(Forward& f) { f.outputs[0] = f.in(0).reshaped(reshaped(f.node, f.in(0).dims(), f.in(1).to_integers())); }

// Between 0 and the rank, which puts all axes before it.
int64_t flatten_axis(const Node& node, int64_t rank) {
  const int64_t axis = node.integer("axis", 1);
  return axis == rank ? rank : normal_axis(axis, rank, node.where());
}
void infer_flatten(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  if (x == nullptr) return;
  const int64_t axis = flatten_axis(in.node(), int64_t(x->size()));
  Shape out(2, Dim{1, ""});
  for (size_t i = 0; i < x->size(); ++i) {
    Dim& side = out[int64_t(i) >= axis];
    const bool one = side.known() && side.value == 1;
    if (one) side = (*x)[i];
    else if (side.known() && (*x)[i].known()) side.value *= (*x)[i].value;
    else if (!((*x)[i].known() && (*x)[i].value == 1)) side = {};
  }
  in.set(0, in.type(0), out);
}
void forward_flatten(Forward& f) {
  const int64_t axis = flatten_axis(f.node, f.in(0).rank());
  Dims out{1, 1};
  for (int i = 0; i < f.in(0).rank(); ++i) out[i >= axis] *= f.in(0).dim(i);
  f.outputs[0] = f.in(0).reshaped(out);
}

void infer_squeeze(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  if (x == nullptr) return;
  std::vector<int64_t> axes = in.node().integers("axes");
  if (in.has(1)) {
    if (!in.integers(1)) return;
    axes = *in.integers(1);
  }
  for (int64_t& axis : axes) axis = normal_axis(axis, int64_t(x->size()), in.node().where());
  Shape out;
  for (size_t i = 0; i < x->size(); ++i) {
    const bool named = std::find(axes.begin(), axes.end(), int64_t(i)) != axes.end();
    if (axes.empty() && !(*x)[i].known()) return;
    if (!(named || (axes.empty() && (*x)[i].value == 1))) out.push_back((*x)[i]);
  }
  in.set(0, in.type(0), out);
}
void forward_squeeze(Forward& f) {
  std::vector<int64_t> axes = f.has(1) ? f.in(1).to_integers() : f.node.integers("axes");
  for (int64_t& axis : axes) axis = normal_axis(axis, f.in(0).rank(), f.node.where());
  Dims out;
  for (int i = 0; i < f.in(0).rank(); ++i) {
    const bool named = std::find(axes.begin(), axes.end(), int64_t(i)) != axes.end();
    if (named && f.in(0).dim(i) != 1) throw Error(f.node.where(), "squeezes axis " + std::to_string(i) + " of extent " + std::to_string(f.in(0).dim(i)));
    if (!(named || (axes.empty() && f.in(0).dim(i) == 1))) out.push_back(f.in(0).dim(i));
  }
  f.outputs[0] = f.in(0).reshaped(out);
}

template <class T>
std::vector<T> unsqueezed(const Node& node, const std::vector<T>& from, std::vector<int64_t> axes, T one) {
  const int64_t rank = int64_t(from.size() + axes.size());
  for (int64_t& axis : axes) axis = normal_axis(axis, rank, node.where());
  std::vector<T> out;
  size_t next = 0;
  for (int64_t i = 0; i < rank; ++i) {
    const bool added = std::find(axes.begin(), axes.end(), i) != axes.end();
    if (!added && next >= from.size()) throw Error(node.where(), "names an axis twice");
    out.push_back(added ? one : from[next++]);
  }
  return out;
}
void infer_unsqueeze(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  std::vector<int64_t> axes = in.node().integers("axes");
  if (in.has(1)) {
    if (!in.integers(1)) return;
    axes = *in.integers(1);
  }
  if (x != nullptr) in.set(0, in.type(0), unsqueezed<Dim>(in.node(), *x, axes, Dim{1, ""}));
}
void forward_unsqueeze(Forward& f) {
  const std::vector<int64_t> axes = f.has(1) ? f.in(1).to_integers() : f.node.integers("axes");
  f.outputs[0] = f.in(0).reshaped(unsqueezed<int64_t>(f.node, f.in(0).dims(), axes, 1));
}

Array fill_value(const Node& node) {
  const TensorPtr value = node.get<TensorPtr>("value", nullptr);
  const Array array = value ? value->decode() : Array::of<float>({1}, {0.f});
  if (array.count() != 1 || array.type() == Type::string || type_bits(array.type()) % 8 != 0)
    throw Error(node.where(), "cannot fill with a value of type " + std::string(type_text(array.type())) + " and shape " + dims_text(array.dims()));
  return array;
}
void infer_constant_of_shape(Inference& in) {
  const Type type = fill_value(in.node()).type();
  in.set_type(0, type);
  if (const auto dims = in.integers(0)) in.set(0, type, shape_of(*dims));
}
void forward_constant_of_shape(Forward& f) {
  const Array value = fill_value(f.node);
  Array y(value.type(), f.in(0).to_integers());
  const size_t size = value.size_bytes();
  std::byte* to = y.mutable_bytes();
  for (int64_t i = 0; i < y.count(); ++i) std::copy_n(value.bytes(), size, to + size_t(i) * size);
  f.outputs[0] = y;
}

int64_t range_length(const Forward& f) {
  const double length = std::ceil((scalar_of(f, 1) - scalar_of(f, 0)) / scalar_of(f, 2));
  if (!(std::abs(length) < 1e9)) throw Error(f.node.where(), "would make an absurdly long range");
  return std::max<int64_t>(0, int64_t(length));
}
void infer_range(Inference& in) {
  const Tensor *start = in.constant(0), *limit = in.constant(1), *delta = in.constant(2);
  if (!start || !limit || !delta) return in.set(0, in.type(0), {Dim{}});
  const Forward forward{in.node(), in.opset(), {start->decode(), limit->decode(), delta->decode()}, {}};
  in.set(0, in.type(0), {{range_length(forward), ""}});
}
void forward_range(Forward& f) {
  const double start = scalar_of(f, 0), delta = scalar_of(f, 2);
  Array y(Type::f64, {range_length(f)});
  auto ys = y.mutable_values<double>();
  for (size_t i = 0; i < ys.size(); ++i) ys[i] = start + double(i) * delta;
  f.outputs[0] = y.cast(f.in(0).type());
}

}  // namespace

const Op op_shape{"Shape", "", 1, 1, 1, 1, infer_shape, forward_shape, nullptr, "the extents of a tensor"};
const Op op_size{"Size", "", 1, 1, 1, 1, infer_size, forward_size, nullptr, "the number of elements"};
const Op op_reshape{"Reshape", "", 2, 2, 1, 1, infer_reshape, forward_reshape, nullptr, "the same elements under other extents", -1, links_reshape, narrow_reshape};
const Op op_flatten{"Flatten", "", 1, 1, 1, 1, infer_flatten, forward_flatten, nullptr, "a matrix of the axes before and after one", -1, links_reshape};
const Op op_squeeze{"Squeeze", "", 1, 2, 1, 1, infer_squeeze, forward_squeeze, nullptr, "drops axes of extent 1", -1, links_reshape};
const Op op_unsqueeze{"Unsqueeze", "", 1, 2, 1, 1, infer_unsqueeze, forward_unsqueeze, nullptr, "adds axes of extent 1", -1, links_reshape};
const Op op_constant_of_shape{"ConstantOfShape", "", 1, 1, 1, 1, infer_constant_of_shape, forward_constant_of_shape, nullptr, "a tensor of one value"};
const Op op_range{"Range", "", 3, 3, 1, 1, infer_range, forward_range, nullptr, "numbers from start to limit"};

}  // namespace pare
