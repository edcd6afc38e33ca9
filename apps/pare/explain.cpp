#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "command.h"
#include "compress.h"
#include "engine/output_error.h"
#include "measure/measure.h"
#include "output.h"
#include "report/figures.h"
#include "shapes.h"

namespace pare {
namespace {

constexpr double kWorthNaming = 20;  // dB; at 1 % noise power a layer begins to show in the result
constexpr size_t kWorst = 5;
constexpr double kWorthMending = 0.1;  // of all layers' noise at the output

struct Arguments {
  std::string small, against, data;
  std::vector<std::string> shapes;
};

std::string decibels_text(double db) {
  return std::isnan(db) ? "" : std::isinf(db) ? "exact" : fmt::format("{:.1f} dB", db);
}

std::string layers_text(const std::vector<LayerRow>& layers) {
  std::vector<std::vector<std::string>> lines = {
      {"layer", "op", "error", "output", "time", "before", "weights", "before", "implementation"}};
  for (const LayerRow& layer : layers)
    lines.push_back({layer.name, layer.op, decibels_text(layer.sqnr_db), decibels_text(layer.output_sqnr_db), milliseconds_text(layer.milliseconds),
                     layer.baseline_ms > 0 ? milliseconds_text(layer.baseline_ms) : "",
                     layer.weight_bytes > 0 ? size_text(double(layer.weight_bytes)) : "",
                     layer.baseline_weight_bytes > 0 ? size_text(double(layer.baseline_weight_bytes)) : "",
                     layer.implementation});
  return aligned(lines, {2, 3, 4, 5, 6, 7}) +
         "error: signal to quantization noise of the layer's output against the original's; higher is better\n"
         "output: the same at the model's output when only this layer is compressed\n";
}

// Noise that a layer alone leaves at the output, relative to the signal.
double output_noise(const LayerRow& layer) { return std::isnan(layer.output_sqnr_db) ? 0 : std::pow(10, -layer.output_sqnr_db / 10); }

// The layers that cost most, each with its share, the reason and the option that mends it.
std::string costliest_text(const std::vector<LayerRow>& layers) {
  std::vector<const LayerRow*> costly;
  double total = 0;
  for (const LayerRow& layer : layers) {
    if (output_noise(layer) > 0) costly.push_back(&layer);
    total += output_noise(layer);
  }
  if (costly.empty()) return "\nno layer alone changes the output\n";
  std::stable_sort(costly.begin(), costly.end(), [](const LayerRow* a, const LayerRow* b) { return a->output_sqnr_db < b->output_sqnr_db; });
  std::vector<std::vector<std::string>> lines = {{"cost in quality, the layer alone", "output", "share", "layer", "cause"}};
  for (size_t i = 0; i < std::min(kWorst, costly.size()); ++i)
    lines.push_back({costly[i]->name, decibels_text(costly[i]->output_sqnr_db), fmt::format("{:.0f} %", 100 * output_noise(*costly[i]) / total),
                     decibels_text(costly[i]->sqnr_db), costly[i]->note});
  return "\n" + aligned(lines, {1, 2, 3}) + "output: signal to noise of the model's output when only this layer is compressed; share: of the noise of all such\n";
}

// The layers that lose most themselves, with the reason.
std::string worst_text(const std::vector<LayerRow>& layers) {
  std::vector<const LayerRow*> worst;
  for (const LayerRow& layer : layers)
    if (layer.sqnr_db < kWorthNaming) worst.push_back(&layer);
  if (worst.empty()) return fmt::format("\nno compared layer is below {} dB\n", kWorthNaming);
  std::stable_sort(worst.begin(), worst.end(),
                   [](const LayerRow* a, const LayerRow* b) { return a->sqnr_db < b->sqnr_db; });
  std::string text = "\nlargest errors at the layer itself\n";
  for (size_t i = 0; i < std::min(kWorst, worst.size()); ++i)
    text += fmt::format("  {}  {}{}\n", worst[i]->name, decibels_text(worst[i]->sqnr_db),
                        worst[i]->note.empty() ? "" : ": " + worst[i]->note);
  return text;
}

// The quantizing pass of the artifact's recipe, with the options of the costliest layers: those that together make up
// most of the noise. "" where one layer is like another.
std::string mending_recipe(const std::vector<LayerRow>& layers, const std::string& recipe) {
  std::vector<const LayerRow*> mendable;
  double total = 0;
  for (const LayerRow& layer : layers) {
    if (!layer.mend.empty()) mendable.push_back(&layer);
    total += output_noise(layer);
  }
  std::stable_sort(mendable.begin(), mendable.end(), [](const LayerRow* a, const LayerRow* b) { return a->output_sqnr_db < b->output_sqnr_db; });
  const char* pass = "quantize-static";
  for (const char* name : {"quantize-dynamic", "cast-weights", "quantize-static"})
    if (recipe.find(name) != std::string::npos) pass = name;
  std::map<std::string, std::string> options;
  for (const LayerRow* layer : mendable) {
    if (output_noise(*layer) < kWorthMending * total) break;
    const size_t equals = layer->mend.find('=');
    // Only static quantization tells inputs from weights.
    const std::string option = std::string_view(pass) == "quantize-static" ? layer->mend.substr(0, equals) : "exclude";
    std::string& names = options[option];
    names += (names.empty() ? "" : "|") + layer->mend.substr(equals + 1);
  }
  std::string text;
  for (const auto& [option, names] : options) text += (text.empty() ? "" : ", ") + option + "=" + names;
  return text.empty() ? "" : std::string(pass) + "{" + text + "}";
}

// The artifact's recipe once more, with the options that `mend` adds to one of its passes.
std::string mended_recipe(const std::string& recipe, const std::string& mend) {
  const RecipeStep added = parse_recipe(mend).front();
  std::string text;
  for (const RecipeStep& step : parse_recipe(recipe)) {
    std::string options;
    for (const auto& [name, value] : step.options) {
      const auto same = std::find_if(added.options.begin(), added.options.end(), [&name = name](const auto& one) { return one.first == name; });
      if (step.name != added.name || same == added.options.end()) options += (options.empty() ? "" : ", ") + name + "=" + value;
    }
    if (step.name == added.name)
      for (const auto& [name, value] : added.options) {
        const auto had = std::find_if(step.options.begin(), step.options.end(), [&name = name](const auto& one) { return one.first == name && !one.second.empty(); });
        options += (options.empty() ? "" : ", ") + name + "=" + (had == step.options.end() ? "" : had->second + "|") + value;
      }
    text += (text.empty() ? "" : ", ") + step.name + (options.empty() ? "" : "{" + options + "}");
  }
  return text;
}

// What the mend brings, measured by doing it; "" where there is nothing to calibrate on or no recipe to repeat.
std::string confirmed_text(const OpenModel& small, const OpenModel& baseline, const std::string& mend, const MeasureOptions& options) {
  constexpr int64_t kSamples = 4;
  const SampleSource source = calibration_source(baseline.graph, options.data);
  if (source.count == 0 || small.row.recipe.empty() || mend.empty()) return "";
  std::vector<std::vector<Array>> samples;
  for (int64_t i = 0; i < std::min(kSamples, source.count); ++i) samples.push_back(source.get(i * source.count / std::min(kSamples, source.count)));
  Graph mended = baseline.graph;
  run_recipe(mended, mended_recipe(small.row.recipe, mend), {source, options.seed, options.progress});
  const OutputError error(baseline.graph, samples, options.threads);
  return fmt::format("tried: the output is {} above its noise instead of {}, on {} calibration samples\n", decibels_text(error.sqnr_db(mended)), decibels_text(error.sqnr_db(small.graph)), samples.size());
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
  const std::vector<LayerRow>& layers = small.row.layers;
  const std::string mend = mending_recipe(layers, small.row.recipe);
  const std::string confirmed = confirmed_text(small, baseline, mend, options);
  if (!mend.empty()) small.row.notes.push_back("to take the largest costs away: " + mend);
  say(shared, layers_text(layers) + worst_text(layers) + costliest_text(layers) +
                  (mend.empty() ? "" : "to take the largest costs away: " + mend + "\n") + confirmed + slower_text(layers));
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
