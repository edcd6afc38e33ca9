// Hidden: what measure/memory.cpp runs in a fresh process.
#include <cstdio>

#include "command.h"
#include "formats/format.h"
#include "measure/measure.h"

namespace pare {
namespace {

Dims parse_dims(const std::string& text) {
  Dims dims;
  for (size_t at = 0; at < text.size() && text != "scalar";) {
    size_t used = 0;
    try {
      dims.push_back(std::stoll(text.substr(at), &used));
    } catch (const std::exception&) {
      throw UsageError("--shape", "cannot read '" + text + "'", "write extents as 1x3x32x32");
    }
    at += used + 1;
  }
  return dims;
}

int run(const std::string& path, const std::vector<std::string>& shapes, const Shared& shared) {
  const Graph graph = read_model(path);
  std::vector<Dims> dims;
  for (const std::string& shape : shapes) dims.push_back(parse_dims(shape));
  if (dims.empty()) dims = default_input_dims(graph, 1);
  SessionOptions options;
  options.threads = shared.threads;
  Session session(graph, dims, options);
  session.run_only(random_inputs(graph, dims, shared.seed));
  std::printf("%lld\n", static_cast<long long>(peak_memory_bytes()));
  return 0;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  const auto path = std::make_shared<std::string>();
  const auto shapes = std::make_shared<std::vector<std::string>>();
  app.add_option("MODEL", *path)->required();
  app.add_option("--shape", *shapes, "extents of one input, in order");
  return [=, &shared] { return run(*path, *shapes, shared); };
}

}  // namespace

extern const Command command_measure_memory;
const Command command_measure_memory = {"measure-memory", "Peak memory of loading a model and running it once.",
                                        "pare measure-memory model.onnx", declare, true};

}  // namespace pare
