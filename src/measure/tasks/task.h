#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "measure/measure.h"

namespace pare {

// One batch as a task sees it. Rows beyond labels.size() are filling and not judged.
struct JudgedBatch {
  std::span<const int64_t> labels;
  std::span<const Array> outputs;           // the model's; the first axis is the batch where `batched`
  std::span<const Array> baseline_outputs;  // empty unless the task asked for them
  bool batched = true;                      // false: one sample, whatever the first axis is
  std::span<const int64_t> samples = {};    // numbers of the judged samples in the test split
  std::span<const Array> inputs = {};       // what the model was given, in its order
  std::span<const std::string> output_names = {};
};

class Exhibit;

// Collects over the test split; memory grows with the number of samples by a few bytes each at most.
class Judge {
 public:
  virtual ~Judge() = default;
  virtual void see(const JudgedBatch& batch) = 0;
  virtual Quality finish() = 0;
};

// A way to judge a model on a test split; `name` is the data description's task.
struct Task {
  const char* name;
  const char* summary;
  bool needs_baseline;  // judges outputs by the baseline model's
  std::unique_ptr<Judge> (*start)(const DataSet& data, uint64_t seed);
  bool one_at_a_time = false;  // outputs need not have a batch axis
  // What the report shows of one sample of the test split; null where there is nothing to look at.
  std::unique_ptr<Exhibit> (*exhibit)(const DataSet& data, int64_t sample) = nullptr;
  const char* exhibit_about = "";  // which samples are chosen and what is to be seen
  int64_t exhibit_samples = 1;  // so many, from that one on, make one thing to look at
  bool compares = false;  // is given the baseline's outputs too where it takes the same inputs and is another model
};

std::span<const Task* const> tasks();            // the catalog
const Task& find_task(const std::string& name);  // throws Error listing what is known

// The sample's share of an output as floats.
std::vector<float> sample_values(const Array& output, size_t sample, bool batched);
// The same with its extents, the batch axis being 1.
Array sample_of(const Array& output, size_t sample, bool batched);
// How a model's output becomes pixels: the table's `key` gives the output's white, or [black, white]; `otherwise` where it does not.
Preprocess output_units(const Section& section, const std::string& key, const Preprocess& otherwise);
// Index of the largest value, the first of equals; NaN never wins.
size_t top_index(std::span<const float> values);

}  // namespace pare
