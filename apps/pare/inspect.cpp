#include <fmt/format.h>

#include <algorithm>

#include "command.h"
#include "formats/format.h"
#include "layers_text.h"
#include "measure/measure.h"
#include "output.h"
#include "report/figures.h"
#include "shapes.h"

namespace pare {
namespace {

constexpr size_t kSlowest = 10;  // layers shown to people; JSON carries all
constexpr int kRuns = 20;

struct Arguments {
  std::string model;
  std::vector<std::string> shapes;
  bool no_time = false;
};

struct Stored {
  int64_t tensors = 0, elements = 0, bytes = 0;
};

struct Inspection {
  OpenModel model;
  std::map<std::string, int> ops;
  std::map<std::string, Stored> stored;  // by codec or element type
  std::vector<LayerReport> layers;
  std::string untimed;  // why there are no times
};

Inspection inspect(const Arguments& arguments, const Shared& shared) {
  MeasureOptions options;
  options.threads = shared.threads;
  options.shapes = parse_shapes(arguments.shapes);
  Inspection found{open_model(arguments.model, options), {}, {}, {}, ""};
  const Graph& graph = found.model.graph;
  for (const Node& node : graph.nodes)
    ++found.ops[node.domain.empty() ? node.op_type : node.domain + "." + node.op_type];
  for (const Value& value : graph.values) {
    if (!value.constant) continue;
    Stored& stored = found.stored[value.constant->codec != nullptr ? value.constant->codec->name
                                                                   : std::string(type_text(value.constant->type))];
    ++stored.tensors;
    stored.elements += value.constant->count();
    stored.bytes += value.constant->size_bytes();
  }
  if (arguments.no_time) return found;
  try {
    const std::vector<Array> inputs = latency_inputs(graph, options);
    std::vector<Dims> dims;
    for (const Array& input : inputs) dims.push_back(input.dims());
    SessionOptions session_options;
    session_options.threads = shared.threads;
    Session session(graph, dims, session_options);
    found.layers = session.time_layers(inputs, kRuns);
  } catch (const Error& error) {
    found.untimed = error.what();  // a model that cannot run here can still be looked at
  }
  return found;
}

std::string values_text(const Graph& graph, const std::vector<ValueId>& ids) {
  std::string text;
  for (ValueId id : ids) {
    const Value& value = graph.at(id);
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", value.name,
                        value.shape ? shape_text(*value.shape) : "?", type_text(value.type));
  }
  return text;
}

std::string head_text(const Inspection& found) {
  const Graph& graph = found.model.graph;
  const Row& row = found.model.row;
  std::string counted;
  for (const std::string& shape : row.shapes) counted += (counted.empty() ? "" : ", ") + shape;
  return aligned({{"model", row.model},
                  {"format", fmt::format("{}, opset {}", row.format, graph.opset())},
                  {"size", size_text(double(row.size_bytes))},
                  {"weights", fmt::format("{} ({:.1f} % zero)", large_count_text(double(row.weight_count)),
                                          row.weight_count > 0 ? 100.0 * double(row.weight_count - row.weight_nonzero) /
                                                                     double(row.weight_count)
                                                               : 0.0)},
                  {"MACs", large_count_text(double(row.macs)) + " (" + counted + ")"},
                  {"inputs", values_text(graph, graph.inputs)},
                  {"outputs", values_text(graph, graph.outputs)},
                  {"recipe", row.recipe.empty() ? "none: not compressed by pare" : row.recipe}});
}

std::string ops_text(const Inspection& found) {
  std::vector<std::pair<int, std::string>> counts;
  for (const auto& [name, count] : found.ops) counts.emplace_back(-count, name);
  std::sort(counts.begin(), counts.end());
  std::string text = "\noperators";
  for (const auto& [count, name] : counts)
    text += fmt::format("{} {} {}", text == "\noperators" ? " " : ",", -count, name);
  return text + "\n";
}

std::string stored_text(const Inspection& found) {
  std::vector<std::vector<std::string>> lines = {{"stored as", "tensors", "elements", "bytes"}};
  for (const auto& [name, stored] : found.stored)
    lines.push_back({name, count_text(stored.tensors), count_text(stored.elements), size_text(double(stored.bytes))});
  return "\n" + aligned(lines, {1, 2, 3});
}

std::string time_text(const Inspection& found, int threads) {
  if (!found.untimed.empty()) return "\ncannot be run here: " + found.untimed + "\n";
  if (found.layers.empty()) return "";
  double total = 0;
  for (const LayerReport& layer : found.layers) total += layer.milliseconds;
  std::vector<LayerReport> slowest = found.layers;
  std::stable_sort(slowest.begin(), slowest.end(),
                   [](const auto& a, const auto& b) { return a.milliseconds > b.milliseconds; });
  std::vector<std::vector<std::string>> lines = {{"layer", "op", "time", "share", "MACs", "implementation"}};
  for (size_t i = 0; i < std::min(kSlowest, slowest.size()); ++i) {
    const LayerReport& layer = slowest[i];
    lines.push_back({layer.name.empty() ? layer.output : layer.name, layer.op, milliseconds_text(layer.milliseconds),
                     fmt::format("{:.1f} %", total > 0 ? 100 * layer.milliseconds / total : 0),
                     layer.macs > 0 ? large_count_text(double(layer.macs)) : "", layer.implementation});
  }
  return fmt::format("\nwhere the time goes: {} steps, {} in sum, {}\n", found.layers.size(), milliseconds_text(total),
                     plural_text(threads, "thread")) +
         aligned(lines, {2, 3, 4});
}

nlohmann::json inspection_json(const Inspection& found, const Shared& shared) {
  nlohmann::json stored = nlohmann::json::object(), json = to_json(found.model.row);
  for (const auto& [name, one] : found.stored)
    stored[name] = {{"tensors", one.tensors}, {"elements", one.elements}, {"bytes", one.bytes}};
  const auto values = [&](const std::vector<ValueId>& ids) {
    nlohmann::json list = nlohmann::json::array();
    for (ValueId id : ids) {
      const Value& value = found.model.graph.at(id);
      list.push_back({{"name", value.name},
                      {"type", type_text(value.type)},
                      {"shape", value.shape ? nlohmann::json(shape_text(*value.shape)) : nlohmann::json(nullptr)}});
    }
    return list;
  };
  return {{"machine", describe_machine(shared.threads, PARE_VERSION)},
          {"model", json["model"]},
          {"format", json["format"]},
          {"recipe", json["recipe"]},
          {"size_bytes", json["size_bytes"]},
          {"weights", json["weights"]},
          {"macs", json["macs"]},
          {"shapes", json["shapes"]},
          {"opset", found.model.graph.opset()},
          {"inputs", values(found.model.graph.inputs)},
          {"outputs", values(found.model.graph.outputs)},
          {"ops", found.ops},
          {"stored", stored},
          {"layers", plan_json(found.layers)},
          {"error", found.untimed.empty() ? nlohmann::json(nullptr) : nlohmann::json(found.untimed)}};
}

int run(const Arguments& arguments, const Shared& shared) {
  const Inspection found = inspect(arguments, shared);
  say(shared, head_text(found) + ops_text(found) + stored_text(found) + time_text(found, shared.threads));
  for (const std::string& note : found.model.row.notes) say(shared, "Note: " + note + "\n");
  give_json(shared, inspection_json(found, shared));
  return 0;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "the model to look into")->required();
  app.add_option(
         "--shape", arguments->shapes,
         "extents to time with where the model leaves them open: NAME=1x3x64x64, or 1x3x64x64 for the first input")
      ->type_name("SHAPE")
      ->allow_extra_args(false);
  app.add_flag("--no-time", arguments->no_time, "do not run it");
  return [=, &shared] { return run(*arguments, shared); };
}

}  // namespace

extern const Command command_inspect;
const Command command_inspect = {"inspect",
                                 "What is in a model: operators, weights, bytes, and where the time goes on this CPU.",
                                 "pare inspect model.onnx", declare};

}  // namespace pare
