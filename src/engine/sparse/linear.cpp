// Linear layers that leave out products with zeros: over places in lanes where there are several, else output by
// output.
#include <algorithm>

#include "base/threads.h"
#include "engine/float_linear.h"
#include "engine/sparse/sparse.h"

namespace pare {
namespace {

constexpr int64_t kFewPlaces = 4;  // fewer leave most lanes empty: each is a sum of its own

// Inputs and result in lanes: [inputs][places] → [outputs][places].
class SparseLinearStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    run_sparse_layer(layer, reinterpret_cast<const float*>(slots[reads[0]]), nullptr,
                     reinterpret_cast<float*>(slots[writes]), thread, threads);
  }
  SparseLayer layer;
};

// Inputs and result plain.
class SparseVectorStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    compute(reinterpret_cast<const float*>(slots[reads[0]]), reinterpret_cast<float*>(slots[writes]), thread, threads);
  }
  void compute(const float* x, float* y, int thread, int threads) const {
    const auto [first, last] = weights.share(thread, threads);
    SparseFloatJob mine = job;
    mine.weights = &weights;
    for (int64_t place = 0; place < places; ++place) {
      mine.x = x + place * inputs;
      mine.y = y + place * outputs;
      best_sparse_float_kernel().dot(mine, first, last);
    }
  }
  SparseFloatWeights weights;
  SparseFloatJob job;
  int64_t places = 1, inputs = 1, outputs = 1;
};

struct SparseLinear {
  Linear linear;
  Array weight;  // [outputs][inputs]
  Clipped clipped;
  SparseSource source;
  SparseFloatJob job;
  double zeros = 0;
  std::string key;
};

SparseLinear describe(const Planner& planner, const Node& node, Linear linear) {
  SparseLinear layer{std::move(linear), {}, {}, {}, {}, zero_share(*planner.graph.constant(node.inputs[1])), ""};
  layer.weight = layer.linear.turned();
  layer.clipped = clip_behind(planner, layer.linear.result, false);
  if (layer.linear.add >= 0) {
    layer.clipped.nodes.push_back(layer.linear.add);
    layer.clipped.text = "+Add" + layer.clipped.text;
  }
  const int64_t rows = layer.linear.rows, pitch = lanes_pitch(rows);
  layer.source = {layer.weight.values<float>().data(),
                  layer.linear.bias.values<float>().data(),
                  layer.linear.columns,
                  layer.linear.inner,
                  {},
                  1};
  for (int64_t k = 0; k < layer.linear.inner; ++k)
    layer.source.offsets.push_back(int32_t(rows < kFewPlaces ? k : k * pitch));
  layer.job.columns = (rows + kSparseLanes - 1) / kSparseLanes;
  layer.job.y_channel = pitch;
  layer.job.low = layer.clipped.low;
  layer.job.high = layer.clipped.high;
  layer.key = "sparse_linear 2 " + std::string(best_sparse_float_kernel().isa) + " " + std::to_string(rows) + "x" +
              std::to_string(layer.linear.inner) + "x" + std::to_string(layer.linear.columns) + layer.clipped.text +
              " z" + std::to_string(int(layer.zeros * 100 + 0.5)) + " t" + std::to_string(planner.threads);
  return layer;
}

std::unique_ptr<SparseVectorStep> make_vector(const SparseLinear& layer) {
  auto step = std::make_unique<SparseVectorStep>();
  std::vector<int32_t> channels;
  for (int32_t channel = 0; channel < layer.source.outputs; ++channel) channels.push_back(channel);
  step->weights = pack_sparse_float(layer.source.weight, layer.source.bias, layer.source.inputs, layer.source.offsets,
                                    layer.source.inputs, 1, channels);
  step->job = layer.job;
  step->places = layer.linear.rows;
  step->inputs = layer.source.inputs;
  step->outputs = layer.source.outputs;
  return step;
}

// The layer with what follows it, dense and sparse; everything counts, also transposing. Says nothing where that is not
// asked.
std::optional<Comparison> measured(Planner& planner, int n, const SparseLinear& layer, const std::string& form) {
  if (!planner.options.tune || planner.options.sparse != SparseLayers::measured) return std::nullopt;
  std::vector<int> nodes{n};
  nodes.insert(nodes.end(), layer.clipped.nodes.begin(), layer.clipped.nodes.end());
  std::sort(nodes.begin(), nodes.end());
  return compare_forms(
      planner, layer.key, form, layer.zeros, [&] { return time_nodes(planner, nodes, SparseLayers::never); },
      [&] { return time_nodes(planner, nodes, SparseLayers::always); });
}

std::unique_ptr<Step> make_step(Planner& planner, const Node& node, const SparseLinear& layer, std::string& form) {
  if (layer.linear.rows < kFewPlaces) {
    form = "by outputs";
    return make_vector(layer);
  }
  auto step = std::make_unique<SparseLinearStep>();
  const Storage in = lanes_storage(planner, node.inputs[0]), out = lanes_storage(planner, layer.clipped.result);
  const AlignedFloats from = aligned_zeros(in.bytes()), to = aligned_zeros(out.bytes());
  step->layer = tune_sparse_layer(planner, layer.source, layer.job, layer.key, [&](const SparseLayer& tried) {
    run_parallel(
        [&](int thread, int threads) { run_sparse_layer(tried, from.get(), nullptr, to.get(), thread, threads); });
  });
  form = tiling_text(step->layer);
  return step;
}

}  // namespace

bool lower_sparse_linear(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const Tensor* tensor = node.is("Gemm") || node.is("MatMul") ? planner.graph.constant(node.input(1)) : nullptr;
  if (tensor == nullptr || !tensor->plain() || tensor->type != Type::f32 ||
      planner.options.sparse == SparseLayers::never || zero_share(*tensor) < kLeastZeros)
    return false;
  auto linear = linear_of(planner, node);
  if (!linear || linear->rows == 0 || linear->columns == 0 || planner.dims(node.inputs[0]).size() == 4) return false;
  if (lanes_pitch(linear->rows) * linear->inner > std::numeric_limits<int32_t>::max())
    return planner.refuse("its input is too large for 32-bit offsets"), false;
  const SparseLinear layer = describe(planner, node, std::move(*linear));
  std::string form;
  std::unique_ptr<Step> step = make_step(planner, node, layer, form);
  const auto found = measured(planner, n, layer, form);
  if (found && !found->sparse_wins)
    return planner.refuse(percent(layer.zeros) + " of its weights are zero, but " + found->note), false;
  const Layout layout = layer.linear.rows < kFewPlaces ? Layout::plain : Layout::lanes;
  step->reads = {planner.slot(node.inputs[0], layout, Type::f32)};
  step->writes = planner.define(layer.clipped.result, {Type::f32, planner.dims(layer.clipped.result), layout});
  for (const int fused : layer.clipped.nodes) planner.done[size_t(fused)] = 1;
  step->report = {
      node.name,
      node.op_type + layer.clipped.text,
      planner.graph.at(layer.clipped.result).name,
      "sparse f32 " + std::string(best_sparse_float_kernel().isa) + " " + percent(layer.zeros) + " zeros " + form,
      "f32",
      found ? found->note : "",
      layer.linear.rows * layer.linear.inner * layer.linear.columns,
      tensor->size_bytes(),
      0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
