#pragma once
#include <string>

#include "base/progress.h"
#include "data/data_set.h"
#include "passes/pass.h"

namespace pare {

struct Compression {
  std::string model, recipe, output;
  const DataSet* data = nullptr;
  uint64_t seed = 1;
  Progress progress;
  bool mapped = false;  // see WriteOptions
  std::map<std::string, Dims> shapes = {};  // of inputs, "" stands for the first
  int64_t max_memory = PipelineInputs{}.max_memory;
};
struct CompressionResult : PipelineResult {
  bool adapters = false;  // the graph has some
};
// Reads the model, runs the recipe, writes the artifact under its final name only when complete. The canonical recipe
// goes into the artifact, after the one the model already carries.
CompressionResult compress_model(const Compression& compression);
// The data's calibration split as the model's inputs; empty where there is none.
SampleSource calibration_source(const Graph& graph, const DataSet* data);
// Its training split as labelled batches; empty where there is none.
TrainingSource training_source(const Graph& graph, const DataSet* data);
// Throws UsageError where writing `output` would destroy `model`, or its ending names no format.
void check_output(const std::string& model, const std::string& output);

}  // namespace pare
