#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "command.h"
#include "measure/measure.h"
#include "output.h"
#include "report/figures.h"
#include "shapes.h"

namespace pare {
namespace {

constexpr double kWorthNaming = 20;  // dB; at 1 % noise power a layer begins to show in the result
constexpr size_t kWorst = 5;

struct Arguments {
  std::string small, against, data;
  std::vector<std::string> shapes;
};

std::string decibels_text(double db) {
  return std::isnan(db) ? "" : std::isinf(db) ? "exact" : fmt::format("{:.1f} dB", db);
}

std::string layers_text(const std::vector<LayerRow>& layers) {
  std::vector<std::vector<std::string>> lines = {
      {"layer", "op", "error", "time", "before", "weights", "before", "implementation"}};
  for (const LayerRow& layer : layers)
    lines.push_back({layer.name, layer.op, decibels_text(layer.sqnr_db), milliseconds_text(layer.milliseconds),
                     layer.baseline_ms > 0 ? milliseconds_text(layer.baseline_ms) : "",
                     layer.weight_bytes > 0 ? size_text(double(layer.weight_bytes)) : "",
                     layer.baseline_weight_bytes > 0 ? size_text(double(layer.baseline_weight_bytes)) : "",
                     layer.implementation});
  return aligned(lines, {2, 3, 4, 5, 6}) +
         "error: signal to quantization noise of the layer's output against the original's; higher is better\n";
}

// The layers that lose most, with the reason and the words that keep them in float.
std::string worst_text(const std::vector<LayerRow>& layers) {
  std::vector<const LayerRow*> worst;
  for (const LayerRow& layer : layers)
    if (layer.sqnr_db < kWorthNaming) worst.push_back(&layer);
  if (worst.empty()) return fmt::format("\nno compared layer is below {} dB\n", kWorthNaming);
  std::stable_sort(worst.begin(), worst.end(),
                   [](const LayerRow* a, const LayerRow* b) { return a->sqnr_db < b->sqnr_db; });
  std::string text = "\nlargest errors\n", names;
  for (size_t i = 0; i < std::min(kWorst, worst.size()); ++i) {
    text += fmt::format("  {}  {}{}\n", worst[i]->name, decibels_text(worst[i]->sqnr_db),
                        worst[i]->note.empty() ? "" : ": " + worst[i]->note);
    if (worst[i]->weight_bytes > 0) names += (names.empty() ? "" : "|") + worst[i]->name;
  }
  return names.empty() ? text : text + "to leave them in float add to the quantizing pass: {exclude=" + names + "}\n";
}

std::string slower_text(const std::vector<LayerRow>& layers) {
  std::string text;
  for (const LayerRow& layer : layers)
    if (layer.baseline_ms > 0 && layer.milliseconds > 1.1 * layer.baseline_ms &&
        layer.milliseconds - layer.baseline_ms > 0.01)
      text += fmt::format("  {}  {} instead of {}{}\n", layer.name, milliseconds_text(layer.milliseconds),
                          milliseconds_text(layer.baseline_ms), layer.note.empty() ? "" : ": " + layer.note);
  return text.empty() ? "" : "\nslower than before\n" + text;
}

int run(const Arguments& arguments, const Shared& shared) {
  MeasureOptions options;
  options.threads = shared.threads;
  options.shapes = parse_shapes(arguments.shapes);
  options.seed = shared.seed;
  options.progress = terminal_progress(shared);
  std::optional<DataSet> data;
  if (!arguments.data.empty()) options.data = &data.emplace(read_data_set(arguments.data));
  const OpenModel baseline = open_model(arguments.against, options);
  OpenModel small = open_model(arguments.small, options);
  small.row.layers = compare_layers(small.graph, baseline.graph, options);
  say(shared, layers_text(small.row.layers) + worst_text(small.row.layers) + slower_text(small.row.layers));
  if (arguments.data.empty()) say(shared, "\ncompared on random inputs: give --data for errors on real ones\n");
  Table table;
  table.machine = describe_machine(shared.threads, PARE_VERSION);
  if (data) table.data = data->summary;
  table.rows = {baseline.row, small.row};
  give_json(shared, to_json(table));
  return 0;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("SMALL", arguments->small, "the compressed model")->required();
  app.add_option("--against", arguments->against, "the model it was made from")->required()->type_name("MODEL");
  app.add_option("--data", arguments->data, "data description (TOML); default: random inputs")->type_name("FILE");
  app.add_option(
         "--shape", arguments->shapes,
         "extents to time with where the model leaves them open: NAME=1x3x64x64, or 1x3x64x64 for the first input")
      ->type_name("SHAPE")
      ->allow_extra_args(false);
  return [=, &shared] { return run(*arguments, shared); };
}

}  // namespace

extern const Command command_explain;
const Command command_explain = {"explain", "Error and time of a compressed model, layer by layer, with causes.",
                                 "pare explain small.onnx --against model.onnx --data data.toml", declare};

}  // namespace pare
