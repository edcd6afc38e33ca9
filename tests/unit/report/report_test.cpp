#include "report/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "report/columns.h"
#include "report/html.h"
#include "sample.h"
#include "support/places.h"

namespace pare {
namespace {

size_t count_of_text(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

size_t widest_line(const std::string& text) {
  std::istringstream lines(text);
  size_t widest = 0;
  for (std::string line; std::getline(lines, line) && !line.empty();) {
    widest =
        std::max(widest, size_t(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; })));
  }
  return widest;
}

TEST(Text, HoldsTheFigures) {
  const std::string text = text_table(sample::table(), 0, false);
  for (const char* part :
       {"1.10 MB", "282 kB", "3.9x", "91.54 ± 1.71", "−0.1 ± 0.6", "0.203 ms", "2.0x [1.99–2.08]", "top-1, %",
        "failed: layer3.2.conv2", "Energy not measured: this machine has no readable counter", "Data: cifar10.toml"}) {
    EXPECT_TRUE(has(text, part)) << part << "\n" << text;
  }
  EXPECT_EQ(count_of_text(text, "Energy"), 1u) << "said once, as a foot note";
  EXPECT_FALSE(has(text, "\x1b"));
}

TEST(Text, FitsTheTerminal) {
  for (const int width : {60, 80, 100, 132}) {
    const std::string text = text_table(sample::table(), width, false);
    EXPECT_LE(widest_line(text), size_t(width)) << text;
    EXPECT_TRUE(has(text, "Size")) << text;
  }
  EXPECT_TRUE(has(text_table(sample::table(), 80, false), "Not shown for lack of width: "));
  EXPECT_FALSE(text_table(sample::table(), 1, false).empty());
  EXPECT_EQ(text_table(Table{}, 80, false), "no rows\n");
}

TEST(Text, ColourOnlyWhereAskedAndNeverFromTheInput) {
  Table table = sample::table();
  table.rows[1].name = "\x1b[31mred\x07\xc2\x9b";
  EXPECT_TRUE(has(text_table(table, 0, true), "\x1b[32m"));
  const std::string text = text_table(table, 0, false);
  EXPECT_FALSE(has(text, "\x1b"));
  EXPECT_FALSE(has(text, "\x07"));
  EXPECT_FALSE(has(text, "\xc2\x9b"));
}

TEST(Columns, OneListForAll) {
  const std::string html = html_page(sample::table()), text = text_table(sample::table(), 0, false),
                    docs = columns_markdown();
  const Table table = sample::table();
  const Sheet sheet(table);
  ASSERT_GE(sheet.columns.size(), 8u);
  for (const Column* column : sheet.columns) {
    EXPECT_TRUE(has(html, std::string("data-key=\"") + column->key + "\"")) << column->key;
    EXPECT_TRUE(has(text, column->title)) << column->key;
  }
  for (const Column& column : columns()) EXPECT_TRUE(has(docs, column.help)) << column.key;
}

TEST(Columns, AppearWhenSomeRowHasSomethingToSay) {
  Table table = sample::table();
  EXPECT_FALSE(has(text_table(table, 0, false), "Non-zero"));
  table.rows[1].weight_nonzero = 27'090;
  table.rows[1].macs = 20'000'000;
  table.rows[1].energy_joules = 0.0012;
  table.rows[1].throughput = Throughput{621, 109};
  const std::string text = text_table(table, 0, false);
  for (const char* part : {"Non-zero", "10 %", "MACs", "20.0 M", "Energy", "1.20 mJ", "tokens/s", "621", "109"})
    EXPECT_TRUE(has(text, part)) << part;
}

TEST(Page, HoldsEverySection) {
  const std::string html = html_page(sample::table());
  for (const char* part :
       {"id=\"results\"", "id=\"frontier\"", "id=\"layers\"", "id=\"reproduce\"", "id=\"about\"", "id=\"machine\"",
        "<h1>ResNet-20 on CIFAR-10</h1>", "quantize-static entropy is 3.9x smaller", "class=\"chip pick\"",
        "class=\"error\"", "prefers-color-scheme:dark", "@media print", "class=\"front\"", "8.30 GB",
        "pare compress models/resnet20.onnx --recipe &#39;fold-batchnorm{}, cast-weights{type=f16}&#39; --data "
        "cifar10.toml -o f16.onnx",
        "kept in float32: 27 inputs per output", "Not measured: this machine has no readable counter"}) {
    EXPECT_TRUE(has(html, part)) << part;
  }
  EXPECT_EQ(count_of_text(html, "<svg"), 2u);
  EXPECT_EQ(count_of_text(html, "<details"), 6u);
  EXPECT_EQ(count_of_text(html, "<tr data-row="), 8u);
}

TEST(Page, AsksNobodyForAnything) {
  const std::string html = html_page(sample::table());
  for (const char* part : {"http://", "https://", "src=", "@import", "url(", "<link rel=\"stylesheet"})
    EXPECT_FALSE(has(html, part)) << part;
  EXPECT_TRUE(has(html, "default-src 'none'"));
}

TEST(Page, GivenTextStaysText) {
  const std::string evil = "</script><script>alert(1)</script>\"'><img onerror=x>\x01\xff";
  Table table = sample::table();
  table.title = table.data = table.recommendation = evil;
  table.machine["cpu"] = evil;
  table.machine[evil] = evil;
  for (Row& row : table.rows) {
    row.model = row.recipe = row.format = row.energy_note = row.name = evil;
    row.notes = row.shapes = {evil};
    if (row.metric) row.metric->name = evil;
    row.more_metrics = {{evil, 1, 1, 1, 1, true}};
    for (LayerRow& layer : row.layers) layer.name = layer.op = layer.implementation = layer.note = evil;
  }
  table.rows[7].error = evil;
  const std::string html = html_page(table);
  EXPECT_EQ(count_of_text(html, "<script"), 1u);
  EXPECT_EQ(count_of_text(html, "</script"), 1u);
  EXPECT_FALSE(has(html, "<img"));
  EXPECT_FALSE(has(html, "\x01"));
  EXPECT_FALSE(has(html, "\xff"));
  EXPECT_FALSE(has(html, "\"'>"));
  EXPECT_TRUE(has(html, "&lt;script&gt;alert(1)"));
  // A quote in a path may not end the shell's quoting either.
  EXPECT_TRUE(has(html, "&#39;\\&#39;&#39;"));
}

TEST(Page, CutsBetweenCharacters) {
  EXPECT_EQ(escaped("äöü", 3), "ä… (4 bytes more in the JSON)");
  EXPECT_EQ(escaped("a<b", 10), "a&lt;b");
}

TEST(Page, StaysBelowOneMegabyte) {
  Table table = sample::table();
  while (table.rows.size() < 400) {
    Row row = table.rows[5];
    row.recipe += ", finetune{epochs=" + std::to_string(table.rows.size()) + "}";
    row.notes.assign(50, std::string(5000, 'n'));
    while (row.layers.size() < 300) row.layers.push_back(row.layers[row.layers.size() % 20]);
    for (LayerRow& layer : row.layers) layer.note = std::string(3000, '<');
    table.rows.push_back(row);
  }
  table.rows[7].error = std::string(5'000'000, 'e');
  const std::string html = html_page(table);
  EXPECT_LT(html.size(), 1'000'000u);
  EXPECT_TRUE(has(html, "the JSON holds all"));
  EXPECT_LT(html_page(sample::table()).size(), 150'000u);
}

TEST(Page, EmptyAndPoorTables) {
  EXPECT_TRUE(has(html_page(Table{}), "Nothing was measured."));
  Table table;
  table.rows.resize(2);
  EXPECT_FALSE(has(html_page(table), "<svg"));
}

// Figures far out of range must neither hang nor break the drawing.
TEST(Page, ExtremeFigures) {
  Table table = sample::table();
  const double values[] = {1e308, -1e308, NAN, INFINITY, 0, 1e-300, 0.5};
  for (size_t i = 0; i < 7; ++i) {
    table.rows[i].metric->value = values[i];
    table.rows[i].latency->median_ms = values[6 - i];
    table.rows[i].latency->ratio = values[(i + 3) % 7];
    table.rows[i].size_bytes = i % 2 ? INT64_MAX : 1;
    for (LayerRow& layer : table.rows[i].layers) layer.milliseconds = values[i], layer.sqnr_db = values[6 - i];
  }
  const std::string html = html_page(table);
  const size_t first = html.find("<svg");
  if (first != std::string::npos) {
    const std::string drawing = html.substr(first, html.find("</section>", first) - first);
    EXPECT_FALSE(has(drawing, "nan"));
    EXPECT_FALSE(has(drawing, "inf "));
  }
  EXPECT_FALSE(text_table(table, 100, true).empty());
}

TEST(Page, OneCollapsedModelDoesNotFlattenTheOthers) {
  Table table = sample::table();
  table.rows[6].metric->value = 0.1;
  table.rows[6].paired = PairedTest{-0.8164, -0.84, -0.79, 3, 833, 0};
  const std::string html = html_page(table);
  EXPECT_TRUE(has(html, "quantize-columns 10.0</text>")) << "its label carries the value";
}

TEST(Page, AFactorThatWasNotShownIsNoGain) {
  Table table = sample::table();
  table.rows.resize(2);  // float16: 0.99 of the time, interval 0.97 to 1.01
  const std::string html = html_page(table);
  EXPECT_TRUE(has(html, "speed: no difference shown"));
  EXPECT_FALSE(has(html, "<dt>faster</dt>"));
}

void expect_it_works_in_a_browser(const Table& table) {
  const testing::TemporaryFolder folder;
  const std::string path = folder / "report.html";
  std::ofstream(path) << html_page(table);
  EXPECT_EQ(std::system((testing::source_dir() + "/tests/report_in_browser.sh " + path).c_str()), 0);
}

TEST(Page, WorksInABrowser) {
  expect_it_works_in_a_browser(sample::table());
}

TEST(Page, EveryColumnAndLongWordsFitABrowser) {
  Table table = sample::table();
  const std::string word(300, 'w');
  table.title = table.data = table.rows[1].name = table.rows[2].model = table.rows[7].error = table.rows[7].recipe =
      word;
  table.machine["cpu"] = table.machine[word] = word;
  table.rows[5].notes = {word};
  table.rows[5].layers[3].name = table.rows[5].layers[4].implementation = table.rows[5].layers[5].note = word;
  for (Row& row : table.rows) {
    row.weight_nonzero /= 3;
    row.energy_joules = 0.0012;
    row.throughput = Throughput{621, 109};
  }
  table.rows[1].macs /= 2;
  const Sheet sheet(table);
  EXPECT_EQ(sheet.columns.size(), columns().size());
  expect_it_works_in_a_browser(table);
}

TEST(Page, DrawsBoxesOnAPhotoThatIsPartOfThePageOnce) {
  Table table;
  table.rows.resize(1);
  table.rows[0].model = table.rows[0].name = "baseline";
  table.examples_about = "Pictures of <b>";
  table.examples = {{"a.jpg",
                     {{-1, "truth", "", {{10, 30, 60, 90, "d<g", "truth"}}},
                      {0, "1 of 1 found", "", {{0, 0, 5, 5, "cat 0.40", "wrong"}, {10, 30, 60, 90, "dog 0.90", "right"}}}},
                     "PHOTO", 100, 100}};
  const std::string page = html_page(table);
  EXPECT_NE(page.find("Pictures of &lt;b&gt;"), std::string::npos);
  const size_t photo = page.find("data:image/jpeg;base64,PHOTO");
  ASSERT_NE(photo, std::string::npos);
  EXPECT_EQ(page.find("PHOTO", photo + 30), std::string::npos);
  EXPECT_NE(page.find("<use href=\"#photo0\"/>"), std::string::npos);
  EXPECT_NE(page.find("<g class=\"truth\"><rect x=\"10.0\" y=\"30.0\" width=\"50.0\" height=\"60.0\"/>"), std::string::npos);
  EXPECT_NE(page.find("d&lt;g"), std::string::npos);
  EXPECT_LT(page.find("dog 0.90"), page.find("cat 0.40")) << "small boxes lie on top";
  table.examples[0].pictures.resize(3, table.examples[0].pictures[1]);
  table.examples[0].pictures[2].boxes.resize(20000, {1, 1, 2, 2, "dog", "right"});
  EXPECT_LT(html_page(table).size(), 1'000'000u);
}

TEST(Page, ShowsExamplesUnderTheNamesOfTheRows) {
  Table table;
  table.rows.resize(2);
  table.rows[0].model = table.rows[0].name = "baseline";
  table.rows[1].model = table.rows[1].name = "int8";
  EXPECT_EQ(html_page(table).find("id=\"examples\""), std::string::npos);
  table.examples = {{"<a>.png", {{-1, "input", "AAAA"}, {1, "32.10 dB", "BBBB"}}}};
  const std::string page = html_page(table);
  EXPECT_NE(page.find("&lt;a&gt;.png"), std::string::npos);
  EXPECT_NE(page.find("alt=\"int8\" src=\"data:image/png;base64,BBBB\""), std::string::npos);
  EXPECT_NE(page.find("32.10 dB"), std::string::npos);
  table.examples[0].pictures.resize(200, {1, "x", std::string(20000, 'A')});
  EXPECT_LT(html_page(table).size(), 1'000'000u) << "pictures go before the page grows too large";
}

}  // namespace
}  // namespace pare
