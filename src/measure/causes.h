#pragma once
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace pare {

// One value of a small model against the same value of the baseline, over all samples seen.
struct ValueError {
  double signal = 0, noise = 0;               // Σy², Σ(x−y)², y the baseline's
  double least = INFINITY, most = -INFINITY;  // of the baseline's
  int64_t count = 0;
  std::vector<double> channel_most;           // max|y| of each channel (axis 1 of pictures, else the last)
  void see(const Array& ours, const Array& baseline);
  double sqnr_db() const { return noise > 0 ? 10 * std::log10(signal / noise) : INFINITY; }
  double rms() const { return count > 0 ? std::sqrt(signal / double(count)) : 0; }
};

struct CauseQuestion {
  const Graph &small, &baseline;
  const std::map<std::string, ValueError>& errors;                        // by value name
  const std::map<std::string, int>&small_producers, &baseline_producers;  // value name → node
};

// Why the value of this layer differs, in words; "" where it hardly does.
std::string find_cause(const CauseQuestion& question, const std::string& node_name, const std::string& value);

}  // namespace pare
