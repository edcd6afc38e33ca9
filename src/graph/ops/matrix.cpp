// Operators on square or triangular matrices, and running sums.
#include <cstring>

#include "graph/ops/ops.h"

namespace pare {
namespace {

void infer_det(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  if (x == nullptr) return;
  if (x->size() < 2 || ((*x)[x->size() - 1].known() && (*x)[x->size() - 2].known() && (*x)[x->size() - 1].value != (*x)[x->size() - 2].value))
    in.fail("takes square matrices, found " + shape_text(*x));
  in.set(0, in.type(0), {x->begin(), x->end() - 2});
}
// Elimination with the largest pivot of each column.
double determinant(std::vector<double> m, size_t n) {
  double product = 1;
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; ++i)
      if (std::abs(m[i * n + k]) > std::abs(m[pivot * n + k])) pivot = i;
    if (m[pivot * n + k] == 0) return 0;
    if (pivot != k) product = -product;
    for (size_t j = 0; j < n; ++j) std::swap(m[k * n + j], m[pivot * n + j]);
    product *= m[k * n + k];
    for (size_t i = k + 1; i < n; ++i) {
      const double factor = m[i * n + k] / m[k * n + k];
      for (size_t j = k; j < n; ++j) m[i * n + j] -= factor * m[k * n + j];
    }
  }
  return product;
}
void forward_det(Forward& f) {
  const Array x = f.in(0).cast(Type::f64);
  if (x.rank() < 2 || x.dim(-1) != x.dim(-2)) throw Error(f.node.where(), "takes square matrices, found " + dims_text(x.dims()));
  const auto n = size_t(x.dim(-1));
  Array y(Type::f64, {x.dims().begin(), x.dims().end() - 2});
  auto ys = y.mutable_values<double>();
  const auto xs = x.values<double>();
  for (size_t i = 0; i < ys.size(); ++i) ys[i] = determinant({xs.begin() + long(i * n * n), xs.begin() + long((i + 1) * n * n)}, n);
  f.outputs[0] = y.cast(f.in(0).type());
}

Type eye_type(const Node& node, Type of_input) {
  if (!node.has("dtype")) return of_input;
  const auto type = type_of_number(int(node.integer("dtype", 0)));
  if (!type) throw Error(node.where(), "dtype " + std::to_string(node.integer("dtype", 0)) + " is not known");
  return *type;
}
void infer_eye_like(Inference& in) {
  const Type type = eye_type(in.node(), in.type(0));
  in.set_type(0, type);
  if (const Shape* x = in.shape(0)) in.set(0, type, *x);
}
// Whether column j of row i lies on or above diagonal k.
bool above(int64_t i, int64_t j, int64_t k) { return j - i >= k; }
int64_t diagonal(int64_t k) { return std::clamp(k, -(int64_t(1) << 40), int64_t(1) << 40); }
void forward_eye_like(Forward& f) {
  if (f.in(0).rank() != 2) throw Error(f.node.where(), "takes a matrix, found " + dims_text(f.in(0).dims()));
  const int64_t k = diagonal(f.node.integer("k", 0)), columns = f.in(0).dim(1);
  Array y(Type::f64, f.in(0).dims());
  auto ys = y.mutable_values<double>();
  for (int64_t i = 0; i < y.count(); ++i) ys[size_t(i)] = i % columns - i / columns == k ? 1 : 0;
  f.outputs[0] = y.cast(eye_type(f.node, f.in(0).type()));
}

void forward_trilu(Forward& f) {
  if (f.in(0).rank() < 2) throw Error(f.node.where(), "takes matrices, found " + dims_text(f.in(0).dims()));
  if (f.has(1)) check_count(f.node, f.in(1).count(), 1, "diagonals");
  const int64_t k = f.has(1) ? diagonal(f.in(1).to_integers()[0]) : 0, rows = f.in(0).dim(-2), columns = f.in(0).dim(-1);
  const bool upper = f.node.integer("upper", 1) != 0;
  Array y = f.in(0);
  const size_t size = element_size(f.node, y);
  std::byte* to = y.mutable_bytes();
  for (int64_t i = 0; i < y.count(); ++i) {
    const int64_t row = i / columns % rows, column = i % columns;
    if (upper ? !above(row, column, k) : above(row, column, k + 1)) std::memset(to + size_t(i) * size, 0, size);
  }
  f.outputs[0] = y;
}

// y[i] = step(y[i - 1], x[i]) along an axis; `exclusive` leaves x[i] itself out, `reverse` starts from the end.
template <class Step>
void accumulate(Forward& f, int start, Step step) {
  check_count(f.node, f.in(1).count(), 1, "axes");
  const Lines lines = lines_of(f.in(0).dims(), normal_axis(f.in(1).to_integers()[0], f.in(0).rank(), f.node.where()));
  const bool exclusive = f.node.integer("exclusive", 0) != 0, reverse = f.node.integer("reverse", 0) != 0;
  with_numbers(f.in(0), [&]<class T>(std::span<const T> xs) {
    Array y(TypeOf<T>::value, f.in(0).dims());
    auto ys = y.template mutable_values<T>();
    for (int64_t line = 0; line < lines.outer * lines.inner; ++line) {
      T sum = T(start);
      for (int64_t i = 0; i < lines.extent; ++i) {
        const auto at = size_t(lines.start(line) + (reverse ? lines.extent - 1 - i : i) * lines.inner);
        const T next = step(sum, xs[at]);
        ys[at] = exclusive ? sum : next;
        sum = next;
      }
    }
    f.outputs[0] = y.cast(f.in(0).type());
  });
}
template <class T>
using Wide = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;  // where overflow is defined
void forward_cumulative_sum(Forward& f) { accumulate(f, 0, []<class T>(T a, T b) { return T(Wide<T>(a) + Wide<T>(b)); }); }
void forward_cumulative_product(Forward& f) { accumulate(f, 1, []<class T>(T a, T b) { return T(Wide<T>(a) * Wide<T>(b)); }); }

}  // namespace

const Op op_det{"Det", "", 1, 1, 1, 1, infer_det, forward_det, nullptr, "determinant of square matrices"};
const Op op_eye_like{"EyeLike", "", 1, 1, 1, 1, infer_eye_like, forward_eye_like, nullptr, "ones on a diagonal, zeros elsewhere"};
const Op op_trilu{"Trilu", "", 1, 2, 1, 1, infer_same, forward_trilu, nullptr, "the part of matrices above or below a diagonal"};
const Op op_cumulative_sum{"CumSum", "", 2, 2, 1, 1, infer_same, forward_cumulative_sum, nullptr, "running sum along an axis"};
const Op op_cumulative_product{"CumProd", "", 2, 2, 1, 1, infer_same, forward_cumulative_product, nullptr, "running product along an axis"};

}  // namespace pare
