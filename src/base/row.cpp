#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/row.h"

// Rows and tables from JSON that somebody may have written by hand.
namespace pare {
namespace {

using Json = nlohmann::json;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

// One JSON object and the path that leads to it, for messages.
class Object {
 public:
  // `prefix` goes before a key: "rows.json: " for a document, "rows.json: rows[2]." below it.
  Object(const Json& json, const std::string& where, std::string prefix) : json_(json), prefix_(std::move(prefix)) {
    if (!json.is_object()) refuse(where, json, "an object {…}");
  }

  std::string path(const char* key) const { return prefix_ + key; }

  const Json& required(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) throw Error(path(key), "the key is missing", "write null where there is no value");
    return *found;
  }
  // Extensions may be missing; null and missing mean the same.
  const Json* optional(const char* key) const {
    const auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  const Json* nullable(const char* key) const {
    const Json& value = required(key);
    return value.is_null() ? nullptr : &value;
  }

  std::string text(const char* key) const { return text_of(required(key), path(key)); }
  std::string text_or_null(const char* key) const {
    const Json* value = nullable(key);
    return value ? text_of(*value, path(key)) : "";
  }
  std::string optional_text(const char* key) const {
    const Json* value = optional(key);
    return value ? text_of(*value, path(key)) : "";
  }
  double number(const char* key) const { return number(required(key), path(key)); }
  // null stands for a number that is not finite.
  double number_or(const char* key, double otherwise) const {
    const Json* value = nullable(key);
    return value ? number(*value, path(key)) : otherwise;
  }
  double optional_number(const char* key, double otherwise) const {
    const Json* value = optional(key);
    return value ? number(*value, path(key)) : otherwise;
  }
  int64_t count(const char* key, int64_t most = std::numeric_limits<int64_t>::max()) const {
    return count(required(key), path(key), most);
  }
  int small_count(const char* key) const { return int(count(key, std::numeric_limits<int>::max())); }
  int64_t count_or_zero(const char* key) const { return nullable(key) ? count(key) : 0; }
  bool truth(const char* key) const {
    const Json& value = required(key);
    if (!value.is_boolean()) refuse(path(key), value, "true or false");
    return value.get<bool>();
  }

  // read(element, its path) for every element of an array that may be missing.
  template <class T, class Read>
  std::vector<T> list(const char* key, Read read) const {
    std::vector<T> out;
    const Json* array = optional(key);
    if (!array) return out;
    if (!array->is_array()) refuse(path(key), *array, "an array […]");
    for (size_t i = 0; i < array->size(); ++i) out.push_back(read((*array)[i], fmt::format("{}[{}]", path(key), i)));
    return out;
  }

  static std::string text_of(const Json& value, const std::string& where) {
    if (!value.is_string()) refuse(where, value, "a text");
    return value.get<std::string>();
  }

 private:
  static double number(const Json& value, const std::string& where) {
    if (!value.is_number()) refuse(where, value, "a number");
    return value.get<double>();
  }
  static int64_t count(const Json& value, const std::string& where, int64_t most) {
    const bool fits = value.is_number_integer() && (value.is_number_unsigned() || value.get<int64_t>() >= 0) &&
                      value.get<uint64_t>() <= uint64_t(most);
    if (!fits) refuse(where, value, fmt::format("a whole number from 0 to {}", most));
    return value.get<int64_t>();
  }
  [[noreturn]] static void refuse(const std::string& where, const Json& value, const std::string& expected) {
    std::string found = value.is_structured() ? std::string(value.type_name())
                                              : value.dump(-1, ' ', true, Json::error_handler_t::replace);
    if (found.size() > 60) found = found.substr(0, 57) + "...";
    throw Error(where, fmt::format("found {}, expected {}", found, expected));
  }

  const Json& json_;
  std::string prefix_;
};

Object object_at(const Json& json, const std::string& where) {
  return Object(json, where, where + ".");
}

MetricValue read_metric(const Json& json, const std::string& where) {
  const Object object = object_at(json, where);
  return {object.text("name"),
          object.number_or("value", not_a_number),
          object.number_or("low", not_a_number),
          object.number_or("high", not_a_number),
          object.count("count"),
          object.truth("higher_is_better"),
          object.optional_number("standard_error", not_a_number)};
}

PairedTest read_paired(const Json& json, const std::string& where) {
  const Object object = object_at(json, where);
  PairedTest paired{object.number_or("difference", not_a_number),
                    object.number_or("low", not_a_number),
                    object.number_or("high", not_a_number),
                    object.count("better"),
                    object.count("worse"),
                    object.number_or("p_value", not_a_number)};
  if (object.optional("test") != nullptr) paired.test = object.text("test");
  return paired;
}

Latency read_latency(const Json& json, const std::string& where) {
  const Object object = object_at(json, where);
  return {object.number("median_ms"),
          object.number("p95_ms"),
          object.number_or("ratio", not_a_number),
          object.number_or("ratio_low", not_a_number),
          object.number_or("ratio_high", not_a_number),
          object.small_count("threads"),
          object.small_count("batch"),
          object.small_count("runs")};
}

Throughput read_throughput(const Json& json, const std::string& where) {
  const Object object = object_at(json, where);
  return {object.number_or("prompt_tokens_per_s", not_a_number),
          object.number_or("generate_tokens_per_s", not_a_number)};
}

LayerRow read_layer(const Json& json, const std::string& where) {
  const Object object = object_at(json, where);
  LayerRow layer;
  layer.name = object.text("name");
  layer.op = object.text("op");
  layer.implementation = object.text("implementation");
  layer.note = object.text_or_null("note");
  layer.milliseconds = object.number_or("milliseconds", not_a_number);
  layer.baseline_ms = object.number_or("baseline_ms", not_a_number);
  layer.sqnr_db = object.number_or("sqnr_db", infinity);
  layer.weight_bytes = object.count("weight_bytes");
  layer.baseline_weight_bytes = object.count("baseline_weight_bytes");
  layer.macs = object.count("macs");
  layer.output_sqnr_db = object.optional_number("output_sqnr_db", not_a_number);
  layer.mend = object.optional_text("mend");
  return layer;
}

template <class T, class Read>
std::optional<T> read_present(const Json* json, const std::string& where, Read read) {
  if (!json) return std::nullopt;
  return read(*json, where);
}

std::string read_base64(const Object& object, const char* key) {
  std::string text = object.text(key);
  const auto is_base64 = [](char c) { return std::isalnum(uint8_t(c)) || c == '+' || c == '/' || c == '='; };
  if (!std::all_of(text.begin(), text.end(), is_base64)) throw Error(object.path(key), "is not base64");
  return text;
}

ExampleBox read_box(const Json& json, const std::string& where) {
  const Object object = object_at(json, where);
  ExampleBox box{object.number("left"),   object.number("top"), object.number("right"),
                 object.number("bottom"), object.text("text"),  object.text("kind")};
  if (box.kind != "truth" && box.kind != "right" && box.kind != "wrong")
    throw Error(object.path("kind"), "found \"" + box.kind + "\", expected truth, right or wrong");
  return box;
}

ExamplePicture read_picture(const Json& json, const std::string& where) {
  const Object object = object_at(json, where);
  ExamplePicture picture;
  picture.row = object.required("row") == -1 ? -1 : object.count("row");
  picture.caption = object.text("caption");
  picture.png = read_base64(object, "png");
  picture.boxes = object.list<ExampleBox>("boxes", read_box);
  return picture;
}

Example read_example(const Json& json, const std::string& where) {
  const Object object = object_at(json, where);
  Example example{object.text("title"), object.list<ExamplePicture>("pictures", read_picture)};
  if (const Json* photo = object.optional("photo")) {
    const Object inner = object_at(*photo, object.path("photo"));
    example.photo = read_base64(inner, "jpeg");
    example.photo_width = inner.count("width");
    example.photo_height = inner.count("height");
  }
  return example;
}

}  // namespace

Row row_from_json(const Json& json, const std::string& where) {
  const Object object = object_at(json, where);
  Row row;
  row.model = object.text("model");
  row.name = object.optional_text("name");
  row.recipe = object.text("recipe");
  row.format = object.text("format");
  row.size_bytes = object.count_or_zero("size_bytes");
  if (const Json* weights = object.nullable("weights")) {
    const Object counts = object_at(*weights, object.path("weights"));
    row.weight_count = counts.count("count");
    row.weight_nonzero = counts.count("nonzero", row.weight_count);
  }
  row.macs = object.count_or_zero("macs");
  row.metric = read_present<MetricValue>(object.nullable("metric"), object.path("metric"), read_metric);
  row.more_metrics = object.list<MetricValue>("more_metrics", read_metric);
  row.paired = read_present<PairedTest>(object.optional("paired"), object.path("paired"), read_paired);
  row.latency = read_present<Latency>(object.nullable("latency"), object.path("latency"), read_latency);
  row.throughput = read_present<Throughput>(object.optional("throughput"), object.path("throughput"), read_throughput);
  row.peak_memory_bytes = object.count_or_zero("peak_memory_bytes");
  if (object.nullable("energy_joules")) row.energy_joules = object.number("energy_joules");
  row.energy_note = object.text_or_null("energy_note");
  if (object.nullable("compress_seconds")) row.compress_seconds = object.number("compress_seconds");
  row.shapes = object.list<std::string>("shapes", Object::text_of);
  row.layers = object.list<LayerRow>("layers", read_layer);
  row.notes = object.list<std::string>("notes", Object::text_of);
  row.error = object.text_or_null("error");
  return row;
}

Table table_from_json(const Json& json, const std::string& where) {
  const Object object(json, where, where + ": ");
  Table table;
  table.machine = object.required("machine");
  object_at(table.machine, object.path("machine"));
  table.title = object.optional_text("title");
  table.data = object.optional_text("data");
  table.recommendation = object.optional_text("recommendation");
  if (object.required("rows").is_null()) throw Error(object.path("rows"), "found null, expected an array […]");
  table.rows = object.list<Row>("rows", row_from_json);
  table.examples = object.list<Example>("examples", read_example);
  table.examples_about = object.optional_text("examples_about");
  return table;
}

}  // namespace pare
