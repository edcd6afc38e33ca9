#include "passes/statistics/activation.h"

#include <algorithm>
#include <cmath>

namespace pare {

void ActivationStatistics::see(const Array& array) {
  histogram_.see(array);
  const int axis = channel_axis_ < 0 ? channel_axis_ + array.rank() : channel_axis_;
  if (axis < 0 || axis >= array.rank() || array.count() == 0) return;
  const auto channels = size_t(array.dim(axis));
  if (!sums_.empty() && sums_.size() != channels) return;
  sums_.resize(channels, 0);
  squares_.resize(channels, 0);
  magnitudes_.resize(channels, 0);
  size_t inner = 1;
  for (int i = axis + 1; i < array.rank(); ++i) inner *= size_t(array.dim(i));
  const Array floats = array.cast(Type::f32);
  const float* at = floats.values<float>().data();
  const size_t outer = size_t(array.count()) / channels / inner;
  for (size_t o = 0; o < outer; ++o)
    for (size_t c = 0; c < channels; ++c, at += inner) {
      // Short runs in float, so that the compiler can use vectors, gathered in double.
      for (size_t first = 0; first < inner; first += 1024) {
        float sum = 0, square = 0, most = 0;
        for (size_t i = first; i < std::min(inner, first + 1024); ++i) {
          sum += at[i];
          square += at[i] * at[i];
          most = std::max(most, std::abs(at[i]));
        }
        if (!std::isfinite(square)) continue;
        sums_[c] += sum;
        squares_[c] += square;
        magnitudes_[c] = std::max(magnitudes_[c], double(most));
      }
    }
  count_ += double(outer * inner);
}

std::vector<double> ActivationStatistics::channel_means() const {
  std::vector<double> means = sums_;
  for (double& mean : means) mean /= std::max(count_, 1.0);
  return means;
}

std::vector<double> ActivationStatistics::channel_variances() const {
  const std::vector<double> means = channel_means();
  std::vector<double> variances(sums_.size());
  for (size_t c = 0; c < sums_.size(); ++c)
    variances[c] = std::max(squares_[c] / std::max(count_, 1.0) - means[c] * means[c], 0.0);
  return variances;
}

}  // namespace pare
