#include <cstring>

#include "graph/ops/ops.h"

namespace pare {
namespace {

// Where each element of the updates goes in the data.
using Places = std::vector<int64_t>;

template <class T>
T reduced(const std::string& how, T a, T b) {
  if (how == "max") return is_less(a, b) ? b : a;
  if (how == "min") return is_less(b, a) ? b : a;
  if constexpr (std::is_integral_v<T>) return how == "add" ? T(uint64_t(a) + uint64_t(b)) : T(uint64_t(a) * uint64_t(b));
  else return how == "add" ? a + b : a * b;
}

void scatter(Forward& f, const Places& places) {
  const std::string how = f.node.text("reduction", "none");
  if (how == "none") {
    Array y = f.in(0);
    const size_t size = element_size(f.node, y);
    if (places.empty()) { f.outputs[0] = y; return; }
    std::byte* to = y.mutable_bytes();
    for (size_t i = 0; i < places.size(); ++i) std::memcpy(to + size_t(places[i]) * size, f.in(2).bytes() + i * size, size);
    f.outputs[0] = y;
    return;
  }
  if (how != "add" && how != "mul" && how != "max" && how != "min") throw Error(f.node.where(), "reduction is '" + how + "', expected none, add, mul, max or min");
  with_numbers(f.in(2), [&]<class T>(std::span<const T> updates) {
    Array y = f.in(0).cast(TypeOf<T>::value);
    auto ys = y.mutable_values<T>();
    for (size_t i = 0; i < places.size(); ++i) ys[size_t(places[i])] = reduced<T>(how, ys[size_t(places[i])], updates[i]);
    f.outputs[0] = y.cast(f.in(0).type());
  });
}

void check_types(const Forward& f) {
  if (f.in(0).type() != f.in(2).type())
    throw Error(f.node.where(), "puts " + std::string(type_text(f.in(2).type())) + " into " + std::string(type_text(f.in(0).type())));
}

// y[i, index[i, j, …], …] = update[i, j, …]: the index replaces the place along `axis`.
void forward_scatter_elements(Forward& f) {
  const Array &x = f.in(0), &at = f.in(1);
  check_types(f);
  const auto axis = size_t(normal_axis(f.node.integer("axis", 0), x.rank(), f.node.where()));
  if (at.rank() != x.rank() || at.dims() != f.in(2).dims())
    throw Error(f.node.where(), "indices " + dims_text(at.dims()) + " and updates " + dims_text(f.in(2).dims()) + " do not fit " + dims_text(x.dims()));
  for (size_t i = 0; i < x.dims().size(); ++i)
    if (i != axis && at.dims()[i] > x.dims()[i]) throw Error(f.node.where(), "indices " + dims_text(at.dims()) + " reach beyond " + dims_text(x.dims()));
  Dims strides = strides_of(x.dims());
  const int64_t step = strides[axis];
  strides[axis] = 0;
  Places places = at.to_integers();
  for_each_index(at.dims(), strides, [&](int64_t i, int64_t offset) {
    places[size_t(i)] = offset + checked_index(places[size_t(i)], x.dims()[axis], f.node.where()) * step;
  });
  scatter(f, places);
}

// The last axis of the indices holds tuples, each of which names a slice of the data.
void forward_scatter_nd(Forward& f) {
  const Array &x = f.in(0), &at = f.in(1);
  check_types(f);
  const int64_t depth = at.rank() > 0 ? at.dim(-1) : 0;
  if (at.rank() < 1 || depth > x.rank()) throw Error(f.node.where(), "indices " + dims_text(at.dims()) + " do not fit " + dims_text(x.dims()));
  Dims wanted(at.dims().begin(), at.dims().end() - 1);
  const int64_t tuples = count_of(wanted), slice = count_of({x.dims().begin() + depth, x.dims().end()});
  wanted.insert(wanted.end(), x.dims().begin() + depth, x.dims().end());
  if (f.in(2).dims() != wanted) throw Error(f.node.where(), "updates have shape " + dims_text(f.in(2).dims()) + ", expected " + dims_text(wanted));
  const Dims strides = strides_of(x.dims());
  const std::vector<int64_t> indices = at.to_integers();
  Places places;
  for (int64_t t = 0; t < tuples; ++t) {
    int64_t start = 0;
    for (int64_t k = 0; k < depth; ++k) start += checked_index(indices[size_t(t * depth + k)], x.dim(int(k)), f.node.where()) * strides[size_t(k)];
    for (int64_t i = 0; i < slice; ++i) places.push_back(start + i);
  }
  scatter(f, places);
}

}  // namespace

const Op op_scatter_elements{"ScatterElements", "", 3, 3, 1, 1, infer_same, forward_scatter_elements, nullptr, "elements put at indices along an axis"};
const Op op_scatter_nd{"ScatterND", "", 3, 3, 1, 1, infer_same, forward_scatter_nd, nullptr, "slices put at tuples of indices"};

}  // namespace pare
