// Hidden: what measure/memory.cpp runs in a fresh process.
#include <cstdio>

#include "command.h"
#include "formats/format.h"
#include "measure/measure.h"
#include "shapes.h"

namespace pare {
namespace {

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
  app.add_option("--shape", *shapes, "extents of one input, in order")->allow_extra_args(false);
  return [=, &shared] { return run(*path, *shapes, shared); };
}

}  // namespace

extern const Command command_measure_memory;
const Command command_measure_memory = {"measure-memory", "Peak memory of loading a model and running it once.",
                                        "pare measure-memory model.onnx", declare, true};

}  // namespace pare
