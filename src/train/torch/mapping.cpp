#include "train/torch/mapping.h"

#include <algorithm>

namespace pare {

#define MAP(name) void map_##name(Mapped& m);
#include "train/torch/ops.inc"
#undef MAP

namespace {

struct Row {
  std::string_view name;
  Mapping mapping;
};
constexpr Row kRows[] = {
#define MAP(name) {#name, map_##name},
#include "train/torch/ops.inc"
#undef MAP
};

}  // namespace

Mapping find_mapping(const Node& node) {
  if (!node.domain.empty()) return nullptr;
  for (const Row& row : kRows)
    if (row.name == node.op_type) return row.mapping;
  return nullptr;
}

std::vector<std::string_view> mapped_operators() {
  std::vector<std::string_view> names;
  for (const Row& row : kRows) names.push_back(row.name);
  return names;
}

std::vector<int64_t> Mapped::integers(size_t i) const {
  const at::Tensor whole = in[i].to(at::kLong).contiguous();
  return {whole.data_ptr<int64_t>(), whole.data_ptr<int64_t>() + whole.numel()};
}

int64_t Mapped::axis(int64_t fallback, int64_t rank) const {
  const int64_t given = node.integer("axis", fallback), positive = given < 0 ? given + rank : given;
  if (positive < 0 || positive > rank) throw Error(node.where(), "axis " + std::to_string(given) + " is not one of " + std::to_string(rank));
  return positive;
}

std::vector<int64_t> MappedWindow::around() const {
  std::vector<int64_t> pads;
  for (size_t i = begin.size(); i-- > 0;) {
    pads.push_back(begin[i]);
    pads.push_back(end[i]);
  }
  return pads;
}

MappedWindow mapped_window(const Mapped& m, const std::vector<int64_t>& kernel) {
  const size_t n = kernel.size();
  MappedWindow w;
  w.kernel = kernel;
  w.stride = m.node.integers("strides", std::vector<int64_t>(n, 1));
  w.dilation = m.node.integers("dilations", std::vector<int64_t>(n, 1));
  std::vector<int64_t> pads = m.node.integers("pads", std::vector<int64_t>(2 * n, 0));
  const std::string automatic = m.node.text("auto_pad", "NOTSET");
  const bool ceil_mode = m.node.integer("ceil_mode", 0) != 0;
  if (w.stride.size() != n || w.dilation.size() != n || pads.size() != 2 * n || m.in[0].dim() != int64_t(n) + 2)
    m.fail("its window has not the axes of its input");
  for (size_t i = 0; i < n; ++i) {
    const int64_t in = m.in[0].size(int64_t(i) + 2), reach = (w.kernel[i] - 1) * w.dilation[i] + 1, stride = w.stride[i];
    if (automatic == "VALID") pads[i] = pads[i + n] = 0;
    if (automatic.starts_with("SAME")) {
      const int64_t total = std::max<int64_t>(((in + stride - 1) / stride - 1) * stride + reach - in, 0);
      pads[i] = automatic == "SAME_LOWER" ? (total + 1) / 2 : total / 2;
      pads[i + n] = total - pads[i];
    }
    // Rounded up, a last window must still begin inside the input or its front padding.
    const int64_t room = in + pads[i] + pads[i + n] - reach;
    if (const int64_t rest = room % stride; ceil_mode && rest != 0 && (room / stride + 1) * stride < in + pads[i]) pads[i + n] += stride - rest;
    w.begin.push_back(pads[i]);
    w.end.push_back(pads[i + n]);
  }
  return w;
}

}  // namespace pare
