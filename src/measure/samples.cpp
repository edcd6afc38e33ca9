#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/threads.h"
#include "measure/measure.h"

namespace pare {
namespace {

// Where the sample's array for the graph's input stands: by name where the description names inputs, else by position.
size_t sample_position(const Graph& graph, const DataSet& data, size_t input) {
  if (data.input_names.empty()) return input;
  const std::string& name = graph.at(graph.inputs[input]).name;
  const auto at = std::find(data.input_names.begin(), data.input_names.end(), name);
  if (at == data.input_names.end())
    throw Error(data.path, "has no input named '" + name + "', which the model takes",
                "name it in the description, or leave names out to go by position");
  return size_t(at - data.input_names.begin());
}

void check_fits(const Value& input, const Array& array, const DataSet& data) {
  if (!input.shape) return;
  const Shape& shape = *input.shape;
  bool fits = size_t(array.rank()) == shape.size();
  for (size_t axis = 1; fits && axis < shape.size(); ++axis)
    fits = !shape[axis].known() || shape[axis].value == array.dim(int(axis));
  if (!fits)
    throw Error(data.path,
                "its samples are " + dims_text(array.dims()) + ", the model's input '" + input.name + "' takes " +
                    shape_text(shape),
                "adapt the description's preprocessing, or use the data this model was trained for");
}

Array stack(const std::vector<const Array*>& rows) {
  Dims dims = rows[0]->dims();
  dims[0] = int64_t(rows.size());
  Array batch(rows[0]->type(), dims);
  std::byte* to = batch.mutable_bytes();
  const size_t each = rows[0]->size_bytes();
  for (const Array* row : rows) {
    if (row->size_bytes() != each || row->type() != rows[0]->type())
      throw Error("batch",
                  "samples differ in shape: " + dims_text(row->dims()) + " beside " + dims_text(rows[0]->dims()));
    std::memcpy(to, row->bytes(), each);
    to += each;
  }
  return batch;
}

// Reading and preprocessing on all threads; the first error wins.
std::vector<Sample> read_samples(const Samples& samples, int64_t first, int64_t count) {
  std::vector<Sample> read(static_cast<size_t>(count));
  std::exception_ptr error;
  std::mutex guard;
  parallel_for(count, [&](int64_t begin, int64_t end) {
    try {
      for (int64_t i = begin; i < end; ++i) read[size_t(i)] = samples.get(first + i);
    } catch (...) {
      const std::lock_guard lock(guard);
      if (!error) error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
  return read;
}

}  // namespace

std::vector<Array> model_inputs(const Graph& graph, const DataSet& data, const Sample& sample) {
  std::vector<Array> inputs;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const size_t position = sample_position(graph, data, i);
    if (position >= sample.inputs.size())
      throw Error(data.path, "gives " + std::to_string(sample.inputs.size()) + " inputs, the model takes " +
                                 std::to_string(graph.inputs.size()));
    check_fits(graph.at(graph.inputs[i]), sample.inputs[position], data);
    inputs.push_back(sample.inputs[position]);
  }
  return inputs;
}

std::vector<Array> gather_batch(const Graph& graph, const DataSet& data, const Samples& samples, int64_t first,
                                int64_t count, std::vector<int64_t>* labels) {
  const int64_t present = std::min(count, samples.size() - first);
  if (present <= 0)
    throw Error(data.path, "has no sample " + std::to_string(first) + ", only " + std::to_string(samples.size()));
  const std::vector<Sample> read = read_samples(samples, first, present);
  std::vector<std::vector<Array>> ordered;
  for (const Sample& sample : read) {
    ordered.push_back(model_inputs(graph, data, sample));
    if (labels != nullptr) labels->push_back(sample.label);
  }
  if (count == 1) return ordered[0];
  std::vector<Array> batch;
  for (size_t input = 0; input < graph.inputs.size(); ++input) {
    std::vector<const Array*> rows;
    for (int64_t i = 0; i < count; ++i) rows.push_back(&ordered[size_t(std::min(i, present - 1))][input]);
    batch.push_back(stack(rows));
  }
  return batch;
}

int64_t declared_batch(const Graph& graph) {
  int64_t batch = -1;
  for (ValueId id : graph.inputs) {
    const Value& input = graph.at(id);
    if (!input.shape || input.shape->empty() || !(*input.shape)[0].known()) continue;
    const int64_t extent = (*input.shape)[0].value;
    if (batch >= 0 && extent != batch)
      throw Error("input '" + input.name + "'",
                  "has " + std::to_string(extent) + " as its first extent, another input has " + std::to_string(batch));
    batch = extent;
  }
  return batch;
}

}  // namespace pare
