#pragma once
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace pare {

// One measured model: measure fills it, report prints it, JSON carries it. Names are an interface: extend, never
// rename.
struct MetricValue {
  std::string name;                     // top1, accuracy, map, psnr_y, …
  double value = 0, low = 0, high = 0;  // with its 95 % interval
  int64_t count = 0;                    // samples judged
  bool higher_is_better = true;
  double standard_error = NAN;  // of the value, over samples; NaN: not given
};

// The metric's change against the baseline on the same samples.
struct PairedTest {
  double difference = 0, low = 0, high = 0;  // value − baseline value, 95 % interval
  int64_t better = 0, worse = 0;    // samples only this model / only the baseline gets right
  double p_value = 1;               // two-sided
  std::string test = "exact McNemar";  // "paired bootstrap": better and worse count the samples it does better on; "paired jackknife": no counts
};

struct Latency {
  double median_ms = 0, p95_ms = 0;
  double ratio = 1, ratio_low = 1, ratio_high = 1;  // to the baseline, below 1 is faster
  int threads = 1, batch = 1, runs = 0;
};

// Language models only.
struct Throughput {
  double prompt_tokens_per_s = 0, generate_tokens_per_s = 0;
};

// One layer of a model beside the same layer of the baseline.
struct LayerRow {
  std::string name, op, implementation, note;
  double milliseconds = 0, baseline_ms = 0;
  double sqnr_db = 0;  // of this layer's output against the baseline's; infinity is written as null
  int64_t weight_bytes = 0, baseline_weight_bytes = 0, macs = 0;
  double output_sqnr_db =
      NAN;           // of the model's output when only this layer is compressed; NaN: not asked, or it is not
  std::string mend;  // the option that takes most of its cost away: "weights-only=conv1", "exclude=fc"
};

struct Row {
  std::string model, recipe, format;
  int64_t size_bytes = 0;
  int64_t weight_count = 0, weight_nonzero = 0;
  int64_t macs = 0;
  std::optional<MetricValue> metric;
  std::vector<MetricValue> more_metrics;
  std::optional<PairedTest> paired;
  std::optional<Latency> latency;
  int64_t peak_memory_bytes = 0;
  std::optional<double> energy_joules;
  std::string energy_note;
  std::optional<double> compress_seconds;
  std::vector<std::string> shapes;  // "image 1x3x32x32"
  std::vector<LayerRow> layers;
  std::vector<std::string> notes;  // what the passes said: exclusions with their reasons, …
  std::string error;               // empty: none
  std::string name;                // short, for people ("int8 entropy"); empty: the report derives one from the recipe
  std::optional<Throughput> throughput;
};

// A box around a thing in a photo, in the photo's pixels.
struct ExampleBox {
  double left = 0, top = 0, right = 0, bottom = 0;
  std::string text;  // "person 0.83"
  std::string kind;  // "truth"; of a model's: "right" or "wrong"
};
// A detail of one picture as every model makes it, or the boxes that it finds in the example's photo.
struct ExamplePicture {
  int64_t row = -1;          // of the table; -1: the input, the target or the truth
  std::string caption, png;  // "32.10 dB"; a PNG file in base64, "" for the photo
  std::vector<ExampleBox> boxes = {};
};
struct Example {
  std::string title;
  std::vector<ExamplePicture> pictures;
  std::string photo = {};  // what pictures without one of their own are drawn on: a JPEG file in base64
  int64_t photo_width = 0, photo_height = 0;
};

struct Table {
  nlohmann::json machine;  // {cpu, cores, isa, memory_bytes, os, threads, pare, date}
  std::string title, data, recommendation;
  std::vector<Row> rows;          // the first is the baseline
  std::vector<Example> examples;  // before and after, where the task has something to look at
  std::string examples_about;     // what they show and how they were chosen, a sentence or two
};

// Absent is null: 0 bytes, MACs or weights (not counted), an empty error, note or name, a number that is not finite.
nlohmann::json to_json(const Row& row);
nlohmann::json to_json(const Table& table);
// Throw Error naming the path of the key that is missing or of the wrong type. Extensions (name, paired, more_metrics,
// throughput, shapes, layers, notes; title, data, recommendation) may be missing; unknown keys are a later version's.
Row row_from_json(const nlohmann::json& json, const std::string& where);
Table table_from_json(const nlohmann::json& json, const std::string& where);

// Bytes that are no UTF-8 (a file name may hold any) become U+FFFD: JSON and HTML carry nothing else.
std::string valid_utf8(const std::string& text);

}  // namespace pare
