#include <cmath>

#include "base/row.h"

// Rows and tables as JSON.
namespace pare {
namespace {

using Json = nlohmann::json;

Json finite(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}
Json counted(int64_t value) {
  return value > 0 ? Json(value) : Json(nullptr);
}
Json worded(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(valid_utf8(text));
}

template <class T, class Write>
Json present(const std::optional<T>& value, Write write) {
  return value ? Json(write(*value)) : Json(nullptr);
}

Json texts(const std::vector<std::string>& list) {
  Json out = Json::array();
  for (const std::string& text : list) out.push_back(valid_utf8(text));
  return out;
}

Json metric_json(const MetricValue& metric) {
  return {{"name", valid_utf8(metric.name)}, {"value", finite(metric.value)},
          {"low", finite(metric.low)},       {"high", finite(metric.high)},
          {"count", metric.count},           {"higher_is_better", metric.higher_is_better},
          {"standard_error", finite(metric.standard_error)}};
}

Json paired_json(const PairedTest& paired) {
  return {{"difference", finite(paired.difference)},
          {"low", finite(paired.low)},
          {"high", finite(paired.high)},
          {"better", paired.better},
          {"worse", paired.worse},
          {"p_value", finite(paired.p_value)},
          {"test", paired.test}};
}

Json latency_json(const Latency& latency) {
  return {{"median_ms", finite(latency.median_ms)},
          {"p95_ms", finite(latency.p95_ms)},
          {"ratio", finite(latency.ratio)},
          {"ratio_low", finite(latency.ratio_low)},
          {"ratio_high", finite(latency.ratio_high)},
          {"threads", latency.threads},
          {"batch", latency.batch},
          {"runs", latency.runs}};
}

Json throughput_json(const Throughput& throughput) {
  return {{"prompt_tokens_per_s", finite(throughput.prompt_tokens_per_s)},
          {"generate_tokens_per_s", finite(throughput.generate_tokens_per_s)}};
}

Json layer_json(const LayerRow& layer) {
  return {{"name", valid_utf8(layer.name)},
          {"op", valid_utf8(layer.op)},
          {"implementation", valid_utf8(layer.implementation)},
          {"note", worded(layer.note)},
          {"milliseconds", finite(layer.milliseconds)},
          {"baseline_ms", finite(layer.baseline_ms)},
          {"sqnr_db", finite(layer.sqnr_db)},
          {"weight_bytes", layer.weight_bytes},
          {"baseline_weight_bytes", layer.baseline_weight_bytes},
          {"macs", layer.macs},
          {"output_sqnr_db", finite(layer.output_sqnr_db)},
          {"mend", worded(layer.mend)}};
}

Json box_json(const ExampleBox& box) {
  return {{"left", finite(box.left)},     {"top", finite(box.top)}, {"right", finite(box.right)},
          {"bottom", finite(box.bottom)}, {"kind", box.kind},       {"text", valid_utf8(box.text)}};
}

// What only pictures with boxes have is written where there are some.
Json example_json(const Example& example) {
  Json pictures = Json::array();
  for (const ExamplePicture& picture : example.pictures) {
    Json json = {{"row", picture.row}, {"caption", valid_utf8(picture.caption)}, {"png", picture.png}};
    for (const ExampleBox& box : picture.boxes) json["boxes"].push_back(box_json(box));
    pictures.push_back(std::move(json));
  }
  Json json = {{"title", valid_utf8(example.title)}, {"pictures", std::move(pictures)}};
  if (!example.photo.empty())
    json["photo"] = {{"jpeg", example.photo}, {"width", example.photo_width}, {"height", example.photo_height}};
  return json;
}

}  // namespace

std::string valid_utf8(const std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x80) continue;
    return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
  }
  return text;
}

Json to_json(const Row& row) {
  Json layers = Json::array(), more_metrics = Json::array();
  for (const LayerRow& layer : row.layers) layers.push_back(layer_json(layer));
  for (const MetricValue& metric : row.more_metrics) more_metrics.push_back(metric_json(metric));
  const Json weights = {{"count", row.weight_count}, {"nonzero", row.weight_nonzero}};
  return {{"model", valid_utf8(row.model)},
          {"name", worded(row.name)},
          {"recipe", valid_utf8(row.recipe)},
          {"format", valid_utf8(row.format)},
          {"size_bytes", counted(row.size_bytes)},
          {"weights", row.weight_count > 0 ? weights : Json(nullptr)},
          {"macs", counted(row.macs)},
          {"metric", present(row.metric, metric_json)},
          {"more_metrics", std::move(more_metrics)},
          {"paired", present(row.paired, paired_json)},
          {"latency", present(row.latency, latency_json)},
          {"throughput", present(row.throughput, throughput_json)},
          {"peak_memory_bytes", counted(row.peak_memory_bytes)},
          {"energy_joules", present(row.energy_joules, finite)},
          {"energy_note", worded(row.energy_note)},
          {"compress_seconds", present(row.compress_seconds, finite)},
          {"shapes", texts(row.shapes)},
          {"layers", std::move(layers)},
          {"notes", texts(row.notes)},
          {"error", worded(row.error)}};
}

Json to_json(const Table& table) {
  Json rows = Json::array();
  for (const Row& row : table.rows) rows.push_back(to_json(row));
  Json json = {{"machine", table.machine.is_null() ? Json::object() : table.machine},
               {"title", valid_utf8(table.title)},
               {"data", valid_utf8(table.data)},
               {"recommendation", valid_utf8(table.recommendation)},
               {"rows", std::move(rows)}};
  for (const Example& example : table.examples) json["examples"].push_back(example_json(example));
  if (!table.examples_about.empty()) json["examples_about"] = valid_utf8(table.examples_about);
  return json;
}

}  // namespace pare
