// MatMulNBits of com.microsoft: a product with a weight of few bits, as ONNX Runtime's quantizer writes language models.
#include "graph/nbits.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

// B [N, blocks, block bytes]: integers without sign, the first in the low bits; one scale and zero point a block.
struct NBits {
  int64_t columns, rows, bits, block, blocks;   // N, K
};

NBits n_bits_of(const Node& node) {
  NBits form{node.integer("N", 0), node.integer("K", 0), node.integer("bits", 4), node.integer("block_size", 0), 0};
  if (!sound_n_bits(form.rows, form.columns, form.bits, form.block))
    throw Error(node.where(), "has N = " + std::to_string(form.columns) + ", K = " + std::to_string(form.rows) + ", " + std::to_string(form.bits) + " bits and blocks of " + std::to_string(form.block));
  form.blocks = (form.rows + form.block - 1) / form.block;
  return form;
}

// The weight as [N, K] in f32.
std::vector<float> decoded(const Forward& f, const NBits& form) {
  const int64_t blob = packed_bytes(form.block, form.bits), packed_zeros = packed_bytes(form.blocks, form.bits);
  if (f.in(1).type() != Type::u8) throw Error(f.node.where(), "has a weight of " + std::string(type_text(f.in(1).type())) + ", expected uint8");
  check_count(f.node, f.in(1).count(), form.columns * form.blocks * blob, "bytes of weight");
  check_count(f.node, f.in(2).count(), form.columns * form.blocks, "scales");
  const auto scales = f.in(2).to_floats();
  const bool packed = f.has(3) && f.in(3).type() == Type::u8;
  if (f.has(3)) check_count(f.node, f.in(3).count(), form.columns * (packed ? packed_zeros : form.blocks), "zero points");
  const auto zeros = f.has(3) && !packed ? f.in(3).to_floats() : std::vector<float>();
  const auto groups = f.has(4) ? f.in(4).to_integers() : std::vector<int64_t>();
  if (f.has(4)) check_count(f.node, int64_t(groups.size()), form.rows, "group indices");
  const uint8_t *bytes = f.in(1).values<uint8_t>().data(), *zero_bytes = packed ? f.in(3).values<uint8_t>().data() : nullptr;
  std::vector<float> weight(size_t(form.columns * form.rows));
  for (int64_t n = 0; n < form.columns; ++n)
    for (int64_t k = 0; k < form.rows; ++k) {
      const int64_t group = groups.empty() ? k / form.block : groups[size_t(k)];
      if (group < 0 || group >= form.blocks) throw Error(f.node.where(), "has group index " + std::to_string(group) + " of " + std::to_string(form.blocks));
      const int64_t block = n * form.blocks + group;
      const double zero = packed ? packed_at(zero_bytes + n * packed_zeros, group, form.bits) : zeros.empty() ? double(1 << (form.bits - 1)) : zeros[size_t(block)];
      const int q = packed_at(bytes + (n * form.blocks + k / form.block) * blob, k % form.block, form.bits);
      weight[size_t(n * form.rows + k)] = float((q - zero) * scales[size_t(block)]);
    }
  return weight;
}

void infer_matmul_nbits(Inference& in) {
  in.set_type(0, in.type(0));
  const NBits form = n_bits_of(in.node());
  const Shape* a = in.shape(0);
  if (a == nullptr) return;
  if (a->empty() || (a->back().known() && a->back().value != form.rows)) in.fail("multiplies " + shape_text(*a) + " with a weight of " + std::to_string(form.rows) + " rows");
  Shape out = *a;
  out.back() = {form.columns, ""};
  in.set(0, in.type(0), out);
}

void forward_matmul_nbits(Forward& f) {
  const NBits form = n_bits_of(f.node);
  const auto a = f.in(0).to_floats();
  if (f.in(0).rank() < 1 || f.in(0).dim(-1) != form.rows) throw Error(f.node.where(), "multiplies " + dims_text(f.in(0).dims()) + " with a weight of " + std::to_string(form.rows) + " rows");
  const auto weight = decoded(f, form), bias = f.has(5) ? f.in(5).to_floats() : std::vector<float>(size_t(form.columns), 0.f);
  check_count(f.node, int64_t(bias.size()), form.columns, "biases");
  Dims dims = f.in(0).dims();
  dims.back() = form.columns;
  Array y(Type::f32, dims);
  auto ys = y.mutable_values<float>();
  for (size_t i = 0; i < ys.size(); ++i) {
    const auto row = int64_t(i) / form.columns, n = int64_t(i) % form.columns;
    double sum = bias[size_t(n)];
    for (int64_t k = 0; k < form.rows; ++k) sum += double(a[size_t(row * form.rows + k)]) * weight[size_t(n * form.rows + k)];
    ys[i] = float(sum);
  }
  float_out(f, 0, y);
}

int64_t macs_matmul_nbits(const Node& node, std::span<const Dims>, std::span<const Dims> outputs) { return count_of(outputs[0]) * node.integer("K", 0); }

}  // namespace

const Op op_matmul_nbits{"MatMulNBits", "com.microsoft", 3, 6, 1, 1, infer_matmul_nbits, forward_matmul_nbits, macs_matmul_nbits,
                         "matrix product with a weight of 2, 4 or 8 bits", 1};

}  // namespace pare
