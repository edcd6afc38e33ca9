// Operators with weights, and normalizations.
#include <numeric>

#include "train/torch/mapping.h"
#include "train/torch/together.h"

namespace pare {
namespace {

std::vector<int64_t> spatial(const at::Tensor& x) { return {x.sizes().begin() + 2, x.sizes().end()}; }
at::Tensor optional(const Mapped& m, size_t i) { return m.has(i) ? m.in[i] : at::Tensor(); }

// One value a channel, shaped to stand beside axis 1 of x.
at::Tensor per_channel(const at::Tensor& values, const at::Tensor& x) {
  std::vector<int64_t> dims(size_t(x.dim()), 1);
  dims[1] = -1;
  return values.reshape(dims);
}

}  // namespace

void map_Conv(Mapped& m) {
  const MappedWindow w = mapped_window(m, spatial(m.in[1]));
  const at::Tensor x = w.symmetric() ? m.in[0] : at::constant_pad_nd(m.in[0], w.around(), 0);
  const std::vector<int64_t> none(w.begin.size(), 0);
  m.out = {at::convolution(x, m.in[1], optional(m, 2), w.stride, w.symmetric() ? w.begin : none, w.dilation, false, none, m.node.integer("group", 1))};
}

// Full transposed convolution, then cut or extended to what the pads or output_shape say.
void map_ConvTranspose(Mapped& m) {
  const size_t n = size_t(m.in[0].dim()) - 2;
  const std::string automatic = m.node.text("auto_pad", "NOTSET");
  const auto stride = m.node.integers("strides", std::vector<int64_t>(n, 1)), dilation = m.node.integers("dilations", std::vector<int64_t>(n, 1));
  const auto extra = m.node.integers("output_padding", std::vector<int64_t>(n, 0)), pads = m.node.integers("pads", std::vector<int64_t>(2 * n, 0));
  if (m.node.has("output_shape") || (automatic != "NOTSET" && automatic != "VALID")) m.fail("output_shape or auto_pad");
  const std::vector<int64_t> none(n, 0);
  at::Tensor y = at::convolution(m.in[0], m.in[1], optional(m, 2), stride, none, dilation, true, none, m.node.integer("group", 1));
  std::vector<int64_t> around;
  for (size_t i = n; i-- > 0;) {
    around.push_back(-pads[i]);
    around.push_back(extra[i] - pads[i + n]);
  }
  // Rows beyond the last tap hold the bias alone.
  const bool extends = std::any_of(around.begin(), around.end(), [](int64_t pad) { return pad > 0; });
  if (extends && m.has(2)) y = y - per_channel(m.in[2], y);
  y = at::constant_pad_nd(y, around, 0);
  m.out = {extends && m.has(2) ? y + per_channel(m.in[2], y) : y};
}

void map_Gemm(Mapped& m) {
  const double alpha = m.node.real("alpha", 1), beta = m.node.real("beta", 1);
  const at::Tensor a = m.node.integer("transA", 0) != 0 ? m.in[0].t() : m.in[0], b = m.node.integer("transB", 0) != 0 ? m.in[1].t() : m.in[1];
  m.out = {m.has(2) ? at::addmm(m.in[2], a, b, beta, alpha) : alpha == 1 ? at::mm(a, b) : at::mm(a, b) * alpha};
}

void map_MatMul(Mapped& m) { m.out = {at::matmul(m.in[0], m.in[1])}; }
void map_Einsum(Mapped& m) { m.out = {at::einsum(m.node.text("equation"), m.in)}; }

void map_BatchNormalization(Mapped& m) {
  // ONNX keeps `momentum` of the old statistics, libtorch gives the new ones that share.
  const double momentum = 1 - double(m.node.real("momentum", 0.9f));
  if (m.training && ranks().count() > 1) {
    m.out = {batch_norm_over_ranks(m.in[0], m.in[1], m.in[2], m.in[3], m.in[4], momentum, m.node.real("epsilon", 1e-5f))};
    return;
  }
  m.out = {at::batch_norm(m.in[0], m.in[1], m.in[2], m.in[3], m.in[4], m.training, momentum, m.node.real("epsilon", 1e-5f), false)};
}

void map_LayerNormalization(Mapped& m) {
  const int64_t axis = m.axis(-1, m.in[0].dim());
  const std::vector<int64_t> normalized(m.in[0].sizes().begin() + axis, m.in[0].sizes().end());
  m.out = {at::layer_norm(m.in[0], normalized, m.in[1].reshape(normalized), m.has(2) ? m.in[2].reshape(normalized) : at::Tensor(), m.node.real("epsilon", 1e-5f))};
}

void map_InstanceNormalization(Mapped& m) {
  m.out = {at::instance_norm(m.in[0], m.in[1], m.in[2], {}, {}, true, 0, m.node.real("epsilon", 1e-5f), false)};
}

void map_GroupNormalization(Mapped& m) {
  const int64_t groups = m.node.integer("num_groups", 1);
  const at::Tensor y = at::group_norm(m.in[0], groups, {}, {}, m.node.real("epsilon", 1e-5f));
  // Below opset 21 a scale and a bias a group, from there on a channel.
  const int64_t repeats = m.in[0].size(1) / std::max<int64_t>(m.in[1].numel(), 1);
  m.out = {y * per_channel(m.in[1].repeat_interleave(repeats), y) + per_channel(m.in[2].repeat_interleave(repeats), y)};
}

void map_RMSNormalization(Mapped& m) {
  std::vector<int64_t> axes(size_t(m.in[0].dim() - m.axis(-1, m.in[0].dim())));
  std::iota(axes.begin(), axes.end(), m.axis(-1, m.in[0].dim()));
  m.out = {m.in[0] * at::rsqrt(at::mean(m.in[0] * m.in[0], axes, true) + double(m.node.real("epsilon", 1e-5f))) * m.in[1]};
}

void map_Softmax(Mapped& m) { m.out = {at::softmax(m.in[0], m.axis(-1, m.in[0].dim()))}; }
void map_LogSoftmax(Mapped& m) { m.out = {at::log_softmax(m.in[0], m.axis(-1, m.in[0].dim()))}; }

}  // namespace pare
