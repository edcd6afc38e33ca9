#include "base/symmetric_eigen.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace pare {
namespace {

using Vector = std::vector<double>;

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

void add_scaled(double* to, double factor, const double* from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] += factor * from[i];
}

// The matrix as three diagonals, and the reflections that made it so: v of step k from element k + 1 on, scaled so that the
// reflection is 1 − v·vᵀ.
struct Tridiagonal {
  Vector diagonal, beside;         // beside[i] couples i and i + 1
  std::vector<Vector> reflections;
};

Tridiagonal reduce(Vector a, int64_t n) {
  Tridiagonal t{Vector(size_t(n)), Vector(size_t(n), 0.0), {}};
  Vector w(static_cast<size_t>(n));
  for (int64_t k = 0; k + 1 < n; ++k) {
    const int64_t m = n - k - 1;
    Vector v(a.begin() + k * n + k + 1, a.begin() + (k + 1) * n);   // row k behind the diagonal
    const double length = std::sqrt(dot(v.data(), v.data(), m)), rest = dot(v.data() + 1, v.data() + 1, m - 1);
    t.beside[size_t(k)] = v[0];
    if (rest > 0) {
      const double to = v[0] > 0 ? -length : length;
      t.beside[size_t(k)] = to;
      v[0] -= to;
      const double scale = std::sqrt(2 / (v[0] * v[0] + rest));
      for (double& x : v) x *= scale;
      double* block = a.data() + (k + 1) * n + k + 1;
      for (int64_t i = 0; i < m; ++i) w[size_t(i)] = dot(block + i * n, v.data(), m);
      add_scaled(w.data(), -0.5 * dot(w.data(), v.data(), m), v.data(), m);
      for (int64_t i = 0; i < m; ++i) {
        add_scaled(block + i * n, -v[size_t(i)], w.data(), m);
        add_scaled(block + i * n, -w[size_t(i)], v.data(), m);
      }
    } else {
      v.assign(size_t(m), 0.0);
    }
    t.reflections.push_back(std::move(v));
  }
  for (int64_t i = 0; i < n; ++i) t.diagonal[size_t(i)] = a[size_t(i * n + i)];
  return t;
}

// Rows of the product of all reflections, transposed: row i is what axis i of the three diagonals stands for.
Vector basis_of(const Tridiagonal& t, int64_t n) {
  Vector q(size_t(n * n), 0.0);
  for (int64_t i = 0; i < n; ++i) q[size_t(i * n + i)] = 1;
  for (int64_t k = int64_t(t.reflections.size()); k-- > 0;) {
    const Vector& v = t.reflections[size_t(k)];
    const int64_t m = int64_t(v.size());
    for (int64_t i = k + 1; i < n; ++i) {
      double* row = q.data() + i * n + k + 1;
      add_scaled(row, -dot(row, v.data(), m), v.data(), m);
    }
  }
  return q;
}

void rotate(double* a, double* b, double c, double s, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const double x = a[i], y = b[i];
    a[i] = c * x - s * y;
    b[i] = s * x + c * y;
  }
}

// Where the diagonals fall apart behind `first`: the coupling there is nothing beside its neighbours.
int64_t end_of_block(const Tridiagonal& t, int64_t first, int64_t n) {
  int64_t end = first;
  while (end + 1 < n && std::abs(t.beside[size_t(end)]) > 1e-15 * (std::abs(t.diagonal[size_t(end)]) + std::abs(t.diagonal[size_t(end + 1)]))) ++end;
  return end;
}

// One implicit step on elements first to end, from the end upwards.
void step(Tridiagonal& t, int64_t first, int64_t end, Vector& vectors, int64_t n) {
  Vector &d = t.diagonal, &e = t.beside;
  const auto at = [](int64_t i) { return size_t(i); };
  // The shift: the eigenvalue of the first two by two that is nearest to its corner.
  double g = (d[at(first + 1)] - d[at(first)]) / (2 * e[at(first)]), r = std::hypot(g, 1.0);
  g = d[at(end)] - d[at(first)] + e[at(first)] / (g + std::copysign(r, g));
  double s = 1, c = 1, p = 0;
  for (int64_t i = end - 1; i >= first; --i) {
    double f = s * e[at(i)];
    const double b = c * e[at(i)];
    r = std::hypot(f, g);
    e[at(i + 1)] = r;
    if (r == 0) {   // the block falls apart here
      d[at(i + 1)] -= p;
      e[at(end)] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = d[at(i + 1)] - p;
    r = (d[at(i)] - g) * s + 2 * c * b;
    p = s * r;
    d[at(i + 1)] = g + p;
    g = c * r - b;
    rotate(vectors.data() + i * n, vectors.data() + (i + 1) * n, c, s, n);
  }
  d[at(first)] -= p;
  e[at(first)] = g;
  e[at(end)] = 0;
}

}  // namespace

Eigen symmetric_eigen(std::vector<double> matrix, int64_t n) {
  Tridiagonal t = reduce(std::move(matrix), n);
  Vector vectors = basis_of(t, n);
  t.reflections.clear();
  for (int64_t first = 0; first < n; ++first) {
    int64_t end = end_of_block(t, first, n);
    for (int round = 0; round < 60 && end != first; ++round) {
      step(t, first, end, vectors, n);
      end = end_of_block(t, first, n);
    }
    PARE_CHECK(end == first);
  }
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t(0));
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return t.diagonal[size_t(a)] > t.diagonal[size_t(b)]; });
  Eigen eigen;
  for (const int64_t i : order) {
    eigen.values.push_back(t.diagonal[size_t(i)]);
    eigen.vectors.insert(eigen.vectors.end(), vectors.begin() + i * n, vectors.begin() + (i + 1) * n);
  }
  return eigen;
}

}  // namespace pare
