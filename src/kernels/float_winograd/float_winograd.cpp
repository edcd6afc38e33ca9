#include "kernels/float_winograd/float_winograd.h"

#include <algorithm>

#include "kernels/choose_kernel.h"

#define PARE_KERNEL_TYPE WinogradKernel
#define PARE_KERNELS winograd_kernels
#define PARE_KERNEL_ROWS "kernels/float_winograd/kernels.inc"
#include "kernels/rows.inc"

namespace pare {
namespace {

// Lavin & Gray 2016, section 4: rows are the points 0, ±1 (, ±2), ∞.
constexpr double kOfTwo[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
constexpr double kOfFour[6][3] = {{1.0 / 4, 0, 0}, {-1.0 / 6, -1.0 / 6, -1.0 / 6}, {-1.0 / 6, 1.0 / 6, -1.0 / 6}, {1.0 / 24, 1.0 / 12, 1.0 / 6}, {1.0 / 24, -1.0 / 12, 1.0 / 6}, {0, 0, 1}};

}  // namespace

std::vector<const WinogradKernel*> best_winograd_kernels() {
  std::vector<const WinogradKernel*> best;
  for (const int tile : {4, 2})
    for (const WinogradKernel& kernel : winograd_kernels())
      if (kernel.tile == tile && kernel.supported()) {
        best.push_back(&kernel);
        break;
      }
  return best;
}

std::vector<float> winograd_weights(const WinogradKernel& kernel, const float* w, int64_t outputs, int64_t inputs) {
  const int64_t side = kernel.tile + 2;
  const double(*g)[3] = kernel.tile == 2 ? kOfTwo : kOfFour;
  const auto combined = [](const double* factors, double a, double b, double c) { return factors[0] * a + factors[1] * b + factors[2] * c; };
  std::vector<float> points(size_t(side * side * inputs * outputs));
  constexpr int64_t kLine = 16;  // outputs at once: points lie pages apart, a line of each is written whole
  float lines[36][kLine];
  for (int64_t c = 0; c < inputs; ++c)
    for (int64_t first = 0; first < outputs; first += kLine) {
      const int64_t count = std::min(kLine, outputs - first);
      for (int64_t o = 0; o < count; ++o) {
        const float* taps = w + ((first + o) * inputs + c) * 9;
        for (int64_t i = 0; i < side; ++i) {  // one axis, then the other
          double row[3];
          for (int kx = 0; kx < 3; ++kx) row[kx] = combined(g[i], double(taps[kx]), double(taps[3 + kx]), double(taps[6 + kx]));
          for (int64_t j = 0; j < side; ++j) lines[i * side + j][o] = float(combined(g[j], row[0], row[1], row[2]));
        }
      }
      for (int64_t p = 0; p < side * side; ++p) std::copy_n(lines[p], count, points.data() + (p * inputs + c) * outputs + first);
    }
  return points;
}

}  // namespace pare
