#include "base/random.h"
#include "engine/engine.h"
#include "graph/op.h"

namespace pare {

std::vector<Array> run_reference(const Graph& graph, const std::vector<Array>& inputs,
                                 const std::vector<std::string>& taps) {
  std::vector<ValueId> ids;
  for (const std::string& tap : taps) {
    ids.push_back(graph.find(tap));
    if (ids.back() == kNone) throw Error("value '" + tap + "'", "is not in the model");
  }
  return evaluate(graph, inputs, {}, ids);
}

namespace {

// Height and width of NCHW, or of NHWC where only the last axis can be the channels; tokens of NxT.
bool is_spatial_or_sequence(const Value& input, size_t axis) {
  const Shape& shape = *input.shape;
  if (shape.size() == 2) return axis == 1 && is_integer(input.type);
  if (shape.size() != 4 || axis == 0) return false;
  const bool channels_last = !shape[1].known() && shape[3].known();
  return channels_last ? axis < 3 : axis > 1;
}

// `open` becomes true where `extent` is used.
std::vector<Dims> input_dims(const Graph& graph, int64_t batch, const std::map<std::string, Dims>& given,
                             int64_t extent, bool& open) {
  std::vector<Dims> all;
  for (ValueId id : graph.inputs) {
    const Value& value = graph.at(id);
    if (auto it = given.find(value.name); it != given.end()) {
      all.push_back(it->second);
      continue;
    }
    if (!value.shape)
      throw Error("input '" + value.name + "'", "the model does not say its rank",
                  "give a shape with the data description's latency_shape");
    Dims dims;
    for (size_t i = 0; i < value.shape->size(); ++i) {
      const bool known = (*value.shape)[i].known(), wide = !known && i > 0 && is_spatial_or_sequence(value, i);
      open |= wide;
      dims.push_back(known ? (*value.shape)[i].value : i == 0 ? batch : wide ? extent : 1);
    }
    all.push_back(dims);
  }
  return all;
}

bool has_shapes(const Graph& graph, const std::vector<Dims>& dims) {
  try {
    Graph copy = graph;
    infer_shapes(copy, dims);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::vector<Dims> default_input_dims(const Graph& graph, int64_t batch, const std::map<std::string, Dims>& given) {
  bool open = false;
  const std::vector<Dims> usual = input_dims(graph, batch, given, assumed_extent, open);
  if (!open || has_shapes(graph, usual)) return usual;
  // Some models take one height only, though they leave it open: readers of lines of text 32 or 48, classifiers 224.
  for (const int64_t extent : {224, 48, 32, 64, 96, 160, 192, 256, 320, 384, 416, 512, 640})
    if (const std::vector<Dims> dims = input_dims(graph, batch, given, extent, open); has_shapes(graph, dims))
      return dims;
  return usual;
}

std::vector<Array> random_inputs(const Graph& graph, const std::vector<Dims>& dims, uint64_t seed) {
  Random random(seed);
  std::vector<Array> arrays;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    Array values(Type::f32, dims.at(i));
    const Type type = graph.at(graph.inputs[i]).type;
    // Integer inputs are mostly token ids and masks: 0 and 1 are always valid.
    for (float& v : values.mutable_values<float>())
      v = is_integer(type) ? float(random.below(2)) : float(random.normal());
    arrays.push_back(type == Type::none ? values : values.cast(type));
  }
  return arrays;
}

}  // namespace pare
