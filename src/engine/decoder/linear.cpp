// Linear layers whose weights lie in blocks, as GGUF files hold them: packed once for the low-bit kernels, whatever the
// number of rows. Sessions of one model for different lengths share the packed weights.
#include "engine/decoder/linear.h"

#include <algorithm>

#include "base/threads.h"
#include "codecs/blocks.h"
#include "engine/integer/integer.h"
#include "kernels/low_bit/low_bit.h"

namespace pare {
namespace {

LowBitPlanes planes_for(const BlockFormat& format) {
  if (format.table != nullptr) return LowBitPlanes::nibble;
  const int levels = format.most - format.least + 1;
  for (const LowBitPlanes planes : {LowBitPlanes::pair, LowBitPlanes::pair_bit, LowBitPlanes::nibble, LowBitPlanes::nibble_bit, LowBitPlanes::nibble_pair})
    if (levels <= 1 << low_bit_bits(planes)) return planes;
  return LowBitPlanes::byte;
}

LowBitShape shape_of_blocks(const Tensor& tensor) {
  const BlockFormat& format = *tensor.codec->blocks;
  LowBitShape shape;
  shape.outputs = tensor.dims[0];
  shape.inputs = tensor.dims[1];
  shape.planes = planes_for(format);
  shape.group = format.part;
  shape.offsets = format.offset_most > 0;
  shape.zero = shape.planes == LowBitPlanes::byte || format.table ? 128 : -format.least;
  shape.table = format.table != nullptr;
  if (shape.table)
    for (int i = 0; i < 16; ++i) shape.levels[i] = uint8_t(format.table[i] + shape.zero);
  return shape;
}

// Output o of the tensor as the packer wants it.
void read_row(const Tensor& tensor, const LowBitShape& shape, const uint8_t* bytes, int64_t o, LowBitRow& row) {
  const BlockFormat& format = *tensor.codec->blocks;
  const int64_t blocks = shape.inputs / format.elements;
  Block block;
  for (int64_t b = 0; b < blocks; ++b) {
    format.unpack(bytes + (o * blocks + b) * format.bytes, block);
    for (int i = 0; i < format.elements; ++i) {
      const int level = shape.table ? int(std::lower_bound(format.table, format.table + 16, block.level[i]) - format.table) : block.level[i] + shape.zero;
      row.levels[size_t(b * format.elements + i)] = uint8_t(level);
    }
    for (int p = 0; p < format.parts(); ++p) {
      const auto g = size_t(b * format.parts() + p);
      row.scales[g] = block.d * float(block.scale[p]);
      row.offsets[g] = block.shift * float(block.offset[p]);
    }
  }
}

std::shared_ptr<const PackedLowBit> pack(const Tensor& tensor) {
  const LowBitShape shape = shape_of_blocks(tensor);
  const Array& bytes = tensor.parts[0];   // blocks have no alignment
  const auto* from = reinterpret_cast<const uint8_t*>(bytes.bytes());
  const size_t row_bytes = bytes.size_bytes() / size_t(shape.outputs);
  const int64_t rows = std::max<int64_t>(1, int64_t(kGivenBack / row_bytes));
  auto packed = std::make_shared<const PackedLowBit>(pack_low_bit(
      shape,
      [&](int64_t o, LowBitRow& row) {
        read_row(tensor, shape, from, o, row);
        // Threads take rows in order.
        if ((o + 1) % rows == 0) bytes.give_back(size_t(o / rows * rows) * row_bytes, size_t(rows) * row_bytes);
      },
      [](int64_t n, const auto& body) { parallel_for(n, body); }));
  bytes.give_back(0, bytes.size_bytes());  // a fault brings neighbouring pages back
  return packed;
}

std::shared_ptr<const PackedLowBit> packed_of(const TensorPtr& tensor) {
  static PackedWeights<const PackedLowBit> all;
  return all.of(tensor, pack);
}

// Rounds the rows of activations. Layers that read the same rows each do so again: it takes a hundredth of their time.
class RoundStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    const auto* x = reinterpret_cast<const float*>(slots[reads[0]]);
    auto* values = reinterpret_cast<int8_t*>(slots[writes]);
    auto* groups = reinterpret_cast<LowBitGroup*>(slots[writes] + groups_at);
    for (int64_t r = rows * thread / threads; r < rows * (thread + 1) / threads; ++r)
      best_low_bit_kernel().quantize(shape, x + r * shape.inputs, values + r * shape.units() * LowBitShape::kUnit, groups + r * shape.groups());
  }
  LowBitShape shape;
  int64_t rows = 0;
  size_t groups_at = 0;
};

class LowBitStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    LowBitArgs args;
    args.x.values = reinterpret_cast<const int8_t*>(slots[reads[0]]);
    args.x.groups = reinterpret_cast<const LowBitGroup*>(slots[reads[0]] + groups_at);
    args.rows = rows;
    args.bias = bias.empty() ? nullptr : bias.data();
    args.residual = reads.size() > 1 ? reinterpret_cast<const float*>(slots[reads[1]]) : nullptr;
    args.y = reinterpret_cast<float*>(slots[writes]);
    best_low_bit_kernel().run(*packed, args, thread, threads);
  }
  std::shared_ptr<const PackedLowBit> packed;
  std::vector<float> bias;
  int64_t rows = 0;
  size_t groups_at = 0;
};

}  // namespace

int residual_behind(const Planner& planner, ValueId y, ValueId& other) {
  const int next = planner.only_consumer(y);
  if (next < 0 || !planner.graph.nodes[size_t(next)].is("Add")) return -1;
  const Node& add = planner.graph.nodes[size_t(next)];
  other = add.inputs[add.inputs[0] == y ? 1 : 0];
  const int made = planner.producer[size_t(other)];
  const bool there = planner.existing(other).has_value() && (made < 0 || planner.done[size_t(made)]);
  return there && other != y && planner.graph.constant(other) == nullptr && planner.graph.at(other).type == Type::f32 && planner.dims(other) == planner.dims(y) ? next : -1;
}

const Tensor* weight_of_linear(const Planner& planner, const Node& node) {
  if (!node.is("Gemm") || node.integer("transA", 0) != 0 || node.integer("transB", 0) == 0 ||
      node.real("alpha", 1) != 1 || node.real("beta", 1) != 1)
    return nullptr;
  const Tensor* weight = planner.graph.constant(node.inputs[1]);
  if (weight == nullptr || weight->dims.size() != 2 || planner.graph.at(node.inputs[0]).type != Type::f32 ||
      planner.graph.constant(node.inputs[0]) != nullptr)
    return nullptr;
  const Tensor* bias = planner.graph.constant(node.input(2));
  return node.input(2) == kNone || (bias != nullptr && bias->count() == weight->dims[0]) ? weight : nullptr;
}

bool lower_block_linear(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const Tensor* blocks = weight_of_linear(planner, node);
  if (blocks == nullptr || blocks->plain() || blocks->codec->blocks == nullptr) return false;
  const TensorPtr weight = planner.graph.at(node.inputs[1]).constant;
  auto step = std::make_unique<LowBitStep>();
  auto round = std::make_unique<RoundStep>();
  step->packed = packed_of(weight);
  const LowBitShape& shape = round->shape = step->packed->shape;
  const Dims x = planner.dims(node.inputs[0]);
  step->rows = round->rows = x[0];
  const size_t value_bytes = size_t(x[0] * shape.units() * LowBitShape::kUnit);
  step->groups_at = round->groups_at = (value_bytes + 63) / 64 * 64;
  round->reads = {planner.slot(node.inputs[0], Layout::plain, Type::f32)};
  const SlotId rounded = planner.scratch({Type::u8, {int64_t(round->groups_at + size_t(x[0] * shape.groups()) * sizeof(LowBitGroup))}, Layout::plain});
  round->writes = rounded;
  round->report = {node.name, "Round", "", best_low_bit_kernel().name, "int8", "", 0, 0, 0};
  ValueId result = node.outputs[0], other = kNone;
  const int add = residual_behind(planner, result, other);
  step->reads = {rounded};
  if (add >= 0) {
    result = planner.graph.nodes[size_t(add)].outputs[0];
    planner.done[size_t(add)] = 1;
    step->reads.push_back(planner.slot(other, Layout::plain, Type::f32));
  }
  if (node.input(2) != kNone) step->bias = planner.constant(node.inputs[2]).to_floats();
  planner.emit(std::move(round));
  step->writes = planner.define(result, {Type::f32, planner.dims(result), Layout::plain});
  step->report = {node.name, add >= 0 ? "Gemm+Add" : "Gemm", planner.graph.at(result).name, best_low_bit_kernel().name, weight->codec->name, "", x[0] * shape.inputs * shape.outputs, weight->size_bytes(), 0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
