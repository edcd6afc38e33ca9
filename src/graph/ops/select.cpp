// Operators that choose elements by their size or compare them with each other.
#include <cstring>
#include <map>
#include <numeric>

#include "graph/ops/ops.h"

namespace pare {
namespace {

void infer_arg(Inference& in) {
  in.set_type(0, Type::i64);
  const Shape* x = in.shape(0);
  if (x == nullptr) return;
  if (x->empty()) in.fail("takes no scalar");
  const auto axis = size_t(normal_axis(in.node().integer("axis", 0), int64_t(x->size()), in.node().where()));
  Shape out = *x;
  if (in.node().integer("keepdims", 1) != 0) out[axis] = {1, ""};
  else out.erase(out.begin() + long(axis));
  in.set(0, Type::i64, out);
}

void arg(Forward& f, bool largest) {
  const Array& x = f.in(0);
  const int64_t axis = normal_axis(f.node.integer("axis", 0), x.rank(), f.node.where());
  const bool last = f.node.integer("select_last_index", 0) != 0;
  const Lines lines = lines_of(x.dims(), axis);
  if (lines.extent == 0) throw Error(f.node.where(), "has nothing to choose from in " + dims_text(x.dims()));
  Dims dims = x.dims();
  if (f.node.integer("keepdims", 1) != 0) dims[size_t(axis)] = 1;
  else dims.erase(dims.begin() + axis);
  Array y(Type::i64, dims);
  auto ys = y.mutable_values<int64_t>();
  with_numbers(x, [&](auto xs) {
    for (size_t line = 0; line < ys.size(); ++line) {
      const auto* p = xs.data() + lines.start(int64_t(line));
      for (int64_t i = 1; i < lines.extent; ++i) {
        const auto best = p[ys[line] * lines.inner], next = p[i * lines.inner];
        if ((largest ? next > best : next < best) || (last && next == best)) ys[line] = i;
      }
    }
  });
  f.outputs[0] = y;
}
void forward_argmax(Forward& f) { arg(f, true); }
void forward_argmin(Forward& f) { arg(f, false); }

void infer_top_k(Inference& in) {
  in.set_type(0, in.type(0));
  in.set_type(1, Type::i64);
  const Shape* x = in.shape(0);
  if (x == nullptr) return;
  Shape out = *x;
  const auto k = in.integers(1);
  if (k && (k->size() != 1 || (*k)[0] < 0)) in.fail("takes one number of elements, at least 0");
  out[size_t(normal_axis(in.node().integer("axis", -1), int64_t(x->size()), in.node().where()))] = k ? Dim{(*k)[0], ""} : Dim{};
  in.set(0, in.type(0), out);
  in.set(1, Type::i64, out);
}
// Among equals the lower index comes first. `sorted` = 0 leaves the order open: it is sorted then too.
void forward_top_k(Forward& f) {
  const Array& x = f.in(0);
  const int64_t axis = normal_axis(f.node.integer("axis", -1), x.rank(), f.node.where());
  const Lines lines = lines_of(x.dims(), axis);
  check_count(f.node, f.in(1).count(), 1, "numbers of elements");
  const int64_t k = f.in(1).to_integers()[0];
  if (k < 0 || k > lines.extent) throw Error(f.node.where(), "takes " + std::to_string(k) + " of " + std::to_string(lines.extent) + " elements");
  const bool largest = f.node.integer("largest", 1) != 0;
  Dims dims = x.dims();
  dims[size_t(axis)] = k;
  Array values(x.type(), dims), indices(Type::i64, dims);
  const size_t size = element_size(f.node, x);
  std::byte* to = values.mutable_bytes();
  auto at = indices.mutable_values<int64_t>();
  std::vector<int64_t> order(size_t(lines.extent));
  with_numbers(x, [&](auto xs) {
    for (int64_t line = 0; line < lines.outer * lines.inner; ++line) {
      const int64_t start = lines.start(line), out = line / lines.inner * k * lines.inner + line % lines.inner;
      auto element = [&](int64_t i) { return xs[size_t(start + i * lines.inner)]; };
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return largest ? is_less(element(b), element(a)) : is_less(element(a), element(b)); });
      for (int64_t i = 0; i < k; ++i) {
        at[size_t(out + i * lines.inner)] = order[size_t(i)];
        std::memcpy(to + size_t(out + i * lines.inner) * size, x.bytes() + size_t(start + order[size_t(i)] * lines.inner) * size, size);
      }
    }
  });
  f.outputs[0] = values;
  if (f.outputs.size() > 1) f.outputs[1] = indices;
}

void infer_non_zero(Inference& in) {
  in.set_type(0, Type::i64);
  if (const Shape* x = in.shape(0)) in.set(0, Type::i64, {{int64_t(x->size()), ""}, {}});
}
// Extents rank x count: the indices of the elements that are not 0, in row-major order.
void forward_non_zero(Forward& f) {
  const Array x = f.in(0).cast(Type::boolean);
  const auto xs = x.values<bool>();
  const int64_t count = std::count(xs.begin(), xs.end(), true), rank = x.rank();
  const Dims strides = strides_of(x.dims());
  Array y(Type::i64, {rank, count});
  auto ys = y.mutable_values<int64_t>();
  int64_t found = 0;
  for (int64_t i = 0; i < x.count(); ++i) {
    if (!xs[size_t(i)]) continue;
    for (int64_t k = 0; k < rank; ++k) ys[size_t(k * count + found)] = i / strides[size_t(k)] % x.dim(int(k));
    ++found;
  }
  f.outputs[0] = y;
}

void infer_unique(Inference& in) {
  in.set_type(0, in.type(0));
  for (size_t i = 1; i < 4; ++i) in.set(i, Type::i64, {Dim{}});
  const Shape* x = in.shape(0);
  if (!in.node().has("axis")) return in.set(0, in.type(0), {Dim{}});
  if (x == nullptr) return;
  Shape out = *x;
  const auto axis = size_t(normal_axis(in.node().integer("axis", 0), int64_t(x->size()), in.node().where()));
  out[axis] = {};
  in.set(0, in.type(0), out);
  in.set(2, Type::i64, {(*x)[axis]});
}
// Slices along `axis` (elements, without it) that differ, in ascending or first-come order.
void forward_unique(Forward& f) {
  const bool flat = !f.node.has("axis");
  const Array x = flat ? f.in(0).reshaped({f.in(0).count()}) : f.in(0);
  const int64_t axis = flat ? 0 : normal_axis(f.node.integer("axis", 0), x.rank(), f.node.where());
  const Lines lines = lines_of(x.dims(), axis);
  std::vector<int64_t> first, inverse(size_t(lines.extent)), counts;
  with_numbers(x, [&](auto xs) {
    auto less = [&](int64_t a, int64_t b) {
      for (int64_t line = 0; line < lines.outer * lines.inner; ++line) {
        const auto u = xs[size_t(lines.start(line) + a * lines.inner)], v = xs[size_t(lines.start(line) + b * lines.inner)];
        if (is_less(u, v)) return true;
        if (is_less(v, u)) return false;
      }
      return false;
    };
    std::map<int64_t, int64_t, decltype(less)> seen(less);  // a slice's first place → which of the unique ones it is
    for (int64_t i = 0; i < lines.extent; ++i) {
      const auto [it, added] = seen.try_emplace(i, int64_t(first.size()));
      if (added) first.push_back(i), counts.push_back(0);
      inverse[size_t(i)] = it->second;
      ++counts[size_t(it->second)];
    }
    if (f.node.integer("sorted", 1) == 0) return;
    std::vector<int64_t> place(first.size()), sorted_first, sorted_counts;
    for (const auto& [at, which] : seen) {
      place[size_t(which)] = int64_t(sorted_first.size());
      sorted_first.push_back(at);
      sorted_counts.push_back(counts[size_t(which)]);
    }
    for (int64_t& i : inverse) i = place[size_t(i)];
    first = sorted_first;
    counts = sorted_counts;
  });
  const auto number = int64_t(first.size());
  Dims dims = x.dims();
  dims[size_t(axis)] = number;
  Array y(x.type(), dims);
  const size_t bytes = size_t(lines.inner) * element_size(f.node, x);
  std::byte* to = y.mutable_bytes();
  for (int64_t o = 0; o < lines.outer; ++o)
    for (int64_t i = 0; i < number; ++i)
      std::memcpy(to + size_t(o * number + i) * bytes, x.bytes() + size_t(o * lines.extent + first[size_t(i)]) * bytes, bytes);
  const Array results[] = {y, Array::of<int64_t>({number}, first), Array::of<int64_t>({lines.extent}, inverse), Array::of<int64_t>({number}, counts)};
  for (size_t i = 0; i < f.outputs.size() && i < 4; ++i) f.outputs[i] = results[i];
}

}  // namespace

const Op op_argmax{"ArgMax", "", 1, 1, 1, 1, infer_arg, forward_argmax, nullptr, "index of the largest element along an axis"};
const Op op_argmin{"ArgMin", "", 1, 1, 1, 1, infer_arg, forward_argmin, nullptr, "index of the smallest element along an axis"};
const Op op_top_k{"TopK", "", 2, 2, 1, 2, infer_top_k, forward_top_k, nullptr, "the k largest or smallest along an axis, and their indices"};
const Op op_non_zero{"NonZero", "", 1, 1, 1, 1, infer_non_zero, forward_non_zero, nullptr, "indices of the elements that are not 0"};
const Op op_unique{"Unique", "", 1, 1, 1, 4, infer_unique, forward_unique, nullptr, "elements or slices, each once"};

}  // namespace pare
