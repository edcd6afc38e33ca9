#pragma once
#include <cstdint>

namespace pare {

// Vectors of columns in panels of two. Where they are odd the last panel has three; a lone vector is a panel.
struct LinearPanels {
  explicit LinearPanels(int64_t all) : vectors(all), count(all < 2 ? all : all / 2) {}
  int64_t begin(int64_t panel) const { return panel == count ? vectors : panel * 2; }
  int64_t vectors, count;
};

}  // namespace pare
