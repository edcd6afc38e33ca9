#pragma once
#include <span>
#include <string>
#include <vector>

#include "passes/pass.h"

namespace pare {

// Range and distribution of a value over all samples, in constant memory: bins over [-limit, limit]; when a value
// falls outside, the limit doubles and neighbouring bins merge, so the counts stay exact for the wider bins.
class Histogram : public Observer {
 public:
  explicit Histogram(bool with_bins = true) : with_bins_(with_bins) {}  // without: the range only, which is faster
  void see(const Array& values) override;
  float low() const { return low_; }
  float high() const { return high_; }
  int64_t count() const { return count_; }
  float width() const { return 2 * limit_ / float(kBins); }            // of one bin
  float centre(int bin) const { return (float(bin) + 0.5f) * width() - limit_; }
  const std::vector<double>& bins() const { return bins_; }
  static constexpr int kBins = 4096;

 private:
  void widen(float magnitude);
  void count_values(std::span<const float> values);
  bool with_bins_;
  std::vector<double> bins_ = std::vector<double>(kBins, 0.0);
  float low_ = 0, high_ = 0, limit_ = 0;
  int64_t count_ = 0;
};

struct ValueRange {
  float low = 0, high = 0;
};
// The range to quantize into `levels` steps. Methods: minmax; percentile (the share of values in percent that must
// stay inside, per side); mse (least mean square error); entropy (least Kullback-Leibler divergence between the values
// and their quantized image: Migacz 2017, 8-bit Inference with TensorRT).
ValueRange choose_range(const Histogram& histogram, const std::string& method, double percentile, int levels);

}  // namespace pare
