// prune-weights by magnitude: exact fractions, patterns, what is spared, what stays as it was.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "codecs/codecs.h"
#include "passes/pass.h"
#include "passes/prune_layers.h"
#include "support/networks.h"

namespace pare {
namespace {

std::vector<float> numbers(size_t n, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(n);
  for (float& v : values) v = float(random.normal());
  return values;
}
int64_t pruned(const std::vector<uint8_t>& mask) { return std::count(mask.begin(), mask.end(), uint8_t(0)); }
std::vector<float> squares(std::vector<float> values) {
  for (float& v : values) v *= v;
  return values;
}
PrunePattern pattern_of(const char* text) { return parse_pattern(text, "test"); }

TEST(PrunePattern, ReadsWhatItPrintsAndRefusesTheRest) {
  EXPECT_EQ(pattern_of("unstructured"), PrunePattern{});
  EXPECT_EQ(pattern_of("2:4"), (PrunePattern{2, 4, 1, 1}));
  EXPECT_EQ(pattern_of("16x4"), (PrunePattern{0, 0, 16, 4}));
  for (const char* wrong : {"", "4:4", "0:4", "5:4", "2:", ":4", "2:4:8", "0x4", "4x", "x", "-1x4", "2:2000", "99999999999999999999:4", "4x1 ", "dense"})
    EXPECT_THROW(parse_pattern(wrong, "test"), UsageError) << wrong;
}

TEST(PruneMask, TakesTheLeastAndTheFirstOfEqualOnes) {
  const MatrixShape shape{2, 4, 4, 2};
  const std::vector<float> scores{5, 1, 1, 3, 1, 0, 2, 1};
  EXPECT_EQ(prune_mask(scores, shape, {}, 3, false), (std::vector<uint8_t>{1, 0, 0, 1, 1, 0, 1, 1}));
  EXPECT_EQ(prune_mask(scores, shape, {}, 4, true), (std::vector<uint8_t>{1, 0, 0, 1, 0, 0, 1, 1}));
  EXPECT_EQ(prune_mask(scores, shape, {}, 0, false), std::vector<uint8_t>(8, 1));
  EXPECT_EQ(prune_mask(scores, shape, {}, 8, false), std::vector<uint8_t>(8, 0));
  EXPECT_EQ(prune_mask(std::vector<float>(8, 1.f), shape, {}, 3, false), (std::vector<uint8_t>{0, 0, 0, 1, 1, 1, 1, 1}));
}

TEST(PruneMask, LosesExactlyWhatWasAsked) {
  const MatrixShape shape{7, 45, 5, 7};
  const std::vector<float> scores = squares(numbers(315, 3));
  for (int64_t count : {0, 1, 31, 157, 200, 314, 315})
    for (bool by_rows : {false, true}) EXPECT_EQ(pruned(prune_mask(scores, shape, {}, count, by_rows)), count) << by_rows;
  const std::vector<uint8_t> rows = prune_mask(scores, shape, {}, 157, true);
  for (int64_t r = 0; r < 7; ++r) {
    const auto gone = std::count(rows.begin() + r * 45, rows.begin() + (r + 1) * 45, uint8_t(0));
    EXPECT_TRUE(gone == 22 || gone == 23) << gone;
  }
}

TEST(PruneMask, NOfMKeepsTheBestOfEveryGroupAndNeverCrossesATap) {
  const MatrixShape shape{3, 20, 10, 3};  // two taps of ten inputs: groups of 4, 4 and 2
  const std::vector<float> scores = squares(numbers(60, 4));
  const PrunePattern pattern = pattern_of("2:4");
  const std::vector<uint8_t> mask = prune_mask(scores, shape, pattern, 0, false);
  EXPECT_EQ(pruned(mask), fixed_count(shape, pattern));
  for (int64_t row = 0; row < 3; ++row)
    for (int64_t tap = 0; tap < 2; ++tap)
      for (auto [first, size, kept] : {std::tuple{0, 4, 2}, {4, 4, 2}, {8, 2, 1}}) {
        const int64_t at = row * 20 + tap * 10 + first;
        EXPECT_EQ(std::count(mask.begin() + at, mask.begin() + at + size, uint8_t(1)), kept);
        for (int64_t i = at; i < at + size; ++i)
          for (int64_t k = at; k < at + size; ++k) EXPECT_TRUE(mask[size_t(i)] == 0 || mask[size_t(k)] != 0 || scores[size_t(i)] >= scores[size_t(k)]);
      }
}

TEST(PruneMask, BlocksGoAsOneAndStayWithinTapsAndGroups) {
  const MatrixShape shape{12, 12, 6, 6};  // two groups of six outputs, two taps of six inputs: blocks 4x4, 4x2, 2x4, 2x2
  const std::vector<float> scores = squares(numbers(144, 5));
  for (bool by_rows : {false, true}) {
    const std::vector<uint8_t> mask = prune_mask(scores, shape, pattern_of("4x4"), 72, by_rows);
    EXPECT_NEAR(double(pruned(mask)), 72, 8);
    for (int64_t r = 0; r < 12; ++r)
      for (int64_t c = 0; c < 12; ++c) {
        const int64_t first_row = r / 6 * 6 + r % 6 / 4 * 4, first_col = c / 6 * 6 + c % 6 / 4 * 4;
        EXPECT_EQ(mask[size_t(r * 12 + c)], mask[size_t(first_row * 12 + first_col)]) << r << " " << c;
      }
  }
}

int64_t zeros(const Graph& graph, const std::string& weight_of) {
  for (const PrunableLayer& layer : prunable_layers(graph))
    if (layer.name == weight_of) {
      const std::vector<float> matrix = weight_matrix(graph, layer);
      return std::count(matrix.begin(), matrix.end(), 0.f);
    }
  return -1;
}
struct Totals {
  int64_t zeros = 0, count = 0;
};
Totals totals(const Graph& graph) {
  Totals sum;
  for (const PrunableLayer& layer : prunable_layers(graph)) {
    sum.zeros += zeros(graph, layer.name);
    sum.count += layer.shape.count();
  }
  return sum;
}

TEST(PruneWeights, TheFractionIsThatOfAllWeightsWhateverTheScopeAndWhateverIsSpared) {
  for (const char* scope : {"layer", "global", "erk"})
    for (const char* spare : {"none", "auto", "Gemm"})
      for (double sparsity : {0.1, 0.5, 0.75}) {
        Graph graph = testing::residual_network();
        run_recipe(graph, "prune-weights{scope=" + std::string(scope) + ", spare=" + spare + ", sparsity=" + number_text(sparsity) + "}", {});
        const Totals sum = totals(graph);
        EXPECT_EQ(sum.zeros, std::llround(sparsity * double(sum.count))) << scope << spare << sparsity;
      }
}

std::string notes_of(const PipelineResult& result) {
  std::string notes;
  for (const std::string& note : result.passes.back().notes) notes += note + "\n";
  return notes;
}

TEST(PruneWeights, SparesTheFirstConvolutionDepthwiseOnesAndASmallLastLayer) {
  testing::Network n;
  ValueId x = n.node("Relu", {n.conv(n.input("image", {1, 3, 8, 8}), 3, 8, 3, 1)});
  x = n.node("Relu", {n.conv(n.conv(x, 8, 64, 3, 1), 64, 64, 3, 1, 64)});
  x = n.node("Flatten", {n.node("GlobalAveragePool", {n.conv(x, 64, 128, 1, 1)})});
  Graph graph = n.finish(n.node("MatMul", {x, n.constant({128, 5})}));
  const std::string notes = notes_of(run_recipe(graph, "prune-weights{sparsity=0.3}", {}));
  std::vector<bool> dense;
  for (const PrunableLayer& layer : prunable_layers(graph)) dense.push_back(zeros(graph, layer.name) == 0);
  EXPECT_EQ(dense, (std::vector<bool>{true, false, true, false, true})) << notes;
  for (const char* reason : {"first convolution", "depthwise", "last layer"}) EXPECT_NE(notes.find(reason), std::string::npos) << notes;
}

TEST(PruneWeights, KeptWeightsBiasesAndNormsStayAsTheyWere) {
  const Graph original = testing::residual_network();
  Graph graph = original;
  run_recipe(graph, "prune-weights{sparsity=0.6}", {});
  for (const Value& value : graph.values) {
    if (value.constant == nullptr) continue;
    const std::vector<float> after = value.constant->decode().to_floats();
    const std::vector<float> before = original.at(original.find(value.name)).constant->decode().to_floats();
    for (size_t i = 0; i < after.size(); ++i) EXPECT_TRUE(after[i] == before[i] || (after[i] == 0 && value.constant->dims.size() > 1)) << value.name;
  }
}

TEST(PruneWeights, BatchNormalizationsWeighInAndStay) {
  Graph pruned = testing::residual_network(1, true), merged = pruned;
  const auto norms = [](const Graph& graph) { return std::count_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.is("BatchNormalization"); }); };
  const auto before = norms(pruned);
  run_recipe(pruned, "prune-weights{sparsity=0.6, scope=global}", {});
  EXPECT_EQ(norms(pruned), before);
  // The same weights go as if they had been merged first.
  run_recipe(pruned, "fold-batchnorm", {});
  run_recipe(merged, "fold-batchnorm, prune-weights{sparsity=0.6, scope=global}", {});
  const auto a = prunable_layers(pruned), b = prunable_layers(merged);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(weight_matrix(pruned, a[i]), weight_matrix(merged, b[i])) << a[i].name;
}

TEST(PruneWeights, GraduallyOnlyInFrontOfTraining) {
  for (const char* recipe : {"prune-weights{schedule=cubic}", "prune-weights{schedule=cubic}, fold-batchnorm", "prune-weights{schedule=cubic, score=obs}, finetune",
                             "prune-weights{schedule=cubic, pattern=2:4}, finetune", "quantize-dynamic, prune-weights{schedule=cubic}, finetune"}) {
    Graph graph = testing::residual_network();
    EXPECT_THROW(run_recipe(graph, recipe, {}), UsageError) << recipe;
  }
}

TEST(PruneWeights, StoredTypesStay) {
  for (const char* first : {"cast-weights{type=f16}", "cast-weights{type=bf16}", "quantize-dynamic"}) {
    Graph graph = testing::residual_network();
    run_recipe(graph, first, {});
    std::vector<const Codec*> codecs;
    for (const PrunableLayer& layer : prunable_layers(graph)) codecs.push_back(graph.constant(layer.value)->codec);
    run_recipe(graph, "prune-weights{sparsity=0.5, spare=none}", {});
    const Totals sum = totals(graph);
    EXPECT_GE(sum.zeros, sum.count / 2) << first;
    size_t i = 0;
    for (const PrunableLayer& layer : prunable_layers(graph)) EXPECT_EQ(graph.constant(layer.value)->codec, codecs[i++]) << first;
  }
}

TEST(PruneWeights, AWeightReadTwiceIsPrunedOnceAndAnEmbeddingNotAtAll) {
  testing::Network n;
  const ValueId ids = n.graph.add_value("ids", Type::i64, shape_of({3}));
  n.graph.inputs.push_back(ids);
  const ValueId table = n.constant({10, 8}), shared = n.constant({8, 8});
  ValueId x = n.node("Gather", {table, ids});
  x = n.node("MatMul", {n.node("Relu", {n.node("MatMul", {x, shared})}), shared});
  Graph graph = n.finish(n.node("Gemm", {n.node("MatMul", {x, n.constant({8, 8})}), table}, {{"transB", int64_t(1)}}));
  run_recipe(graph, "prune-weights{spare=none}", {});
  const std::vector<PrunableLayer> layers = prunable_layers(graph);
  ASSERT_EQ(layers.size(), 3u);
  EXPECT_EQ(layers[0].nodes.size(), 2u);
  EXPECT_EQ(zeros(graph, layers[0].name) + zeros(graph, layers[1].name), (64 + 64 + 80) / 2);  // the others take the table's share
  const std::vector<float> rows = graph.constant(graph.find(n.graph.at(table).name))->decode().to_floats();
  EXPECT_EQ(std::count(rows.begin(), rows.end(), 0.f), 0);
}

TEST(PruneWeights, SaysWhatCannotBe) {
  Graph graph = testing::residual_network();
  EXPECT_THROW(run_recipe(graph, "prune-weights{sparsity=0.9, spare=Conv}", {}), Error);
  EXPECT_THROW(run_recipe(graph, "prune-weights{pattern=3}", {}), UsageError);
  EXPECT_THROW(run_recipe(graph, "prune-weights{sparsity=1}", {}), UsageError);
}

}  // namespace
}  // namespace pare
