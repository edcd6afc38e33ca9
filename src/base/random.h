#pragma once
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>

namespace pare {

// SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every platform, unlike std's distributions.
class Random {
 public:
  explicit Random(uint64_t seed = 1) : state_(seed) {}
  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double uniform() { return double(bits() >> 11) * 0x1p-53; }  // [0, 1)
  uint64_t below(uint64_t n) { return uint64_t(uniform() * double(n)); }
  double normal() {  // Box-Muller
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }

 private:
  uint64_t state_;
};

// Fisher and Yates: every order is as likely.
template <class T>
void shuffle(std::span<T> items, Random& random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[size_t(random.below(i))]);
}

}  // namespace pare
