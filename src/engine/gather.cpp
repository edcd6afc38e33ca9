// Rows of a constant table by index: embeddings. A table stored in 8 or 16 bits stays so, and only the rows that are asked
// for become floats.
#include <algorithm>

#include "codecs/row_reader.h"
#include "engine/plan.h"

namespace pare {
namespace {

class GatherStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    const int64_t first = count * thread / threads, last = count * (thread + 1) / threads;
    for (int64_t i = first; i < last; ++i) {
      int64_t index = index_type == Type::i32 ? reinterpret_cast<const int32_t*>(slots[reads[0]])[i] : reinterpret_cast<const int64_t*>(slots[reads[0]])[i];
      if (index < 0) index += table.rows();
      // A team step must not throw: an index outside of the table reads its nearest row; CheckStep has said so before.
      table.copy_row(std::clamp<int64_t>(index, 0, table.rows() - 1), slots[writes] + size_t(i) * row_bytes);
      // Reading a row brings its neighbours too, 64 KB of the file or, where its cache lies on large pages, 2 MB: a long text
      // would soon hold the whole table in memory, beside the packed one.
      if (give_back) table.give_back(0, table.rows());
    }
  }
  RowReader table;
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

}  // namespace

bool lower_gather_rows(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const Tensor* tensor = node.is("Gather") ? planner.graph.constant(node.inputs[0]) : nullptr;
  if (tensor == nullptr || planner.graph.constant(node.inputs[1]) != nullptr || node.integer("axis", 0) != 0) return false;
  const auto table = RowReader::of(*tensor);
  const Type index_type = planner.graph.at(node.inputs[1]).type;
  if (!table || (index_type != Type::i64 && index_type != Type::i32)) return false;
  const Storage storage{planner.graph.at(node.outputs[0]).type, planner.dims(node.outputs[0]), Layout::plain};
  auto step = std::make_unique<GatherStep>();
  auto check = std::make_unique<CheckStep>();
  step->table = *table;
  step->index_type = check->type = index_type;
  step->give_back = planner.options.cache != nullptr;
  step->count = check->count = count_of(planner.dims(node.inputs[1]));
  check->rows = table->rows();
  check->where = node.where();
  step->row_bytes = size_t(table->length()) * size_t(type_bits(storage.type)) / 8;
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
