// Quantizers as training sees them: quantized values travel as whole numbers in floats, rounding passes gradients straight
// through (Bengio et al. 2013), and the step gets the gradient of LSQ (Esser et al. 2020, equation 3), which is what the
// chain rule gives for (clip(round(x / s) + z) − z) · s with such a rounding.
#include "train/torch/mapping.h"
#include "train/torch/round.h"

namespace pare {
namespace {

// Scales and zero points shaped to stand beside x: one for all, or one per entry of `axis`.
at::Tensor beside(const Mapped& m, const at::Tensor& values, const at::Tensor& x) {
  if (m.node.integer("block_size", 0) != 0) m.fail("scales in blocks");
  if (values.numel() == 1) return values.reshape({});
  std::vector<int64_t> dims(size_t(x.dim()), 1);
  dims.at(size_t(m.axis(1, x.dim()))) = -1;
  return values.reshape(dims);
}

}  // namespace

void map_QuantizeLinear(Mapped& m) {
  Type type = m.has(2) ? m.type(2) : type_of_number(int(m.node.integer("output_dtype", 0))).value_or(Type::u8);
  const auto range = integer_range(type);
  if (!range) m.fail("quantizes to " + std::string(type_text(type)));
  const at::Tensor step = beside(m, m.in[1], m.in[0]);
  at::Tensor q = round_through(m.in[0] / step);
  if (m.has(2)) q = q + beside(m, m.in[2].to(m.real), m.in[0]);
  m.out = {at::clamp(q, range->first, range->second)};
}

void map_DequantizeLinear(Mapped& m) {
  at::Tensor q = m.in[0].to(m.real);
  if (m.has(2)) q = q - beside(m, m.in[2].to(m.real), q);
  m.out = {q * beside(m, m.in[1], q)};
}

}  // namespace pare
