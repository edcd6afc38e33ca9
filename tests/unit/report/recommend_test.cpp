#include <gtest/gtest.h>

#include <functional>

#include "report/report.h"
#include "sample.h"

namespace pare {
namespace {

// One row in short: relative size, latency ratio ± 3 %, change in points ± half.
Row row_of(const std::string& name, double size, double ratio, double change, double half = 0.6) {
  Row row;
  row.name = name;
  row.model = name + ".onnx";
  row.size_bytes = int64_t(1'000'000 * size);
  row.metric = MetricValue{"top1", 0.9 + change / 100, 0.88, 0.92, 1017, true};
  row.paired = PairedTest{change / 100, (change - half) / 100, (change + half) / 100, 1, 2, 1};
  row.latency = Latency{ratio, ratio, ratio, ratio * 0.97, ratio * 1.03, 1, 1, 100};
  return row;
}

Row base() {
  Row row = row_of("fp32", 1, 1, 0);
  row.paired.reset();
  row.latency->ratio_low = row.latency->ratio_high = 1;
  return row;
}

Row failed(const std::string& name) {
  Row row;
  row.name = name;
  row.error = "no such layer.\nmore";
  return row;
}

struct Case {
  const char* what;
  std::vector<Row> rows;
  std::vector<const char*> says;
  std::vector<const char*> never;
};

void without_quality(std::vector<Row>& rows) {
  for (Row& row : rows) row.metric.reset(), row.paired.reset();
}

TEST(Recommend, SaysWhatTheRowsSay) {
  std::vector<Row> unmeasured = {base(), row_of("int8", 0.25, 0.5, 0)};
  without_quality(unmeasured);
  std::vector<Row> untimed = {base(), row_of("f16", 0.5, 1, 0), row_of("int8", 0.25, 1, 0)};
  for (Row& row : untimed) row.latency.reset();
  std::vector<Row> partly = {base(), row_of("int8", 0.25, 0.5, 0), row_of("int4", 0.12, 0.4, 0)};
  partly[2].metric.reset(), partly[2].paired.reset();
  std::vector<Row> unpaired = {base(), row_of("int8", 0.25, 0.5, -0.3)};
  unpaired[1].paired.reset();
  std::vector<Row> perplexity = {base(), row_of("q4", 0.3, 0.5, 0), row_of("q6", 0.4, 0.6, 0)};
  const double values[] = {22.77, 24.12, 22.87};
  for (size_t i = 0; i < 3; ++i) {
    perplexity[i].metric = MetricValue{"perplexity", values[i], values[i] - 0.3, values[i] + 0.3, 24'576, false};
    perplexity[i].paired.reset();
  }
  Row steady = row_of("dynamic", 0.28, 1.004, 0);
  steady.latency->ratio_low = 1.001;
  steady.latency->ratio_high = 1.007;
  const Case cases[] = {
      {"nothing", {}, {"Nothing was measured."}, {}},
      {"the baseline alone", {base()}, {"Only the baseline was measured."}, {}},
      {"the baseline failed",
       {failed("fp32"), row_of("int8", 0.25, 0.5, 0)},
       {"The baseline failed", "no such layer."},
       {"int8", "layer.."}},
      {"the fastest safe row",
       {base(), row_of("int8", 0.285, 0.52, -0.1), row_of("f16", 0.5, 0.9, 0)},
       {"int8 is 3.5x smaller, 1.9x faster, top-1 −0.1 ± 0.6 points (not distinguishable from the baseline on 1,017 "
        "images)."},
       {"failed", "Slower", "smallest"}},
      {"a tie goes to the smaller",
       {base(), row_of("a", 0.3, 0.50, 0), row_of("b", 0.25, 0.51, 0)},
       {"b is 4.0x smaller"},
       {"a is"}},
      {"no tie",
       {base(), row_of("a", 0.3, 0.50, 0), row_of("b", 0.25, 0.60, 0)},
       {"a is 3.3x smaller", "The smallest that keeps the quality is b: 4.0x smaller, 1.7x faster"},
       {}},
      {"a small real loss is allowed",
       {base(), row_of("int8", 0.25, 0.5, -0.4, 0.2)},
       {"int8 is 4.0x", "(a small but real loss on"},
       {}},
      {"exactly half a point", {base(), row_of("int8", 0.25, 0.5, -0.5, 0.2)}, {"int8 is 4.0x"}, {"Keep"}},
      {"a real loss is not",
       {base(), row_of("int4", 0.12, 0.4, -3.7, 1.2), row_of("int8", 0.25, 0.5, 0)},
       {"int8 is 4.0x", "Too much quality lost: int4 (−3.7 ± 1.2)."},
       {"int4 is"}},
      {"all lose",
       {base(), row_of("int4", 0.12, 0.4, -3.7, 1.2), row_of("int2", 0.06, 0.4, -30, 3)},
       {"Keep the baseline: every row loses too much quality. The closest, int4 is 8.3x smaller"},
       {"int2 is"}},
      {"better quality is said",
       {base(), row_of("qat", 0.25, 0.5, 1.5)},
       {"top-1 +1.5 ± 0.6 points (better than the baseline"},
       {}},
      {"nothing is better",
       {base(), row_of("same", 1.0, 1.0, 0)},
       {"Keep the baseline: same is not smaller or measurably faster."},
       {}},
      {"none is better",
       {base(), row_of("a", 1.0, 1.0, 0), row_of("b", 1.1, 1.5, 0)},
       {"Keep the baseline: none of 2 rows is smaller", "Slower than the baseline: b (1.5x)."},
       {}},
      {"the speed interval includes 1",
       {base(), row_of("f16", 0.5, 0.99, 0)},
       {"f16 is 2.0x smaller, not measurably faster or slower (1.01x, 95 % interval 0.98 to 1.04 includes 1)",
        "it saves size only"},
       {"faster,"}},
      {"surely slower, by nothing",
       {base(), steady},
       {"dynamic is 3.6x smaller, as fast, within 1 %", "it saves size only"},
       {"Slower", "slower"}},
      {"smaller but slower",
       {base(), row_of("dynamic", 0.28, 2.2, 0)},
       {"dynamic is 3.6x smaller, 2.2x slower", "It is not measurably faster"},
       {}},
      {"faster but larger", {base(), row_of("wide", 1.25, 0.5, 0)}, {"wide is 1.2x larger, 2.0x faster"}, {"smaller"}},
      {"failed rows are named",
       {base(), row_of("int8", 0.25, 0.5, 0), failed("x")},
       {"1 of 3 rows failed: x (no such layer)."},
       {"more"}},
      {"all failed", {base(), failed("x")}, {"Keep the baseline: every other row failed.", "1 of 2 rows failed"}, {}},
      {"quality unmeasured",
       unmeasured,
       {"int8 is 4.0x smaller, 2.0x faster, quality not measured.", "Quality was not measured"},
       {}},
      {"some unmeasured are not safe", partly, {"int8 is 4.0x", "Quality not comparable: int4."}, {"int4 is"}},
      {"latency unmeasured", untimed, {"int8 is 4.0x smaller, top-1", "Latency was not measured."}, {"faster"}},
      {"unpaired", unpaired, {"top-1 −0.3 points (no paired test, on 1,017 images)"}, {}},
      {"lower is better",
       perplexity,
       {"q6 is 2.5x smaller, 1.7x faster, perplexity +0.10", "Too much quality lost: q4 (+1.35)."},
       {"q4 is"}},
      {"few samples",
       {base(), row_of("int8", 0.25, 0.5, -4, 6)},
       {"The test is coarse: 1,017 images cannot show a loss below 6.0 points."},
       {}},
  };
  for (const Case& test : cases) {
    Table table;
    table.rows = test.rows;
    const std::string text = recommend(table);
    for (const char* part : test.says)
      EXPECT_NE(text.find(part), std::string::npos) << test.what << ": wanted «" << part << "» in\n" << text;
    for (const char* part : test.never)
      EXPECT_EQ(text.find(part), std::string::npos) << test.what << ": unwanted «" << part << "» in\n" << text;
  }
}

TEST(Recommend, TheSample) {
  const std::string text = recommend(sample::table());
  EXPECT_TRUE(text.starts_with("quantize-static entropy is 3.9x smaller, 2.0x faster, top-1 −0.1 ± 0.6 points"))
      << text;
}

// A paired test without a metric (broken input) must not be followed into nothing.
TEST(Recommend, PairedWithoutMetric) {
  Table table;
  table.rows = {base(), row_of("int8", 0.25, 0.5, 0, 9)};
  table.rows[0].metric.reset();
  EXPECT_NE(recommend(table).find("quality not measured"), std::string::npos);
  EXPECT_FALSE(html_page(table).empty());
  EXPECT_FALSE(text_table(table, 80, false).empty());
}

}  // namespace
}  // namespace pare
