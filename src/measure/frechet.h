#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace pare {

// Sums over feature vectors, from which mean and covariance follow. Sums of groups can be added and taken away.
struct FeatureSums {
  int64_t count = 0;
  std::vector<double> sum, products;  // n; n x n, Σ x·xᵀ

  void add(std::span<const float> features);       // throws Error where vectors differ in length
  void add(const FeatureSums& other, double sign = 1);
};

// Of the normal distributions with these means and covariances (Dowson & Landau 1982; Heusel et al. 2017, equation 6):
// ‖m₁ − m₂‖² + tr(C₁ + C₂ − 2 (C₁C₂)^½), covariances with count − 1. Both have at least two vectors, of one length.
double frechet_distance(const FeatureSums& a, const FeatureSums& b);

}  // namespace pare
