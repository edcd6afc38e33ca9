#include "base/row.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "base/error.h"

namespace pare {
namespace {

using Json = nlohmann::json;

Row full_row() {
  Row row;
  row.model = "out/int8.onnx";
  row.name = "int8";
  row.recipe = "quantize-static{calibration=entropy}";
  row.format = "onnx";
  row.size_bytes = 282'317;
  row.weight_count = 270'896;
  row.weight_nonzero = 270'000;
  row.macs = 40'813'184;
  row.metric = MetricValue{"top1", 0.9164, 0.8985, 0.9326, 1017, true};
  row.more_metrics = {{"perplexity", 22.5, 22, 23, 24'576, false, 0.25}};
  row.paired = PairedTest{-0.001, -0.0068, 0.0048, 4, 5, 0.75};
  row.latency = Latency{0.203, 0.219, 0.492, 0.48, 0.5, 2, 4, 400};
  row.throughput = Throughput{1614, 250};
  row.peak_memory_bytes = 22'000'000;
  row.energy_joules = 0.0013;
  row.energy_note = "package-0";
  row.compress_seconds = 1.7;
  row.shapes = {"image 1x3x32x32"};
  row.layers = {{"conv1", "conv", "direct", "kept in float32", 0.02, 0.021, 31.5, 432, 1728, 442'368}};
  row.notes = {"conv1 stays float32"};
  return row;
}

// The names are an interface that scripts depend on (design §7).
TEST(Row, WritesTheAgreedNames) {
  const Json json = to_json(full_row());
  const Json expected = Json::parse(R"({
    "model": "out/int8.onnx", "name": "int8", "recipe": "quantize-static{calibration=entropy}", "format": "onnx",
    "size_bytes": 282317, "weights": {"count": 270896, "nonzero": 270000}, "macs": 40813184,
    "metric": {"name": "top1", "value": 0.9164, "low": 0.8985, "high": 0.9326, "count": 1017, "higher_is_better": true, "standard_error": null},
    "more_metrics": [{"name": "perplexity", "value": 22.5, "low": 22.0, "high": 23.0, "count": 24576, "higher_is_better": false, "standard_error": 0.25}],
    "paired": {"difference": -0.001, "low": -0.0068, "high": 0.0048, "better": 4, "worse": 5, "p_value": 0.75,
               "test": "exact McNemar"},
    "latency": {"median_ms": 0.203, "p95_ms": 0.219, "ratio": 0.492, "ratio_low": 0.48, "ratio_high": 0.5,
                "threads": 2, "batch": 4, "runs": 400},
    "throughput": {"prompt_tokens_per_s": 1614.0, "generate_tokens_per_s": 250.0},
    "peak_memory_bytes": 22000000, "energy_joules": 0.0013, "energy_note": "package-0", "compress_seconds": 1.7,
    "shapes": ["image 1x3x32x32"],
    "layers": [{"name": "conv1", "op": "conv", "implementation": "direct", "note": "kept in float32", "milliseconds": 0.02,
                "baseline_ms": 0.021, "sqnr_db": 31.5, "weight_bytes": 432, "baseline_weight_bytes": 1728, "macs": 442368,
                "output_sqnr_db": null, "mend": null}],
    "notes": ["conv1 stays float32"], "error": null})");
  EXPECT_EQ(json, expected) << json.dump(1);
}

TEST(Row, AbsentIsNull) {
  Row row;
  row.model = "m.onnx";
  const Json json = to_json(row);
  for (const char* key : {"name", "size_bytes", "weights", "macs", "metric", "paired", "latency", "throughput",
                          "peak_memory_bytes", "energy_joules", "energy_note", "compress_seconds", "error"}) {
    ASSERT_TRUE(json.contains(key)) << key;
    EXPECT_TRUE(json[key].is_null()) << key;
  }
  EXPECT_EQ(json["recipe"], "");
  EXPECT_EQ(json["layers"], Json::array());
  EXPECT_EQ(to_json(row_from_json(json, "row")), json);
}

TEST(Row, RoundTripsThroughText) {
  Table table;
  table.machine = {{"cpu", "any"}, {"cores", 2}};
  table.title = "t";
  table.data = "d.toml";
  table.recommendation = "r";
  table.rows = {full_row(), Row{}};
  table.rows[1].error = "it failed";
  const Json json = to_json(table);
  const Table again = table_from_json(Json::parse(json.dump()), "rows.json");
  EXPECT_EQ(to_json(again), json);
  EXPECT_EQ(again.rows[0].paired->worse, 5);
  EXPECT_EQ(again.rows[1].error, "it failed");
  EXPECT_FALSE(again.rows[1].metric);
}

TEST(Row, NumbersThatAreNotFiniteAreNull) {
  Row row = full_row();
  row.layers[0].sqnr_db = std::numeric_limits<double>::infinity();
  row.metric->value = std::numeric_limits<double>::quiet_NaN();
  const Json json = Json::parse(to_json(row).dump());
  EXPECT_TRUE(json["layers"][0]["sqnr_db"].is_null());
  const Row again = row_from_json(json, "row");
  EXPECT_EQ(again.layers[0].sqnr_db, std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(again.metric->value));
}

TEST(Row, BytesThatAreNoUtf8StillMakeJson) {
  Row row;
  row.model = "caf\xe9.onnx";
  EXPECT_EQ(Json::parse(to_json(row).dump())["model"], "caf\xef\xbf\xbd.onnx");
  EXPECT_EQ(valid_utf8("größe"), "größe");
}

TEST(Row, ExtensionsMayBeMissingAndUnknownKeysStay) {
  Json json = to_json(full_row());
  for (const char* key : {"name", "paired", "more_metrics", "throughput", "shapes", "layers", "notes"}) json.erase(key);
  json["of_a_later_version"] = 1;
  const Row row = row_from_json(json, "row");
  EXPECT_EQ(row.size_bytes, 282'317);
  EXPECT_FALSE(row.paired);
}

struct Broken {
  const char* pointer;
  Json value;  // discarded: erase the key
  const char *where, *found;
};

TEST(Row, ErrorsNameTheJsonPath) {
  const Json removed(Json::value_t::discarded);
  const Broken cases[] = {
      {"/rows/1/latency/median_ms", "fast", "rows.json: rows[1].latency.median_ms",
       "found \"fast\", expected a number"},
      {"/rows/1/latency/median_ms", nullptr, "rows.json: rows[1].latency.median_ms", "found null, expected a number"},
      {"/rows/0/size_bytes", -1, "rows.json: rows[0].size_bytes", "found -1, expected a whole number"},
      {"/rows/0/size_bytes", 1.5, "rows.json: rows[0].size_bytes", "found 1.5"},
      {"/rows/0/size_bytes", 18446744073709551615u, "rows.json: rows[0].size_bytes", "found 18446744073709551615"},
      {"/rows/0/latency/threads", 3'000'000'000, "rows.json: rows[0].latency.threads", "from 0 to 2147483647"},
      {"/rows/0/weights/nonzero", 270'897, "rows.json: rows[0].weights.nonzero", "from 0 to 270896"},
      {"/rows/0/metric", Json::array(), "rows.json: rows[0].metric", "found array, expected an object"},
      {"/rows/0/metric/higher_is_better", 1, "rows.json: rows[0].metric.higher_is_better", "expected true or false"},
      {"/rows/0/layers/0/name", nullptr, "rows.json: rows[0].layers[0].name", "expected a text"},
      {"/rows/0/notes", "text", "rows.json: rows[0].notes", "expected an array"},
      {"/rows/0/notes/0", 7, "rows.json: rows[0].notes[0]", "expected a text"},
      {"/rows/0/model", removed, "rows.json: rows[0].model", "missing"},
      {"/rows/0/latency", removed, "rows.json: rows[0].latency", "missing"},
      {"/rows/1", 3, "rows.json: rows[1]", "expected an object"},
      {"/rows", Json::object(), "rows.json: rows", "expected an array"},
      {"/rows", nullptr, "rows.json: rows", "expected an array"},
      {"/rows", removed, "rows.json: rows", "missing"},
      {"/machine", "mine", "rows.json: machine", "expected an object"},
      {"", Json::array(), "rows.json", "expected an object"},
  };
  Table table;
  table.rows = {full_row(), full_row()};
  for (const Broken& broken : cases) {
    Json json = to_json(table);
    const Json::json_pointer pointer(broken.pointer);
    if (broken.value.is_discarded())
      json[pointer.parent_pointer()].erase(pointer.back());
    else
      json[pointer] = broken.value;
    try {
      table_from_json(json, "rows.json");
      ADD_FAILURE() << broken.pointer << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.where(), broken.where);
      EXPECT_NE(error.problem().find(broken.found), std::string::npos) << broken.pointer << ": " << error.what();
    }
  }
}

TEST(Table, ExamplesComeBack) {
  Table table;
  table.rows = {full_row()};
  EXPECT_FALSE(to_json(table).contains("examples"));
  table.examples = {{"a.png", {{-1, "input", "iVBORw0KGgo="}, {0, "32.10 dB", "AA+/"}}}};
  const Table back = table_from_json(to_json(table), "rows.json");
  ASSERT_EQ(back.examples.size(), 1u);
  ASSERT_EQ(back.examples[0].pictures.size(), 2u);
  EXPECT_EQ(back.examples[0].title, "a.png");
  EXPECT_EQ(back.examples[0].pictures[0].row, -1);
  EXPECT_EQ(back.examples[0].pictures[1].caption, "32.10 dB");
  EXPECT_EQ(back.examples[0].pictures[1].png, "AA+/");
  EXPECT_TRUE(back.examples[0].photo.empty());
  table.examples[0].pictures[1].png = "\" onerror=\"";
  EXPECT_THROW(table_from_json(to_json(table), "rows.json"), Error) << "would leave the attribute";
}

TEST(Table, BoxesOfExamplesComeBack) {
  Table table;
  table.rows = {full_row()};
  table.examples_about = "Pictures.";
  table.examples = {{"a.jpg", {{0, "1 of 1 found", "", {{1, 2, 3.5, 4, "dog 0.90", "right"}}}}, "AA+/", 48, 32}};
  const Table back = table_from_json(to_json(table), "rows.json");
  EXPECT_EQ(back.examples_about, "Pictures.");
  ASSERT_EQ(back.examples.size(), 1u);
  EXPECT_EQ(back.examples[0].photo, "AA+/");
  EXPECT_EQ(back.examples[0].photo_width, 48);
  EXPECT_EQ(back.examples[0].photo_height, 32);
  const ExampleBox& box = back.examples[0].pictures.at(0).boxes.at(0);
  EXPECT_EQ(box.left, 1);
  EXPECT_EQ(box.top, 2);
  EXPECT_EQ(box.right, 3.5);
  EXPECT_EQ(box.bottom, 4);
  EXPECT_EQ(box.text, "dog 0.90");
  EXPECT_EQ(box.kind, "right");
  table.examples[0].pictures[0].boxes[0].kind = "perhaps";
  EXPECT_THROW(table_from_json(to_json(table), "rows.json"), Error);
}

}  // namespace
}  // namespace pare
