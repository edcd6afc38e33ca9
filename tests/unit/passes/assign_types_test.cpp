// assign-bits with types: budgets, what it prefers, and quantize-columns on what it chose.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "passes/pass.h"
#include "support/decoders.h"

namespace pare {
namespace {

PipelineInputs texts(int64_t count) {
  PipelineInputs inputs;
  inputs.calibration = {count, [](int64_t i) {
                          Random random(uint64_t(i) + 5);
                          std::vector<int64_t> ids;
                          for (int64_t t = 0; t < 24; ++t) ids.push_back(int64_t(random.uniform() * 50) % 50);
                          return std::vector<Array>{testing::token_ids(ids)};
                        }};
  return inputs;
}

double stored_bits(const Graph& graph) {
  double bits = 0, count = 0;
  for (const Value& value : graph.values) {
    if (!value.constant || value.constant->dims.size() != 2 || !value.name.ends_with("weight")) continue;
    bits += 8 * double(value.constant->size_bytes());
    count += double(value.constant->count());
  }
  return bits / count;
}

// The mean over texts that nothing was fitted to.
double output_db(const Graph& graph, const Graph& small) {
  constexpr int kTexts = 16;
  double sum = 0;
  for (int64_t i = 0; i < kTexts; ++i) {
    const std::vector<Array> input = texts(1).calibration.get(90 + i);
    sum += testing::sqnr_db(run_reference(small, input)[0], run_reference(graph, input)[0]);
  }
  return sum / kTexts;
}

Graph decoder() { return testing::small_decoder(testing::small_shape()); }

const Codec* codec_of(const Graph& graph, const std::string& name) { return graph.constant(graph.find(name))->codec; }

TEST(AssignTypes, TheBudgetHoldsAndBitsGoWhereTheyMatter) {
  const Graph graph = decoder();
  Graph mixed = graph, four = graph;
  run_recipe(mixed, "assign-bits{types=q4_0|q5_0|q8_0, bits=5.2}", texts(4));
  run_recipe(four, "assign-bits{types=q4_0, bits=5.2}", texts(4));
  EXPECT_LE(stored_bits(mixed), 5.2);
  EXPECT_GT(stored_bits(mixed), 5.0);   // what is left is less than any step
  EXPECT_NEAR(stored_bits(four), 4.5, 1e-9);
  EXPECT_GT(output_db(graph, mixed), output_db(graph, four) + 3);
  // The weight that costs most alone takes more bits than the one that costs least.
  std::string costliest, cheapest;
  double least = 1000, most = -1000;
  for (const Value& value : graph.values) {
    if (!value.constant || value.constant->dims.size() != 2 || !value.name.ends_with("weight")) continue;
    Graph alone = graph;
    alone.at(alone.find(value.name)).constant = std::make_shared<const Tensor>(codec_q4_0.encode(value.constant->array(), -1, 0));
    const double db = output_db(graph, alone);
    if (db < least) costliest = value.name;
    if (db > most) cheapest = value.name;
    least = std::min(least, db);
    most = std::max(most, db);
  }
  EXPECT_NE(codec_of(mixed, costliest), &codec_q4_0) << costliest;
  EXPECT_EQ(codec_of(mixed, cheapest), &codec_q4_0) << cheapest;
}

TEST(AssignTypes, ColumnsAreRoundedToTheTypesChosenFromTheFirstWeights) {
  const Graph graph = decoder();
  Graph mixed = graph, columns = graph;
  run_recipe(mixed, "assign-bits{types=q4_0|q5_0, bits=4.8}", texts(24));
  run_recipe(columns, "assign-bits{types=q4_0|q5_0, bits=4.8}, quantize-columns{type=stored}", texts(24));
  for (const Value& value : mixed.values)
    if (value.constant && !value.constant->plain()) { EXPECT_EQ(columns.constant(columns.find(value.name))->codec, value.constant->codec) << value.name; }
  EXPECT_GT(output_db(graph, columns), output_db(graph, mixed) + 2);
  Graph nothing = graph;
  EXPECT_EQ(run_recipe(nothing, "quantize-columns{type=stored}", texts(24)).passes[0].changed, 0);
  EXPECT_THROW(run_recipe(nothing, "assign-bits{types=q4_0|q9_0}", texts(24)), UsageError);
  EXPECT_THROW(run_recipe(nothing, "assign-bits{types=q4_0|q8_0}", {}), Error);   // nothing to measure on
}

// Feedback spares the weights that layers alone read, not the table that is looked up as well: it takes more bits then, at some budget.
TEST(AssignTypes, FeedbackThatFollowsIsCountedWhereItHelps) {
  const Graph graph = decoder();
  std::string table;
  for (const Node& node : graph.nodes)
    if (node.is("Gather") && graph.constant(node.inputs[0]) != nullptr) table = graph.at(node.inputs[0]).name;
  int more = 0;
  for (const char* bits : {"4.54", "4.8", "4.84", "4.88", "4.9", "4.92", "4.94", "4.96"}) {
    const std::string types = std::string("types=q4_0|q5_0|q8_0, bits=") + bits;
    Graph alone = graph, fed = graph;
    run_recipe(alone, "assign-bits{" + types + "}", texts(24));
    run_recipe(fed, "assign-bits{" + types + ", feedback=yes}", texts(24));
    EXPECT_LE(stored_bits(fed), std::stod(bits));
    const int64_t before = alone.constant(alone.find(table))->size_bytes(), now = fed.constant(fed.find(table))->size_bytes();
    EXPECT_GE(now, before) << bits;
    more += now > before;
  }
  EXPECT_GT(more, 0);
}

}  // namespace
}  // namespace pare
