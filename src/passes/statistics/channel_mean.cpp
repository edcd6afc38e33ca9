#include "passes/statistics/channel_mean.h"

namespace pare {

void ChannelMean::see(const Array& array) {
  if (array.rank() < 2) return;
  const Array floats = array.cast(Type::f32);
  const auto values = floats.values<float>();
  const int axis = array.rank() > 2 ? (array.rank() == 3 ? 2 : 1) : 1;
  const int64_t channels = array.dim(axis);
  int64_t inner = 1;
  for (int i = axis + 1; i < array.rank(); ++i) inner *= array.dim(i);
  sums_.resize(size_t(channels), 0.0);
  for (size_t i = 0; i < values.size(); ++i) sums_[i / size_t(inner) % size_t(channels)] += values[i];
  count_ += double(values.size()) / double(channels);
}

std::vector<double> ChannelMean::means() const {
  std::vector<double> means = sums_;
  for (double& mean : means) mean /= count_ > 0 ? count_ : 1;
  return means;
}

}  // namespace pare
