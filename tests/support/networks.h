#pragma once
// Small networks with random weights, built in memory, for tests of engine and passes.
#include <cmath>

#include "base/random.h"
#include "graph/graph.h"

namespace pare::testing {

inline Array random_array(Dims dims, uint64_t seed, float scale = 1) {
  Random random(seed);
  Array array(Type::f32, std::move(dims));
  for (float& v : array.mutable_values<float>()) v = scale * float(random.normal());
  return array;
}

// The first axis of every value is left open, as batches of any size have it.
inline void open_batch(Graph& graph) {
  for (Value& value : graph.values)
    if (!value.constant && value.shape && !value.shape->empty()) (*value.shape)[0] = {-1, "N"};
}

class Network {
 public:
  explicit Network(uint64_t seed = 7) : seed_(seed) { graph.opsets[""] = 13; }

  ValueId input(const std::string& name, Dims dims) {
    const ValueId id = graph.add_value(name, Type::f32, shape_of(dims));
    graph.inputs.push_back(id);
    return id;
  }
  ValueId node(const std::string& op, std::vector<ValueId> inputs, std::map<std::string, Attribute> attributes = {}) {
    const std::string name = op + std::to_string(graph.nodes.size());
    const ValueId out = graph.add_value("v_" + name, Type::f32);
    Node& added = graph.add_node(op, std::move(inputs), {out});
    added.name = name;
    added.attributes = std::move(attributes);
    return out;
  }
  ValueId constant(Dims dims, float scale = 1) { return graph.add_constant("c" + std::to_string(graph.values.size()), Tensor(random_array(dims, ++seed_, scale))); }
  ValueId conv(ValueId x, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t group = 1) {
    const float scale = std::sqrt(2.f / float(in / group * kernel * kernel));
    return node("Conv", {x, constant({out, in / group, kernel, kernel}, scale), constant({out}, 0.1f)},
                {{"strides", std::vector<int64_t>{stride, stride}}, {"pads", std::vector<int64_t>(4, kernel / 2)}, {"group", group}});
  }
  ValueId batch_norm(ValueId x, int64_t channels) {
    Array variance = random_array({channels}, ++seed_);
    for (float& v : variance.mutable_values<float>()) v = 0.5f + v * v;
    return node("BatchNormalization", {x, constant({channels}), constant({channels}), constant({channels}),
                                       graph.add_constant("var" + std::to_string(seed_), Tensor(variance))});
  }
  ValueId clip(ValueId x, float low, float high) {
    return node("Clip", {x, graph.add_constant("lo", Array::scalar(low)), graph.add_constant("hi", Array::scalar(high))});
  }
  Graph finish(ValueId output) {
    graph.outputs.push_back(output);
    infer_shapes(graph);
    verify(graph);
    return graph;
  }

  Graph graph;

 private:
  uint64_t seed_;
};

// A residual network as for CIFAR: stem, identity block, block with a projection, pooling, linear.
inline Graph residual_network(int64_t batch = 1, bool batch_norm = false) {
  Network n;
  auto layer = [&](ValueId x, int64_t in, int64_t out, int64_t kernel, int64_t stride) {
    const ValueId y = n.conv(x, in, out, kernel, stride);
    return batch_norm ? n.batch_norm(y, out) : y;
  };
  ValueId x = n.node("Relu", {layer(n.input("image", {batch, 3, 17, 19}), 3, 16, 3, 1)});
  ValueId y = n.node("Relu", {layer(x, 16, 16, 3, 1)});
  x = n.node("Relu", {n.node("Add", {layer(y, 16, 16, 3, 1), x})});
  y = n.node("Relu", {layer(x, 16, 24, 3, 2)});
  x = n.node("Relu", {n.node("Add", {layer(y, 24, 24, 3, 1), layer(x, 16, 24, 1, 2)})});
  x = n.node("GlobalAveragePool", {x});
  x = n.node("Flatten", {x});
  return n.finish(n.node("Gemm", {x, n.constant({10, 24}, 0.3f), n.constant({10})}, {{"transB", int64_t(1)}}));
}

// An inverted-residual network as for phones: depthwise convolutions, ReLU6, linear bottlenecks, max pool, odd channels.
inline Graph mobile_network(int64_t batch = 1) {
  Network n(99);
  ValueId x = n.clip(n.conv(n.input("image", {batch, 3, 20, 20}), 3, 12, 3, 2), 0, 6);
  ValueId y = n.clip(n.conv(x, 12, 35, 1, 1), 0, 6);
  y = n.clip(n.conv(y, 35, 35, 3, 1, 35), 0, 6);
  x = n.node("Add", {n.conv(y, 35, 12, 1, 1), x});
  y = n.clip(n.conv(x, 12, 40, 1, 1), 0, 6);
  y = n.clip(n.conv(y, 40, 40, 5, 2, 40), 0, 6);
  y = n.node("MaxPool", {y}, {{"kernel_shape", std::vector<int64_t>{3, 3}}, {"strides", std::vector<int64_t>{1, 1}}, {"pads", std::vector<int64_t>(4, 1)}});
  y = n.conv(y, 40, 20, 1, 1, 4);
  x = n.node("Flatten", {n.node("GlobalAveragePool", {n.node("Relu", {y})})});
  return n.finish(n.node("MatMul", {x, n.constant({20, 7}, 0.3f)}));
}

// Largest difference relative to the largest magnitude.
inline double relative_error(const Array& a, const Array& b) {
  const std::vector<float> x = a.to_floats(), y = b.to_floats();
  double most = 0, difference = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    most = std::max(most, std::abs(double(y[i])));
    difference = std::max(difference, std::abs(double(x[i]) - y[i]));
  }
  return x.size() == y.size() && a.dims() == b.dims() ? difference / std::max(most, 1e-30) : 1e30;
}

inline double sqnr_db(const Array& a, const Array& exact) {
  const std::vector<float> x = a.to_floats(), y = exact.to_floats();
  double signal = 0, noise = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    signal += double(y[i]) * y[i];
    noise += (double(x[i]) - y[i]) * (double(x[i]) - y[i]);
  }
  return 10 * std::log10(signal / std::max(noise, 1e-30));
}

}  // namespace pare::testing
