// Operators that take elements by index, and what their reverse, scatter.cpp, does not share.
#include <cstring>

#include "graph/ops/links_of.h"

namespace pare {
namespace {

void infer_gather(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape *x = in.shape(0), *at = in.shape(1);
  if (x == nullptr || at == nullptr) return;
  const auto axis = normal_axis(in.node().integer("axis", 0), int64_t(x->size()), in.node().where());
  Shape out(x->begin(), x->begin() + axis);
  out.insert(out.end(), at->begin(), at->end());
  out.insert(out.end(), x->begin() + axis + 1, x->end());
  in.set(0, in.type(0), out);
}
void forward_gather(Forward& f) {
  const Array& x = f.in(0);
  const int64_t axis = normal_axis(f.node.integer("axis", 0), x.rank(), f.node.where());
  Dims out(x.dims().begin(), x.dims().begin() + axis);
  out.insert(out.end(), f.in(1).dims().begin(), f.in(1).dims().end());
  out.insert(out.end(), x.dims().begin() + axis + 1, x.dims().end());
  Array y(x.type(), out);
  const Lines lines = lines_of(x.dims(), axis);
  const size_t bytes = size_t(lines.inner) * element_size(f.node, x);
  const std::vector<int64_t> indices = f.in(1).to_integers();
  std::byte* to = y.mutable_bytes();
  for (int64_t o = 0; o < lines.outer; ++o)
    for (int64_t index : indices) {
      std::memcpy(to, x.bytes() + size_t(o * lines.extent + checked_index(index, lines.extent, f.node.where())) * bytes, bytes);
      to += bytes;
    }
  f.outputs[0] = y;
}

// y[i, j, …] = x[i, index[i, j, …], …]: the index replaces the place along `axis`.
void infer_gather_elements(Inference& in) {
  in.set_type(0, in.type(0));
  if (const Shape* at = in.shape(1)) in.set(0, in.type(0), *at);
}
void forward_gather_elements(Forward& f) {
  const Array &x = f.in(0), &at = f.in(1);
  const auto axis = size_t(normal_axis(f.node.integer("axis", 0), x.rank(), f.node.where()));
  if (at.rank() != x.rank()) throw Error(f.node.where(), "indices " + dims_text(at.dims()) + " do not have the rank of " + dims_text(x.dims()));
  for (size_t i = 0; i < x.dims().size(); ++i)
    if (i != axis && at.dims()[i] > x.dims()[i]) throw Error(f.node.where(), "indices " + dims_text(at.dims()) + " reach beyond " + dims_text(x.dims()));
  Dims strides = strides_of(x.dims());
  const int64_t step = strides[axis];
  strides[axis] = 0;
  const std::vector<int64_t> indices = at.to_integers();
  const size_t size = element_size(f.node, x);
  Array y(x.type(), at.dims());
  std::byte* to = y.mutable_bytes();
  for_each_index(at.dims(), strides, [&](int64_t i, int64_t offset) {
    const int64_t place = offset + checked_index(indices[size_t(i)], x.dims()[axis], f.node.where()) * step;
    std::memcpy(to + size_t(i) * size, x.bytes() + size_t(place) * size, size);
  });
  f.outputs[0] = y;
}

void infer_gather_nd(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape *x = in.shape(0), *at = in.shape(1);
  const int64_t batch = in.node().integer("batch_dims", 0);
  if (x == nullptr || at == nullptr || at->empty() || !at->back().known()) return;
  const int64_t depth = at->back().value;
  if (batch < 0 || batch >= int64_t(at->size()) || batch > int64_t(x->size()) || depth > int64_t(x->size()) - batch)
    in.fail("indices " + shape_text(*at) + " do not fit " + shape_text(*x) + " with " + std::to_string(batch) + " batch axes");
  Shape out(at->begin(), at->end() - 1);
  out.insert(out.end(), x->begin() + batch + depth, x->end());
  in.set(0, in.type(0), out);
}
// The last axis of the indices holds tuples, each of which names a slice of x (of this batch's part of x).
void forward_gather_nd(Forward& f) {
  const Array &x = f.in(0), &at = f.in(1);
  const int64_t batch = f.node.integer("batch_dims", 0), rank = x.rank(), depth = at.rank() > 0 ? at.dim(-1) : 0;
  if (at.rank() < 1 || batch < 0 || batch >= at.rank() || batch > rank || depth > rank - batch)
    throw Error(f.node.where(), "indices " + dims_text(at.dims()) + " do not fit " + dims_text(x.dims()) + " with " + std::to_string(batch) + " batch axes");
  int64_t batches = 1;
  for (int i = 0; i < batch; ++i) {
    if (x.dim(i) != at.dim(i)) throw Error(f.node.where(), "batches of " + dims_text(at.dims()) + " and " + dims_text(x.dims()) + " differ");
    batches *= x.dim(i);
  }
  Dims out(at.dims().begin(), at.dims().end() - 1);
  out.insert(out.end(), x.dims().begin() + batch + depth, x.dims().end());
  Array y(x.type(), out);
  const Dims strides = strides_of(x.dims());
  const size_t size = element_size(f.node, x);
  const int64_t tuples = count_of({at.dims().begin(), at.dims().end() - 1}), slice = count_of({x.dims().begin() + batch + depth, x.dims().end()});
  const std::vector<int64_t> indices = at.to_integers();
  std::byte* to = y.mutable_bytes();
  for (int64_t t = 0; t < tuples; ++t) {
    int64_t place = t / (tuples / batches) * (x.count() / batches);
    for (int64_t k = 0; k < depth; ++k)
      place += checked_index(indices[size_t(t * depth + k)], x.dim(int(batch + k)), f.node.where()) * strides[size_t(batch + k)];
    std::memcpy(to + size_t(t * slice) * size, x.bytes() + size_t(place) * size, size_t(slice) * size);
  }
  f.outputs[0] = y;
}

void infer_compress(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  if (!in.node().has("axis")) return in.set(0, in.type(0), {Dim{}});
  if (x == nullptr) return;
  Shape out = *x;
  out[size_t(normal_axis(in.node().integer("axis", 0), int64_t(x->size()), in.node().where()))] = {};
  in.set(0, in.type(0), out);
}
// The entries along `axis` (of the elements, without it) whose condition holds; a short condition drops the rest.
void forward_compress(Forward& f) {
  const bool flat = !f.node.has("axis");
  const Array x = flat ? f.in(0).reshaped({f.in(0).count()}) : f.in(0);
  const int64_t axis = flat ? 0 : normal_axis(f.node.integer("axis", 0), x.rank(), f.node.where());
  const Lines lines = lines_of(x.dims(), axis);
  const std::vector<int64_t> condition = f.in(1).cast(Type::boolean).to_integers();
  std::vector<int64_t> kept;
  for (size_t i = 0; i < condition.size(); ++i)
    if (condition[i] != 0) kept.push_back(checked_index(int64_t(i), lines.extent, f.node.where()));
  Dims out = x.dims();
  out[size_t(axis)] = int64_t(kept.size());
  Array y(x.type(), out);
  const size_t bytes = size_t(lines.inner) * element_size(f.node, x);
  std::byte* to = y.mutable_bytes();
  for (int64_t o = 0; o < lines.outer; ++o)
    for (int64_t i : kept) {
      std::memcpy(to, x.bytes() + size_t(o * lines.extent + i) * bytes, bytes);
      to += bytes;
    }
  f.outputs[0] = y;
}

int64_t depth_of(const std::vector<int64_t>& depth, const std::string& where) {
  if (depth.size() != 1 || depth[0] < 0 || depth[0] > int64_t(1) << 40) throw Error(where, "depth must be one number, at least 0");
  return depth[0];
}
void infer_one_hot(Inference& in) {
  in.set_type(0, in.type(2));
  const Shape* at = in.shape(0);
  if (at == nullptr) return;
  const auto axis = normal_axis(in.node().integer("axis", -1), int64_t(at->size()) + 1, in.node().where());
  Shape out = *at;
  const Tensor* depth = in.constant(1);
  out.insert(out.begin() + axis, depth ? Dim{depth_of(depth->decode().to_integers(), in.node().where()), ""} : Dim{});
  in.set(0, in.type(2), out);
}
// A new axis that holds values[1] at the index and values[0] elsewhere; everywhere where the index is outside.
void forward_one_hot(Forward& f) {
  const int64_t depth = depth_of(f.in(1).to_integers(), f.node.where());
  const int64_t axis = normal_axis(f.node.integer("axis", -1), f.in(0).rank() + 1, f.node.where());
  check_count(f.node, f.in(2).count(), 2, "values");
  Dims out = f.in(0).dims();
  out.insert(out.begin() + axis, depth);
  Array y(f.in(2).type(), out);
  const size_t size = element_size(f.node, y);
  const Lines lines = lines_of(out, axis);
  const std::vector<int64_t> indices = f.in(0).to_integers();
  std::byte* to = y.mutable_bytes();
  for (int64_t i = 0; i < y.count(); ++i) {
    const int64_t index = indices[size_t(i / (depth * lines.inner) * lines.inner + i % lines.inner)];
    const bool on = (index < 0 ? index + depth : index) == i / lines.inner % depth;
    std::memcpy(to + size_t(i) * size, f.in(2).bytes() + (on ? size : 0), size);
  }
  f.outputs[0] = y;
}

}  // namespace

const Op op_gather{"Gather", "", 2, 2, 1, 1, infer_gather, forward_gather, nullptr, "entries by index, embeddings", 0, links_gather, narrow_gather};
const Op op_gather_elements{"GatherElements", "", 2, 2, 1, 1, infer_gather_elements, forward_gather_elements, nullptr, "elements by index along an axis"};
const Op op_gather_nd{"GatherND", "", 2, 2, 1, 1, infer_gather_nd, forward_gather_nd, nullptr, "slices by tuples of indices"};
const Op op_compress{"Compress", "", 2, 2, 1, 1, infer_compress, forward_compress, nullptr, "entries where a condition holds"};
const Op op_one_hot{"OneHot", "", 3, 3, 1, 1, infer_one_hot, forward_one_hot, nullptr, "an axis with one value at the index and another elsewhere"};

}  // namespace pare
