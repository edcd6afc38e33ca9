#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "command.h"
#include "data/data_set.h"
#include "engine/engine.h"
#include "formats/format.h"
#include "layers_text.h"
#include "output.h"

namespace pare {
namespace {

constexpr size_t kTop = 5;

struct Arguments {
  std::string model, output;
  std::vector<std::string> inputs;
  bool explain = false, reference = false;
};

void check_input(const Value& value, const Array& array, const std::string& path) {
  if (!value.shape) return;
  bool fits = size_t(array.rank()) == value.shape->size();
  for (size_t axis = 0; fits && axis < value.shape->size(); ++axis)
    fits = !(*value.shape)[axis].known() || (*value.shape)[axis].value == array.dim(int(axis));
  if (!fits)
    throw Error(path, "is " + dims_text(array.dims()) + ", the model's input '" + value.name + "' takes " +
                          shape_text(*value.shape));
}

// FILE goes by position, NAME=FILE by the input's name.
std::vector<Array> read_inputs(const Graph& graph, const std::vector<std::string>& texts) {
  std::vector<Array> arrays(graph.inputs.size());
  size_t next = 0;
  for (const std::string& text : texts) {
    size_t position = next;
    std::string path = text;
    for (size_t i = 0; i < graph.inputs.size(); ++i) {
      const std::string prefix = graph.at(graph.inputs[i]).name + "=";
      if (!text.starts_with(prefix)) continue;
      position = i;
      path = text.substr(prefix.size());
    }
    if (position >= arrays.size())
      throw UsageError("--input", fmt::format("{} files for a model of {} inputs", texts.size(), arrays.size()),
                       "`pare inspect` shows the inputs");
    arrays[position] = read_npy(path);
    check_input(graph.at(graph.inputs[position]), arrays[position], path);
    next = position + 1;
  }
  for (size_t i = 0; i < arrays.size(); ++i)
    if (arrays[i].empty())
      throw UsageError("--input", "nothing is given for the model's input '" + graph.at(graph.inputs[i]).name + "'",
                       "give one .npy file for every input");
  return arrays;
}

std::vector<size_t> top_indices(const std::vector<float>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t(0));
  const size_t kept = std::min(kTop, order.size());
  std::partial_sort(order.begin(), order.begin() + ptrdiff_t(kept), order.end(),
                    [&](size_t a, size_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
  order.resize(kept);
  return order;
}

std::string file_name_of(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '/' || c == ':' || c == '\\'; }, '_');
  return name + ".npy";
}

void give_outputs(const Graph& graph, const std::vector<Array>& outputs, const Arguments& arguments,
                  const Shared& shared, nlohmann::json& json) {
  if (!arguments.output.empty()) {
    std::error_code code;
    std::filesystem::create_directories(arguments.output, code);
    if (code) throw Error(arguments.output, "cannot be made: " + code.message(), "choose another --output");
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string& name = graph.at(graph.outputs[i]).name;
    nlohmann::json one = {{"name", name}, {"type", type_text(outputs[i].type())}, {"dims", outputs[i].dims()}};
    std::string line = fmt::format("{} {} {}", name, dims_text(outputs[i].dims()), type_text(outputs[i].type()));
    if (!arguments.output.empty()) {
      const std::string path = (std::filesystem::path(arguments.output) / file_name_of(name)).string();
      write_npy(outputs[i], path);
      one["file"] = path;
      line += " → " + path;
    } else if (outputs[i].type() != Type::string) {
      const std::vector<float> values = outputs[i].to_floats();
      one["top"] = nlohmann::json::array();
      line += ", largest";
      for (size_t index : top_indices(values)) {
        line += fmt::format("  [{}] {:.5g}", index, values[index]);
        one["top"].push_back({{"index", index}, {"value", values[index]}});
      }
    }
    say(shared, line + "\n");
    json["outputs"].push_back(std::move(one));
  }
}

int run(const Arguments& arguments, const Shared& shared) {
  const Graph graph = read_model(arguments.model);
  if (arguments.inputs.empty() && !arguments.explain)
    throw UsageError("--input", "is missing", "give one .npy file for every input, or --explain for the plan alone");
  const std::vector<Array> inputs = arguments.inputs.empty()
                                        ? random_inputs(graph, default_input_dims(graph, 1), shared.seed)
                                        : read_inputs(graph, arguments.inputs);
  nlohmann::json json = {{"model", arguments.model}, {"outputs", nlohmann::json::array()}};
  std::vector<Array> outputs;
  if (arguments.reference) {
    outputs = run_reference(graph, inputs);
  } else {
    std::vector<Dims> dims;
    for (const Array& input : inputs) dims.push_back(input.dims());
    SessionOptions options;
    options.threads = shared.threads;
    options.tune = arguments.explain;  // one run does not repay measuring; the plan shown is the one that is measured
    Session session(graph, dims, options);
    if (arguments.explain) {
      say(shared, plan_text(session.layers()) + "\n");
      json["plan"] = plan_json(session.layers());
    }
    outputs = session.run(inputs);
  }
  if (!arguments.inputs.empty()) give_outputs(graph, outputs, arguments, shared, json);
  give_json(shared, json);
  return 0;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "the model to run")->required();
  app.add_option("--input", arguments->inputs, "a .npy file for every input, in order, or NAME=FILE")
      ->type_name("FILE");
  app.add_option("--output", arguments->output,
                 "folder to write every output to as .npy; default: shapes and largest values are shown")
      ->type_name("DIR");
  app.add_flag("--explain", arguments->explain, "show the plan: each layer's implementation and precision, and why");
  CLI::Option* reference =
      app.add_flag("--reference", arguments->reference, "run the slow engine the fast one is judged by");
  app.get_option("--explain")->excludes(reference);
  return [=, &shared] { return run(*arguments, shared); };
}

}  // namespace

extern const Command command_run;
const Command command_run = {"run", "Runs a model on .npy inputs; --explain shows how.",
                             "pare run model.onnx --input image.npy --output results", declare};

}  // namespace pare
