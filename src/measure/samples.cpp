#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/threads.h"
#include "measure/measure.h"

namespace pare {

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

// The second extent of the model's inputs, -1 where it is open.
int64_t fixed_length(const Graph& graph) {
  for (ValueId id : graph.inputs)
    if (const auto& shape = graph.at(id).shape; shape && shape->size() > 1 && (*shape)[1].known())
      return (*shape)[1].value;
  return -1;
}

// Every input of the sample, 1xT…, filled up to 1xLENGTH…
void fill_up(Sample& sample, const Padding& padding, int64_t length) {
  for (size_t i = 0; i < sample.inputs.size(); ++i) {
    const Array& array = sample.inputs[i];
    if (array.rank() < 2 || array.dim(1) >= length) continue;
    PARE_CHECK(array.type() == Type::i64 && i < padding.values.size());
    Dims dims = array.dims();
    dims[1] = length;
    Array filled(Type::i64, dims);
    auto values = filled.mutable_values<int64_t>();
    std::fill(values.begin(), values.end(), padding.values[i]);
    std::memcpy(values.data(), array.bytes(), array.size_bytes());
    sample.inputs[i] = std::move(filled);
  }
}

// Reading and preprocessing on all threads; the first error wins.
std::vector<Sample> read_samples(const Samples& samples, std::span<const int64_t> indices) {
  const auto count = int64_t(indices.size());
  std::vector<Sample> read(indices.size());
  std::exception_ptr error;
  std::mutex guard;
  parallel_for(count, [&](int64_t begin, int64_t end) {
    try {
      for (int64_t i = begin; i < end; ++i) read[size_t(i)] = samples.get(indices[size_t(i)]);
    } catch (...) {
      const std::lock_guard lock(guard);
      if (!error) error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
  return read;
}

std::vector<Array> in_order(const Graph& graph, const DataSet& data, const Sample& sample) {
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

int64_t length_of(const Sample& sample) {
  int64_t length = 0;
  for (const Array& array : sample.inputs)
    if (array.rank() > 1) length = std::max(length, array.dim(1));
  return length;
}

constexpr int64_t kLengthStep = 8;  // mean waste of 4 of some 20 tokens, and at most 16 plans for 128

}  // namespace

int64_t batch_length(const Graph& graph, const DataSet& data, int64_t longest, int64_t count) {
  if (data.padding.values.empty()) return longest;
  if (const int64_t fixed = fixed_length(graph); fixed > 0) return std::max(fixed, longest);
  if (count == 1) return longest;
  return std::max(longest, std::min(data.padding.most, (longest + kLengthStep - 1) / kLengthStep * kLengthStep));
}

std::vector<Array> model_inputs(const Graph& graph, const DataSet& data, const Sample& sample) {
  if (data.padding.values.empty()) return in_order(graph, data, sample);
  Sample filled = sample;
  fill_up(filled, data.padding, batch_length(graph, data, length_of(sample), 1));
  return in_order(graph, data, filled);
}

std::vector<Array> gather_batch(const Graph& graph, const DataSet& data, const Samples& samples, int64_t first,
                                int64_t count, std::vector<int64_t>* labels) {
  std::vector<int64_t> indices;
  for (int64_t i = first; i < std::min(first + count, samples.size()); ++i) indices.push_back(i);
  if (indices.empty())
    throw Error(data.path, "has no sample " + std::to_string(first) + ", only " + std::to_string(samples.size()));
  return gather_samples(graph, data, samples, indices, count, labels);
}

std::vector<Array> gather_samples(const Graph& graph, const DataSet& data, const Samples& samples,
                                  std::span<const int64_t> indices, int64_t count, std::vector<int64_t>* labels) {
  const auto present = int64_t(indices.size());
  PARE_CHECK(present > 0 && present <= count);
  std::vector<Sample> read = read_samples(samples, indices);
  int64_t longest = 0;
  for (const Sample& sample : read) longest = std::max(longest, length_of(sample));
  std::vector<std::vector<Array>> ordered;
  for (Sample& sample : read) {
    if (!data.padding.values.empty()) fill_up(sample, data.padding, batch_length(graph, data, longest, count));
    ordered.push_back(in_order(graph, data, sample));
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
    if (batch >= 0 && extent != batch) return 1;  // not a batch in every input: the state of a recurrent layer has layers there
    batch = extent;
  }
  return batch;
}

}  // namespace pare
