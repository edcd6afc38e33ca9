#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "measure/heads/head.h"

namespace pare {

#define HEAD(name) extern const HeadKind head_##name;
#include "measure/heads/catalog.inc"
#undef HEAD

std::span<const HeadKind* const> heads() {
  static const HeadKind* const all[] = {
#define HEAD(name) &head_##name,
#include "measure/heads/catalog.inc"
#undef HEAD
  };
  return all;
}

std::optional<Rows> rows_of(const Array& array, int64_t count, int64_t width) {
  const Dims& dims = array.dims();
  const int64_t all = array.count(), rows = width > 0 ? all / width : 0;
  if (dims.empty() || all == 0 || rows * width != all || (count >= 0 && rows != count)) return std::nullopt;
  Rows result{rows, width, array.to_floats()};
  if (dims.back() == width) return result;
  // One number a row may come without an axis of its own.
  if (width == 1 && dims.size() <= 2 && count >= 0) return result;
  size_t axis = 0;
  while (axis + 1 < dims.size() && dims[axis] == 1 && width != 1) ++axis;
  if (width == 1) axis = std::min<size_t>(1, dims.size() - 1);
  if (dims[axis] != width || std::any_of(dims.begin(), dims.begin() + ptrdiff_t(axis), [](int64_t d) { return d != 1; }))
    return std::nullopt;
  const std::vector<float> columns = std::move(result.values);
  result.values.resize(columns.size());
  for (int64_t w = 0; w < width; ++w)
    for (int64_t r = 0; r < rows; ++r) result.values[size_t(r * width + w)] = columns[size_t(w * rows + r)];
  return result;
}

void HeadOutputs::fail(const std::string& role, const std::string& what) const {
  std::string found;
  for (size_t i = 0; i < arrays_.size(); ++i)
    found += fmt::format("{}{} {}", found.empty() ? "" : ", ", i < names_.size() ? names_[i] : "?",
                         dims_text(arrays_[i].dims()));
  throw Error(settings_.where("head"), fmt::format("{}; the model's outputs are {}", what, found),
              fmt::format("choose the head the model has, or name the output: outputs = {{ {} = \"…\" }}", role));
}

std::vector<const Array*> HeadOutputs::named(const std::string& role) const {
  std::vector<const Array*> found;
  const auto section = settings_.section("outputs");
  if (!section || !section->has(role)) return found;
  for (const std::string& name : section->texts(role)) {
    const auto at = std::find(names_.begin(), names_.end(), name);
    if (at == names_.end()) fail(role, fmt::format("there is no output \"{}\"", name));
    found.push_back(&arrays_[size_t(at - names_.begin())]);
  }
  return found;
}

std::optional<Rows> HeadOutputs::find(const std::string& role, int64_t count, int64_t width) const {
  const std::vector<const Array*> chosen = named(role);
  if (chosen.size() > 1) return std::nullopt;
  if (!chosen.empty()) return rows_of(*chosen[0], count, width);
  std::optional<Rows> found;
  for (const Array& array : arrays_) {
    std::optional<Rows> rows = rows_of(array, count, width);
    if (!rows) continue;
    if (found) fail(role, fmt::format("several outputs could be the {}", role));
    found = std::move(rows);
  }
  return found;
}

Rows HeadOutputs::rows(const std::string& role, int64_t count, int64_t width) const {
  std::optional<Rows> found = find(role, count, width);
  if (!found)
    fail(role, fmt::format("the {} should be {} rows of {}", role, count < 0 ? "N" : std::to_string(count), width));
  return *std::move(found);
}

std::optional<Rows> HeadOutputs::find_levels(const std::string& role, std::span<const int64_t> counts,
                                             int64_t width) const {
  const int64_t sum = std::accumulate(counts.begin(), counts.end(), int64_t(0));
  const std::vector<const Array*> chosen = named(role);
  if (chosen.size() <= 1)
    if (std::optional<Rows> all = find(role, sum, width)) return all;
  if (!chosen.empty() && chosen.size() != counts.size()) return std::nullopt;
  Rows joined{sum, width, {}};
  for (const int64_t count : counts) {
    std::optional<Rows> level;
    for (size_t i = 0; i < (chosen.empty() ? arrays_.size() : chosen.size()); ++i) {
      std::optional<Rows> rows = rows_of(chosen.empty() ? arrays_[i] : *chosen[i], count, width);
      if (!rows) continue;
      if (level) fail(role, fmt::format("several outputs could be the {} of the level of {} cells", role, count));
      level = std::move(rows);
    }
    if (!level) return std::nullopt;
    joined.values.insert(joined.values.end(), level->values.begin(), level->values.end());
  }
  return joined;
}

std::vector<int64_t> read_strides(const Section& settings) {
  const Dims strides = settings.has("strides") ? settings.integers("strides", 1, 4096) : Dims{8, 16, 32};
  return {strides.begin(), strides.end()};
}

std::vector<int64_t> cells_of_levels(const HeadInput& input, std::span<const int64_t> strides, int64_t boxes_a_cell) {
  std::vector<int64_t> counts;
  for (const int64_t stride : strides)
    counts.push_back(((input.height + stride - 1) / stride) * ((input.width + stride - 1) / stride) * boxes_a_cell);
  return counts;
}

std::vector<Cell> grid_cells(const HeadInput& input, std::span<const int64_t> strides, int64_t boxes_a_cell) {
  std::vector<Cell> cells;
  for (const int64_t stride : strides)
    for (int64_t y = 0; y < (input.height + stride - 1) / stride; ++y)
      for (int64_t x = 0; x < (input.width + stride - 1) / stride; ++x)
        for (int64_t i = 0; i < boxes_a_cell; ++i) cells.push_back({x, y, stride});
  return cells;
}

Detection make_box(std::span<const float> four, BoxForm form) {
  const double a = four[0], b = four[1], c = four[2], d = four[3];
  switch (form) {
    case BoxForm::corners:
      return {a, b, c, d};
    case BoxForm::centre:
      return {a - c / 2, b - d / 2, a + c / 2, b + d / 2};
    case BoxForm::yxyx:
      return {b, a, d, c};
    case BoxForm::corner_size:
      return {a, b, a + c, b + d};
  }
  return {};
}

void scale_box(Detection& box, double x, double y) {
  box.left *= x;
  box.right *= x;
  box.top *= y;
  box.bottom *= y;
}

float sigmoid(float x) {
  return 1 / (1 + std::exp(-x));
}

std::vector<float> activate(std::span<const float> values, size_t kind) {
  std::vector<float> result(values.begin(), values.end());
  if (kind == 1) std::transform(result.begin(), result.end(), result.begin(), sigmoid);
  if (kind != 2 || result.empty()) return result;
  const float most = *std::max_element(result.begin(), result.end());
  float sum = 0;
  for (float& v : result) sum += v = std::exp(v - most);
  for (float& v : result) v /= sum;
  return result;
}

}  // namespace pare
