// Operators meet inputs and attributes that no exporter would write: an Error or a result, nothing else.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>

#include "base/files.h"
#include "base/random.h"
#include "graph/op.h"
#include "support/places.h"

namespace pare {
namespace {

Array other_dims(const Array& array, Random& random) {
  Dims dims = array.dims();
  switch (random.below(5)) {
    case 0: dims.clear(); break;
    case 1: dims.push_back(int64_t(random.below(3))); break;
    case 2: dims.insert(dims.begin(), 2); break;
    case 3: if (!dims.empty()) dims.pop_back(); break;
    default: if (!dims.empty()) dims[random.below(dims.size())] = int64_t(random.below(4));
  }
  Array result(array.type(), dims);
  std::memcpy(result.mutable_bytes(), array.bytes(), std::min(array.size_bytes(), result.size_bytes()));
  return result;
}

Array other_values(const Array& array, Random& random) {
  const int64_t odd[] = {0, -1, 1, 7, -7, 1000, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()};
  Array wide(Type::i64, array.dims());
  for (int64_t& v : wide.mutable_values<int64_t>()) v = odd[random.below(8)];
  return wide.cast(array.type());
}

void break_attribute(Node& node, Random& random) {
  if (node.attributes.empty()) return;
  auto it = std::next(node.attributes.begin(), long(random.below(node.attributes.size())));
  const int64_t odd[] = {0, -1, 2, 99, -99, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()};
  if (random.below(5) == 0) {
    node.attributes.erase(it);
  } else if (auto* one = std::get_if<int64_t>(&it->second)) {
    *one = odd[random.below(7)];
  } else if (auto* many = std::get_if<std::vector<int64_t>>(&it->second)) {
    if (random.below(3) == 0 || many->empty()) many->push_back(1);
    else if (random.below(3) == 0) many->pop_back();
    else (*many)[random.below(many->size())] = odd[random.below(7)];
  } else {
    it->second = int64_t(3);
  }
}

void break_input(Graph& graph, Random& random) {
  if (graph.nodes[0].inputs.empty()) return;
  const size_t i = random.below(graph.nodes[0].inputs.size());
  if (graph.nodes[0].inputs[i] == kNone) return;
  Value& value = graph.at(graph.nodes[0].inputs[i]);
  const Array array = value.constant->array();
  const Type types[] = {Type::f32, Type::i64, Type::boolean, Type::i4, Type::f16, Type::u8};
  Array changed;
  switch (random.below(4)) {
    case 0: changed = array.cast(types[random.below(6)]); break;
    case 1: changed = other_values(array, random); break;
    default: changed = other_dims(array, random);
  }
  value.type = changed.type();
  value.shape = shape_of(changed.dims());
  value.constant = std::make_shared<const Tensor>(changed);
}

// As the engine does it: verify, infer, then forward on what is left.
void run(Graph graph) {
  try {
    verify(graph);
    infer_shapes(graph);
    for (const Node& node : graph.nodes) {
      bool large = false;  // how much memory a model may ask for is its owner's business, not this test's
      for (ValueId id : node.outputs)
        if (id != kNone && graph.at(id).shape)
          if (const auto dims = known_dims(*graph.at(id).shape)) large |= count_of(*dims) > 100000;
      if (large) continue;
      Forward forward{node, graph.opset(), {}, {}};
      for (ValueId id : node.inputs) forward.inputs.push_back(id == kNone ? Array() : graph.constant(id)->array());
      forward.outputs.resize(node.outputs.size());
      node.op->forward(forward);
    }
  } catch (const Error&) {
  }
}

TEST(BrokenOps, NothingButErrors) {
  Random random(11);
  for (const auto& entry : std::filesystem::directory_iterator(testing::source_dir() + "/tests/golden/ops")) {
    if (entry.path().extension() != ".txt") continue;
    const std::string text = read_text(entry.path());
    for (size_t start = 0; start < text.size();) {
      const size_t end = std::min(text.find("\n\ngraph ", start), text.size());
      Graph graph = parse(std::string_view(text).substr(start, end - start));
      start = end == text.size() ? end : end + 2;
      int64_t elements = 0;
      for (ValueId id : graph.inputs) {
        graph.at(id).constant = graph.at(graph.find("given " + graph.at(id).name)).constant;
        elements += graph.constant(id)->count();
      }
      graph.inputs.clear();
      graph.remove_unused();
      if (elements > 1000) continue;
      for (int round = 0; round < 30; ++round) {
        Graph broken = graph;
        const uint64_t seed = random.bits();
        Random local(seed);
        for (uint64_t k = local.below(2) + 1; k-- > 0;) local.below(2) ? break_attribute(broken.nodes[0], local) : break_input(broken, local);
        SCOPED_TRACE(print(broken));
        EXPECT_NO_THROW(run(broken));
      }
    }
  }
}

}  // namespace
}  // namespace pare
