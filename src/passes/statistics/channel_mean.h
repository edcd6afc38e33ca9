#pragma once
#include <vector>

#include "passes/pass.h"

namespace pare {

// Mean of a value per channel (axis 1; the last axis of a matrix) over samples and positions.
class ChannelMean : public Observer {
 public:
  void see(const Array& values) override;
  std::vector<double> means() const;

 private:
  std::vector<double> sums_;
  double count_ = 0;
};

}  // namespace pare
