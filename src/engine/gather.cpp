// Rows of a constant table by index: embeddings. A table stored in 8 or 16 bits stays so, and only the rows that are asked
// for become floats.
#include <algorithm>
#include <cstring>

#include "base/float16.h"
#include "codecs/blocks.h"
#include "engine/plan.h"

namespace pare {
namespace {

// Turns row `index` of the table into the elements of the result.
struct Table {
  Array values;
  std::vector<float> scales, zeros;   // one for all, or one a row; no scales: elements are copied as they are
  int64_t rows = 0, length = 0;
  const BlockFormat* blocks = nullptr;  // of GGUF: decoded row by row

  // The file's bytes need not be aligned.
  template <class Stored>
  void expand_16(const std::byte* from, float* y) const {
    for (int64_t i = 0; i < length; ++i, from += sizeof(Stored)) {
      Stored value;
      std::memcpy(&value, from, sizeof value);
      y[i] = to_float(value);
    }
  }

  void copy_row(int64_t index, std::byte* to) const {
    const size_t bytes = size_t(length) * size_t(type_bits(values.type())) / 8;
    const std::byte* from = values.bytes() + size_t(index) * bytes;
    auto* y = reinterpret_cast<float*>(to);
    if (blocks != nullptr) {
      copy_blocks(index, y);
    } else if (scales.empty()) {
      std::memcpy(to, from, bytes);
    } else if (values.type() == Type::bf16) {
      expand_16<BFloat16>(from, y);
    } else if (values.type() == Type::f16) {
      expand_16<Half>(from, y);
    } else {
      const float scale = scales[scales.size() == 1 ? 0 : size_t(index)], zero = zeros.empty() ? 0 : zeros[zeros.size() == 1 ? 0 : size_t(index)];
      const auto expand = [&](const auto* x) {
        for (int64_t i = 0; i < length; ++i) y[i] = (float(x[i]) - zero) * scale;
      };
      if (values.type() == Type::i8) expand(reinterpret_cast<const int8_t*>(from));
      else expand(reinterpret_cast<const uint8_t*>(from));
    }
  }

  void copy_blocks(int64_t index, float* y) const {
    const int64_t count = length / blocks->elements;
    const auto* from = reinterpret_cast<const uint8_t*>(values.bytes()) + index * count * blocks->bytes;
    Block block;
    for (int64_t b = 0; b < count; ++b) {
      blocks->unpack(from + b * blocks->bytes, block);
      block_values(*blocks, block, y + b * blocks->elements);
    }
  }
};

class GatherStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    const int64_t first = count * thread / threads, last = count * (thread + 1) / threads;
    for (int64_t i = first; i < last; ++i) {
      int64_t index = index_type == Type::i32 ? reinterpret_cast<const int32_t*>(slots[reads[0]])[i] : reinterpret_cast<const int64_t*>(slots[reads[0]])[i];
      if (index < 0) index += table.rows;
      // A team step must not throw: an index outside of the table reads its nearest row; CheckStep has said so before.
      table.copy_row(std::clamp<int64_t>(index, 0, table.rows - 1), slots[writes] + size_t(i) * row_bytes);
      // Reading a row brings its neighbours too, 64 KB of the file or, where its cache lies on large pages, 2 MB: a long text
      // would soon hold the whole table in memory, beside the packed one.
      if (give_back) table.values.give_back(0, table.values.size_bytes());
    }
  }
  Table table;
  int64_t count = 0;
  size_t row_bytes = 0;
  Type index_type = Type::i64;
  bool give_back = false;
};

// Looks at the indices before the team does.
class CheckStep : public Step {
 public:
  void run(std::byte* const* slots, int, int) override {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t index = type == Type::i32 ? reinterpret_cast<const int32_t*>(slots[reads[0]])[i] : reinterpret_cast<const int64_t*>(slots[reads[0]])[i];
      if (index < -rows || index >= rows) throw Error(where, "index " + std::to_string(index) + " is outside of " + std::to_string(rows) + " rows", "are these the model's own token ids?");
    }
  }
  int64_t count = 0, rows = 0;
  Type type = Type::i64;
  std::string where;
};

std::optional<Table> table_of(const Tensor& tensor) {
  Table table;
  if (tensor.dims.size() < 1 || tensor.dims[0] == 0) return std::nullopt;
  table.rows = tensor.dims[0];
  table.length = tensor.count() / table.rows;
  table.values = tensor.parts[0];
  if (tensor.plain()) return type_bits(tensor.type) % 8 == 0 && tensor.type != Type::string ? std::optional(table) : std::nullopt;
  table.blocks = tensor.codec->blocks;
  if (table.blocks != nullptr) return tensor.dims.size() == 2 ? std::optional(table) : std::nullopt;
  const Type type = table.values.type();
  if (type == Type::bf16 || type == Type::f16) {
    table.scales = {1};
    return table;
  }
  if ((type != Type::i8 && type != Type::u8) || tensor.parts.size() < 2 || tensor.group != 0) return std::nullopt;
  table.scales = tensor.parts[1].to_floats();
  if (tensor.parts.size() > 2) table.zeros = tensor.parts[2].to_floats();
  const bool by_row = tensor.axis == 0 && int64_t(table.scales.size()) == table.rows;
  return by_row || table.scales.size() == 1 ? std::optional(table) : std::nullopt;
}

}  // namespace

bool lower_gather_rows(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const Tensor* tensor = node.is("Gather") ? planner.graph.constant(node.inputs[0]) : nullptr;
  if (tensor == nullptr || planner.graph.constant(node.inputs[1]) != nullptr || node.integer("axis", 0) != 0) return false;
  const auto table = table_of(*tensor);
  const Type index_type = planner.graph.at(node.inputs[1]).type;
  if (!table || (index_type != Type::i64 && index_type != Type::i32)) return false;
  const Storage storage{planner.graph.at(node.outputs[0]).type, planner.dims(node.outputs[0]), Layout::plain};
  auto step = std::make_unique<GatherStep>();
  auto check = std::make_unique<CheckStep>();
  step->table = *table;
  step->index_type = check->type = index_type;
  step->give_back = planner.options.cache != nullptr;
  step->count = check->count = count_of(planner.dims(node.inputs[1]));
  check->rows = table->rows;
  check->where = node.where();
  step->row_bytes = size_t(table->length) * size_t(type_bits(storage.type)) / 8;
  const SlotId indices = planner.slot(node.inputs[1], Layout::plain, index_type);
  step->reads = check->reads = {indices};
  check->report = {node.name, "CheckIndices", "", "range check", "", "", 0, 0, 0};
  planner.emit(std::move(check));
  step->writes = planner.define(node.outputs[0], storage);
  step->report = {node.name, node.op_type, planner.graph.at(node.outputs[0]).name, tensor->plain() ? "rows" : std::string("rows of ") + tensor->codec->name, "", "", 0, tensor->size_bytes(), 0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
