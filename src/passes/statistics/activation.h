#pragma once
#include <vector>

#include "passes/pass.h"
#include "passes/statistics/histogram.h"

namespace pare {

// What quantizing a value needs to know: its distribution, and how much each of its channels varies.
class ActivationStatistics : public Observer {
 public:
  // `channel_axis`: negative counts from the end; a value of another rank than expected simply has no channels.
  ActivationStatistics(bool with_bins, int channel_axis) : histogram_(with_bins), channel_axis_(channel_axis) {}
  void see(const Array& values) override;
  const Histogram& histogram() const { return histogram_; }
  std::vector<double> channel_variances() const;  // around each channel's mean, over samples and positions
  std::vector<double> channel_means() const;
  std::vector<double> channel_magnitudes() const { return magnitudes_; }  // max|x| of each channel

 private:
  Histogram histogram_;
  int channel_axis_;
  std::vector<double> sums_, squares_, magnitudes_;
  double count_ = 0;  // values a channel
};

}  // namespace pare
