#include <fmt/format.h>

#include <cmath>

#include "measure/tasks/task.h"

namespace pare {

#define TASK(name) extern const Task task_##name;
#include "measure/tasks/catalog.inc"
#undef TASK

std::span<const Task* const> tasks() {
  static const Task* const all[] = {
#define TASK(name) &task_##name,
#include "measure/tasks/catalog.inc"
#undef TASK
  };
  return all;
}

const Task& find_task(const std::string& name) {
  std::string known;
  for (const Task* task : tasks()) {
    if (name == task->name) return *task;
    known += (known.empty() ? "" : ", ") + std::string(task->name);
  }
  throw Error("task '" + name + "'", "cannot be measured", "known tasks: " + known);
}

std::vector<float> sample_values(const Array& output, size_t sample, bool batched) {
  std::vector<float> values = output.to_floats();
  if (!batched) return values;
  const size_t each = values.size() / size_t(output.dim(0));
  return {values.begin() + ptrdiff_t(sample * each), values.begin() + ptrdiff_t((sample + 1) * each)};
}

Array sample_of(const Array& output, size_t sample, bool batched) {
  if (!batched) return output;
  Dims dims = output.dims();
  dims[0] = 1;
  return Array::of<float>(dims, sample_values(output, sample, true));
}

Preprocess output_units(const Section& section, const std::string& key, const Preprocess& otherwise) {
  if (!section.has(key)) return otherwise;
  std::vector<double> range = section.numbers(key);
  if (range.size() == 1) range.insert(range.begin(), 0);
  if (range.size() != 2 || range[0] >= range[1])
    section.fail(key, "expected the output's white, or [black, white]", fmt::format("{0} = 1, {0} = 255 or {0} = [-1, 1]", key));
  Preprocess units = otherwise;
  units.scale = (range[1] - range[0]) / 255;
  units.mean = {-range[0]};
  units.std = {1};
  return units;
}

size_t top_index(std::span<const float> values) {
  size_t top = 0;
  float best = -INFINITY;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] > best) {
      best = values[i];
      top = i;
    }
  }
  return top;
}

}  // namespace pare
