// bench_serve MODEL --threads N [--input X.npy …]: answers timing requests, so that a driver can interleave pare with
// its peers. The inputs' files decide the shapes; without them an input is random, of the shape the model declares.
// Prints `ready` when compiled and warm; reads lines: `run K` answers with K latencies in microseconds, `quit` ends.
#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <sstream>

#include "base/error.h"
#include "base/threads.h"
#include "data/data_set.h"
#include "engine/engine.h"
#include "formats/format.h"

namespace {

constexpr uint64_t kSeed = 7;
constexpr double kWarmSeconds = 0.3;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<pare::Array> read_inputs(const pare::Graph& graph, const std::vector<std::string>& files) {
  if (files.empty()) return pare::random_inputs(graph, pare::default_input_dims(graph, 1), kSeed);
  std::vector<pare::Array> inputs;
  for (const std::string& file : files) inputs.push_back(pare::read_npy(file));
  return inputs;
}

void serve(const std::string& path, int threads, const std::vector<std::string>& files) {
  pare::set_threads(threads);
  const pare::Graph graph = pare::read_model(path);
  const std::vector<pare::Array> inputs = read_inputs(graph, files);
  std::vector<pare::Dims> dims;
  for (const pare::Array& input : inputs) dims.push_back(input.dims());
  pare::SessionOptions options;
  options.threads = threads;
  pare::Session session(graph, dims, options);
  for (const auto start = Clock::now(); seconds_since(start) < kWarmSeconds;) session.run_only(inputs);
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string word;
    int count = 0;
    words >> word >> count;
    if (word == "quit") return;
    if (word != "run" || count < 1) throw pare::UsageError("'" + line + "'", "expected `run K` or `quit`");
    std::vector<double> times;
    for (int i = 0; i < count; ++i) {
      const auto start = Clock::now();
      session.run_only(inputs);
      times.push_back(seconds_since(start) * 1e6);
    }
    for (size_t i = 0; i < times.size(); ++i) std::printf("%s%.3f", i > 0 ? " " : "", times[i]);
    std::printf("\n");
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Serves one model with a fixed random input; see the head of bench/serve.cpp for the protocol.");
  std::string model;
  int threads = 1;
  std::vector<std::string> files;
  app.add_option("MODEL", model)->required();
  app.add_option("--threads", threads)->capture_default_str();
  app.add_option("--input", files);
  CLI11_PARSE(app, argc, argv);
  try {
    serve(model, threads, files);
  } catch (const std::exception& error) {
    std::cerr << "bench_serve: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
