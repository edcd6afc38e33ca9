#include "graph/ops/links_of.h"

namespace pare {
namespace {

// Extents of numpy's matmul, with vectors as matrices: lead… x rows x inner x columns.
struct Product {
  Dims a, b, out, lead;
  int64_t rows, inner, columns;
};

Product product_of(Dims a, Dims b, const std::string& where) {
  if (a.empty() || b.empty()) throw Error(where, "a scalar cannot be a factor of a matrix product");
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  Product p;
  p.rows = a[a.size() - 2];
  p.inner = a.back();
  p.columns = b.back();
  if (b[b.size() - 2] != p.inner) throw Error(where, "matrices " + dims_text(a) + " and " + dims_text(b) + " do not fit");
  p.lead = broadcast({a.begin(), a.end() - 2}, {b.begin(), b.end() - 2}, where);
  p.out = p.lead;
  if (!row) p.out.push_back(p.rows);
  if (!column) p.out.push_back(p.columns);
  p.a = a;
  p.b = b;
  return p;
}

// out[l, i, j] = Σ_k a[l, i, k] b[l, k, j]
template <class T, class Sum>
void multiply(const Product& p, std::span<const T> a, std::span<const T> b, const std::function<void(int64_t, Sum)>& store) {
  const Dims a_lead(p.a.begin(), p.a.end() - 2), b_lead(p.b.begin(), p.b.end() - 2);
  const Dims a_strides = broadcast_strides(a_lead, p.lead);
  std::vector<int64_t> a_at, b_at;
  for_each_index(p.lead, a_strides, [&](int64_t, int64_t offset) { a_at.push_back(offset); });
  for_each_index(p.lead, broadcast_strides(b_lead, p.lead), [&](int64_t, int64_t offset) { b_at.push_back(offset); });
  for (size_t l = 0; l < a_at.size(); ++l)
    for (int64_t i = 0; i < p.rows; ++i)
      for (int64_t j = 0; j < p.columns; ++j) {
        Sum sum = 0;
        for (int64_t k = 0; k < p.inner; ++k)
          sum += Sum(a[size_t((a_at[l] * p.rows + i) * p.inner + k)]) * Sum(b[size_t((b_at[l] * p.inner + k) * p.columns + j)]);
        store((int64_t(l) * p.rows + i) * p.columns + j, sum);
      }
}

void infer_matmul(Inference& in) {
  const Type type = in.type(0);
  in.set_type(0, type);
  if (const auto a = in.dims(0), b = in.dims(1); a && b) {
    in.set(0, type, shape_of(product_of(*a, *b, in.node().where()).out));
  } else if (const Shape *x = in.shape(0), *y = in.shape(1); x && y && y->size() == 2 && x->size() >= 2) {
    Shape out = *x;
    out.back() = y->back();
    in.set(0, type, out);
  }
}

}  // namespace

std::optional<Dims> product_dims(Inference& in, size_t a, size_t b) {
  const auto x = in.dims(a), y = in.dims(b);
  if (!x || !y) return std::nullopt;
  return product_of(*x, *y, in.node().where()).out;
}

Array multiply_integers(const Node& node, const Array& a, const Array& b) {
  const Product p = product_of(a.dims(), b.dims(), node.where());
  Array y(Type::i64, p.out);
  auto ys = y.mutable_values<int64_t>();
  multiply<int64_t, int64_t>(p, a.values<int64_t>(), b.values<int64_t>(), [&](int64_t i, int64_t sum) { ys[size_t(i)] = sum; });
  return y;
}

namespace {

int64_t macs_matmul(const Node&, std::span<const Dims> in, std::span<const Dims> out) {
  return in[0].empty() ? 0 : count_of(out[0]) * in[0].back();
}

void forward_matmul(Forward& f) {
  const Product p = product_of(f.in(0).dims(), f.in(1).dims(), f.node.where());
  const Array a = float_in(f, 0), b = float_in(f, 1);
  Array y(Type::f32, p.out);
  auto ys = y.mutable_values<float>();
  multiply<float, double>(p, a.values<float>(), b.values<float>(), [&](int64_t i, double sum) { ys[size_t(i)] = float(sum); });
  float_out(f, 0, y);
}

struct GemmExtents {
  int64_t rows, inner, columns;
  bool trans_a, trans_b;
};

GemmExtents gemm_extents(const Node& node, const Dims& a, const Dims& b) {
  if (a.size() != 2 || b.size() != 2) throw Error(node.where(), "takes two matrices, found " + dims_text(a) + " and " + dims_text(b));
  GemmExtents g;
  g.trans_a = node.integer("transA", 0) != 0;
  g.trans_b = node.integer("transB", 0) != 0;
  g.rows = a[g.trans_a];
  g.inner = a[!g.trans_a];
  g.columns = b[!g.trans_b];
  if (b[g.trans_b] != g.inner) throw Error(node.where(), "matrices " + dims_text(a) + " and " + dims_text(b) + " do not fit");
  return g;
}

void infer_gemm(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* a = in.shape(0);
  const Shape* b = in.shape(1);
  if (a == nullptr || b == nullptr) return;
  if (const auto x = in.dims(0), y = in.dims(1); x && y) gemm_extents(in.node(), *x, *y);
  if (a->size() != 2 || b->size() != 2) in.fail("takes two matrices, found " + shape_text(*a) + " and " + shape_text(*b));
  in.set(0, in.type(0), {(*a)[in.node().integer("transA", 0) != 0], (*b)[in.node().integer("transB", 0) == 0]});
}

int64_t macs_gemm(const Node& node, std::span<const Dims> in, std::span<const Dims>) {
  const GemmExtents g = gemm_extents(node, in[0], in[1]);
  return g.rows * g.inner * g.columns;
}

void forward_gemm(Forward& f) {
  const GemmExtents g = gemm_extents(f.node, f.in(0).dims(), f.in(1).dims());
  const Array a = float_in(f, 0), b = float_in(f, 1);
  const auto as = a.values<float>(), bs = b.values<float>();
  const float alpha = f.node.real("alpha", 1), beta = f.node.real("beta", 1);
  Array y(Type::f32, {g.rows, g.columns});
  auto ys = y.mutable_values<float>();
  for (int64_t i = 0; i < g.rows; ++i)
    for (int64_t j = 0; j < g.columns; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < g.inner; ++k)
        sum += double(as[size_t(g.trans_a ? k * g.rows + i : i * g.inner + k)]) * bs[size_t(g.trans_b ? j * g.inner + k : k * g.columns + j)];
      ys[size_t(i * g.columns + j)] = float(alpha * sum);
    }
  if (f.has(2)) {
    const Array c = float_in(f, 2);
    check_fits(c.dims(), y.dims(), f.node.where());
    const auto cs = c.values<float>();
    for_each_index(y.dims(), broadcast_strides(c.dims(), y.dims()), [&](int64_t i, int64_t at) { ys[size_t(i)] += beta * cs[size_t(at)]; });
  }
  float_out(f, 0, y);
}

}  // namespace

const Op op_matmul{"MatMul", "", 2, 2, 1, 1, infer_matmul, forward_matmul, macs_matmul, "matrix product, numpy's broadcasting", 1, links_matmul};
const Op op_gemm{"Gemm", "", 2, 3, 1, 1, infer_gemm, forward_gemm, macs_gemm, "alpha·A·B + beta·C, a linear layer", 1, links_gemm};

}  // namespace pare
