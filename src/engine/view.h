#pragma once
// Values as strided arrangements, so that everything that only moves elements is one loop over two of them.
#include <optional>

#include "engine/plan.h"
#include "kernels/strided_copy/strided_copy.h"

namespace pare {

// One logical axis: a product of parts, outermost first. Row major has one part; channels in blocks have two.
struct ViewAxis {
  struct Part {
    int64_t extent, stride;
  };
  std::vector<Part> parts;
  int64_t extent() const;
};

struct View {
  std::vector<ViewAxis> axes;
  int64_t offset = 0;
};

// The logical axes of a stored value. Empty where blocks are not full: the padding would become visible.
std::optional<View> view_of(const Storage& storage);

// `axis` as several axes of these extents, outermost first; empty where its parts do not divide so.
std::optional<std::vector<ViewAxis>> split(const ViewAxis& axis, const Dims& extents);
// Every step-th element from `begin` on, `count` of them, step may be negative. False where it does not fit the parts.
bool restrict_axis(View& view, size_t axis, int64_t begin, int64_t count, int64_t step = 1);
// The same element `extent` times.
ViewAxis repeated(int64_t extent);

// The copy that walks `from` and `to` axis by axis; empty where their parts have no common division.
std::optional<StridedCopy> copy_between(const View& from, const View& to, Type type);

}  // namespace pare
