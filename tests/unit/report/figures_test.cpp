#include "report/figures.h"

#include <gtest/gtest.h>

#include <cmath>

#include "report/names.h"

namespace pare {
namespace {

TEST(Figures, Sizes) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(999), "999 B");
  EXPECT_EQ(size_text(1000), "1.00 kB");
  EXPECT_EQ(size_text(282'317), "282 kB");
  EXPECT_EQ(size_text(999'499), "999 kB");
  EXPECT_EQ(size_text(999'600), "1.00 MB");
  EXPECT_EQ(size_text(1'096'440), "1.10 MB");
  EXPECT_EQ(size_text(12'150'000), "12.2 MB");
  EXPECT_EQ(size_text(270.9e6), "271 MB");
}

TEST(Figures, ThreeDigits) {
  EXPECT_EQ(milliseconds_text(0.42049), "0.420 ms");
  EXPECT_EQ(milliseconds_text(9.996), "10.0 ms");
  EXPECT_EQ(milliseconds_text(15.65), "15.7 ms");
  EXPECT_EQ(milliseconds_text(1234.5), "1,234 ms");
  EXPECT_EQ(milliseconds_text(0), "0 ms");
  EXPECT_EQ(significant_text(NAN), "–");
  EXPECT_EQ(significant_text(1e300), "1.00e+300");
}

TEST(Figures, FactorsSignsAndCounts) {
  EXPECT_EQ(factor_text(1.049), "1.05x");
  EXPECT_EQ(factor_text(3.88), "3.9x");
  EXPECT_EQ(factor_text(12.4), "12x");
  EXPECT_EQ(signed_text(-0.04, 1), "0.0");
  EXPECT_EQ(signed_text(-0.06, 1), "−0.1");
  EXPECT_EQ(signed_text(0.29, 1), "+0.3");
  EXPECT_EQ(count_text(1017), "1,017");
  EXPECT_EQ(count_text(1'234'567), "1,234,567");
  EXPECT_EQ(large_count_text(40'813'184), "40.8 M");
  EXPECT_EQ(seconds_text(1.72), "1.7 s");
  EXPECT_EQ(seconds_text(1860), "31 min");
}

TEST(Figures, Metrics) {
  EXPECT_EQ(metric_text({"top1", 0.9164, 0.8985, 0.9326, 1017, true}, true), "91.64 ± 1.71");
  EXPECT_EQ(metric_text({"top1", 0.915, 0.87, 0.95, 200, true}, false), "91.5");
  EXPECT_EQ(metric_text({"perplexity", 22.768, 22, 23, 24'576, false}, false), "22.77");
  EXPECT_EQ(metric_title({"map50", 0, 0, 0, 0, true}), "mAP@50");
  EXPECT_EQ(metric_title({"spearman", 0, 0, 0, 0, true}), "spearman");
}

Row made_by(const std::string& recipe, const std::string& model = "m.onnx", const std::string& name = "") {
  Row row;
  row.recipe = recipe;
  row.model = model;
  row.name = name;
  return row;
}

TEST(Names, SayWhatTellsTheRowsApart) {
  Table table;
  table.rows = {made_by("", "models/resnet20.onnx"),
                made_by("fold-batchnorm, quantize-static{calibration=minmax, samples=8, exclude=[a, b]}"),
                made_by("fold-batchnorm, quantize-static{calibration=entropy, samples=8, exclude=[]}"),
                made_by("prune-weights{sparsity=0.9}, finetune{epochs=4}"),
                made_by("prune-weights{sparsity=0.8}, finetune{epochs=4}"),
                made_by("fold-batchnorm"),
                made_by("anything", "x", "my own")};
  const std::vector<std::string> expected = {"resnet20.onnx",
                                             "quantize-static minmax",
                                             "quantize-static entropy",
                                             "prune-weights sparsity=0.9 + finetune",
                                             "prune-weights sparsity=0.8 + finetune",
                                             "fold-batchnorm",
                                             "my own"};
  EXPECT_EQ(row_names(table), expected);
}

TEST(Names, AModelTrainedFromNothingIsAnOriginal) {
  Table table;
  table.rows = {made_by("initialize-weights{exclude=}, finetune{epochs=20, rate=0.2}", "models/fashion.onnx"),
                made_by("initialize-weights{exclude=}, finetune{epochs=9, loss=output}, cut-graph{inputs=z}, quantize-static"),
                made_by("prune-weights{sparsity=0.8}, finetune{epochs=4}")};
  EXPECT_EQ(row_names(table), (std::vector<std::string>{"fashion.onnx", "quantize-static", "prune-weights + finetune"}));
}

TEST(Names, EqualOnesShowTheirFileAndOddRecipesDoNoHarm) {
  Table table;
  table.rows = {made_by("a{x=1}", "1.onnx"), made_by("a{x=1}", "2.onnx"), made_by("}{,,=,\"", "3.onnx"),
                made_by(" , ", ""), Row{}};
  const std::vector<std::string> names = row_names(table);
  EXPECT_EQ(names[0], "a (1.onnx)");
  EXPECT_EQ(names[1], "a (2.onnx)");
  EXPECT_EQ(names[4], "row 5");
}

}  // namespace
}  // namespace pare
