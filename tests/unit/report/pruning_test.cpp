#include "report/pruning.h"

#include <gtest/gtest.h>

#include "report/report.h"

namespace pare {
namespace {

// A row of 1,000 weights; the change's interval is ±1 point around it.
Row row_of(const std::string& recipe, int zeros, double quality, double ratio, int64_t bytes) {
  Row row;
  row.recipe = recipe;
  row.model = recipe + ".pare";
  row.weight_count = 1000;
  row.weight_nonzero = 1000 - zeros;
  row.size_bytes = bytes;
  row.metric = MetricValue{"top1", quality, quality - 0.02, quality + 0.02, 1000, true};
  row.latency = Latency{ratio, ratio, ratio, ratio - 0.01, ratio + 0.01, 1, 1, 100};
  row.paired = PairedTest{quality - 0.9, quality - 0.91, quality - 0.89, 1, 1, 0.5};
  return row;
}

std::string prune(const std::string& sparsity, const std::string& more = ",pattern=unstructured") { return "prune-weights{sparsity=" + sparsity + more + "}"; }

Table sweep() {
  Table table;
  table.rows = {row_of("", 0, 0.9, 1, 1000),
                row_of(prune("0.9"), 900, 0.5, 0.8, 200),  // order of rows does not matter
                row_of(prune("0.3"), 300, 0.9, 1.4, 800),
                row_of(prune("0.6"), 600, 0.895, 1.2, 500)};
  return table;
}

TEST(PruningCurve, IsFreeUpToWhereTheIntervalLeavesTheBaseline) {
  const auto curves = pruning_curves(sweep());
  ASSERT_EQ(curves.size(), 1u);
  const PruningCurve& curve = curves[0];
  ASSERT_EQ(curve.points.size(), 4u);
  EXPECT_DOUBLE_EQ(curve.points[1].sparsity, 0.3);
  EXPECT_DOUBLE_EQ(*curve.free_up_to, 0.6);
  // Above the line from (0, 0.9) to (0.9, 0.5): at 0.3 1/3, at 0.6 0.6542 of the fall.
  EXPECT_DOUBLE_EQ(*curve.knee, 0.6);
  // From 1.2 at 0.6 to 0.8 at 0.9: half way.
  EXPECT_NEAR(*curve.break_even, 0.75, 1e-12);
  EXPECT_DOUBLE_EQ(*curve.points[3].size, 0.2);
  const auto words = pruning_words(sweep());
  ASSERT_EQ(words.size(), 1u);
  for (const char* part : {"up to 60 %", "behind 60 %", "from 75 % on", "1.2x at 90 %", "20 % of its bytes"}) EXPECT_NE(words[0].find(part), std::string::npos) << words[0];
}

TEST(PruningCurve, FasterNeedsAnIntervalBelowTheDenseModel) {
  Table table = sweep();
  table.rows[1].latency->ratio_high = 1.1;
  EXPECT_FALSE(pruning_curves(table)[0].break_even);
  EXPECT_NE(pruning_words(table)[0].find("not measurably faster"), std::string::npos);
}

TEST(PruningCurve, ALossInBetweenEndsWhatIsFree) {
  Table table = sweep();
  table.rows[2].paired = PairedTest{-0.05, -0.06, -0.04, 1, 60, 0};
  const auto curves = pruning_curves(table);
  EXPECT_DOUBLE_EQ(*curves[0].free_up_to, 0);
  EXPECT_NE(pruning_words(table)[0].find("already 30 %"), std::string::npos) << pruning_words(table)[0];
}

TEST(PruningCurve, IsComparedWithTheSameRecipeWithoutPruning) {
  Table table = sweep();
  table.rows.push_back(row_of("quantize-static{bits=8}", 10, 0.9, 0.5, 250));
  for (const auto& [sparsity, zeros, ratio] : {std::tuple("0.3", 300, 0.6), std::tuple("0.6", 600, 0.55), std::tuple("0.9", 900, 0.25)})
    table.rows.push_back(row_of(prune(sparsity) + ", quantize-static{bits=8}", zeros, 0.9, ratio, 100));
  const auto curves = pruning_curves(table);
  ASSERT_EQ(curves.size(), 2u);
  EXPECT_EQ(curves[1].dense, 4u);
  EXPECT_EQ(curves[1].name, "prune-weights + quantize-static");
  EXPECT_DOUBLE_EQ(*curves[1].points.back().time, 0.5);
  EXPECT_NEAR(*curves[1].break_even, 0.6 + 0.3 * 0.1 / 0.6, 1e-12);
  EXPECT_FALSE(curves[1].knee) << "it does not fall";
}

TEST(PruningCurve, GroupsByAllButTheSparsity) {
  Table table = sweep();
  EXPECT_TRUE(pruning_words({}).empty());
  table.rows[1].recipe = prune("0.9", ",pattern=4x1");
  EXPECT_TRUE(pruning_curves(table).empty()) << "two sparsities are no curve";
  for (size_t i = 1; i < 4; ++i) table.rows[i].recipe = "prune-weights{sparsity=0.5,pattern=" + std::to_string(i) + ":4}";
  ASSERT_EQ(pruning_curves(table).size(), 1u);
  EXPECT_EQ(pruning_curves(table)[0].name, "prune-weights N:M");
  table.rows[1].error = "failed";
  EXPECT_TRUE(pruning_curves(table).empty());
}

TEST(PruningCurve, ThePageDrawsThreePanels) {
  const std::string page = html_page(sweep());
  const size_t at = page.find("<section id=\"pruning\">");
  ASSERT_NE(at, std::string::npos);
  const std::string section = page.substr(at, page.find("</section>", at) - at);
  for (const char* part : {"<b>Quality.</b>", "<b>Latency.</b>", "<b>Size.</b>", "class=\"ring\"", "up to 60 %"}) EXPECT_NE(section.find(part), std::string::npos) << part;
  Table plain = sweep();
  plain.rows.resize(2);
  EXPECT_EQ(html_page(plain).find("id=\"pruning\""), std::string::npos);
}

}  // namespace
}  // namespace pare
