#include "engine/view.h"

#include <algorithm>
#include <numeric>

namespace pare {

int64_t ViewAxis::extent() const {
  int64_t product = 1;
  for (const Part& part : parts) product *= part.extent;
  return product;
}

std::optional<View> view_of(const Storage& storage) {
  View view;
  const Dims& dims = storage.dims;
  if (storage.layout == Layout::lanes) return std::nullopt;
  if (storage.layout == Layout::plain || dims.size() != 4) {
    int64_t stride = 1;
    view.axes.resize(dims.size());
    for (size_t i = dims.size(); i-- > 0;) {
      view.axes[i].parts = {{dims[i], stride}};
      stride *= dims[i];
    }
    return view;
  }
  const int64_t n = dims[0], c = dims[1], h = dims[2], w = dims[3], block = channel_block();
  if (storage.layout == Layout::channels_last) {
    view.axes = {{{{n, h * w * c}}}, {{{c, 1}}}, {{{h, w * c}}}, {{{w, c}}}};
    return view;
  }
  if (c % block != 0) return std::nullopt;
  view.axes = {{{{n, c * h * w}}}, {{{c / block, h * w * block}, {block, 1}}}, {{{h, w * block}}}, {{{w, block}}}};
  return view;
}

std::optional<std::vector<ViewAxis>> split(const ViewAxis& axis, const Dims& extents) {
  std::vector<ViewAxis> result(extents.size());
  std::vector<ViewAxis::Part> parts = axis.parts;
  for (size_t i = extents.size(); i-- > 0;) {
    int64_t wanted = extents[i];
    while (wanted > 1) {
      if (parts.empty()) return std::nullopt;
      ViewAxis::Part& inner = parts.back();
      if (inner.extent == 0) return std::nullopt;
      if (inner.extent <= wanted && wanted % inner.extent == 0) {
        result[i].parts.insert(result[i].parts.begin(), inner);
        wanted /= inner.extent;
        parts.pop_back();
      } else if (inner.extent % wanted == 0) {
        result[i].parts.insert(result[i].parts.begin(), {wanted, inner.stride});
        inner = {inner.extent / wanted, inner.stride * wanted};
        wanted = 1;
      } else {
        return std::nullopt;
      }
    }
  }
  for (const ViewAxis::Part& part : parts)
    if (part.extent != 1) return std::nullopt;
  return result;
}

bool restrict_axis(View& view, size_t axis, int64_t begin, int64_t count, int64_t step) {
  auto& parts = view.axes[axis].parts;
  std::erase_if(parts, [&](const auto& part) { return part.extent == 1 && parts.size() > 1; });
  if (parts.size() == 1) {
    view.offset += begin * parts[0].stride;
    parts[0] = {count, parts[0].stride * step};
    return true;
  }
  const int64_t inner = view.axes[axis].extent() / parts[0].extent;
  if (step != 1 || begin % inner != 0 || count % inner != 0) return false;
  view.offset += begin / inner * parts[0].stride;
  parts[0].extent = count / inner;
  return true;
}

ViewAxis repeated(int64_t extent) { return {{{extent, 0}}}; }

std::optional<StridedCopy> copy_between(const View& from, const View& to, Type type) {
  if (from.axes.size() != to.axes.size()) return std::nullopt;
  StridedCopy copy;
  copy.from_offset = from.offset;
  copy.to_offset = to.offset;
  copy.element_bytes = type_bits(type) / 8;
  for (size_t i = 0; i < from.axes.size(); ++i) {
    if (from.axes[i].extent() != to.axes[i].extent()) return std::nullopt;
    auto a = from.axes[i].parts, b = to.axes[i].parts;
    if (from.axes[i].extent() == 0) {
      copy.axes.push_back({0, 0, 0});
      continue;
    }
    while (!a.empty() && !b.empty()) {
      auto &x = a.back(), &y = b.back();
      const int64_t common = std::gcd(x.extent, y.extent);
      // Both cut where the smaller ends: it has to divide the other.
      if (common != std::min(x.extent, y.extent)) return std::nullopt;
      copy.axes.push_back({common, x.stride, y.stride});
      x = {x.extent / common, x.stride * common};
      y = {y.extent / common, y.stride * common};
      if (x.extent == 1) a.pop_back();
      if (y.extent == 1) b.pop_back();
    }
    const auto left = [](const auto& parts) { return std::any_of(parts.begin(), parts.end(), [](const auto& part) { return part.extent != 1; }); };
    if (left(a) || left(b)) return std::nullopt;
  }
  return arranged(copy);
}

}  // namespace pare
