// Trains low-rank adapters beside frozen layers. A frozen base may be encoded: its weights are decoded layer by layer
// while training runs (Dettmers et al. 2023, QLoRA, section 3).
#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "base/random.h"
#include "graph/adapters.h"
#include "passes/solvers/low_rank.h"
#include "passes/training.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct TuneLora : TrainingOptions {
  double rank = 8;
  double alpha = 16;
  std::string targets = "*";
  std::string spare = "lm_head";
  std::string init = "zero";
  double alternations = 1;
  TuneLora() {
    epochs = 2;
    rate = 0.0005;
    batch = 8;
    batch_norm = "frozen";
  }
  static std::vector<Field> fields() {
    FieldList<TuneLora> list;
    list.number("rank", &TuneLora::rank, 1, 4096, "",
                "of the adapters' matrices: rank · (inputs + outputs) numbers are trained a layer", {"4", "8", "16"})
        .number("alpha", &TuneLora::alpha, 1e-3, 1e5, "", "adapters count alpha / rank times; also how fast they learn")
        .word("targets", &TuneLora::targets, {},
              "layers that get an adapter: names, the last parts of names (q_proj) or operators, * for anything, | "
              "between them")
        .word("spare", &TuneLora::spare, {}, "layers that get none, named likewise")
        .word("init", &TuneLora::init, {"zero", "loftq"},
              "zero: the model computes the same at first; loftq: adapters begin with what quantization took, for "
              "which the same recipe must have quantized the weights",
              {"zero", "loftq"})
        .number(
            "alternations", &TuneLora::alternations, 1, 20, "",
            "of init=loftq: from the second on the weights are quantized again, nearest, to what the adapters leave");
    return schedule_fields(list).take();
  }
};

bool named(const std::string& patterns, const Graph& graph, const AdaptableLayer& layer) {
  Node node = graph.nodes[size_t(layer.node)];
  if (name_matches(patterns, node)) return true;
  node.name = layer.name;
  if (name_matches(patterns, node)) return true;
  node.name = layer.name.substr(layer.name.find_last_of("./") + 1);
  return name_matches(patterns, node);
}

// Hu et al. 2021, section 4.1: A at random, B zero. The range is that of PyTorch's linear layers, which PEFT keeps.
AdapterFactors first_values(const AdaptableLayer& layer, int64_t rank, double scale, Random& random) {
  AdapterFactors values{layer.name, {}, {}, scale};
  Dims a = layer.a, b = layer.b;
  a[0] = b[1] = rank;
  values.a = Array(Type::f32, a);
  values.b = Array(Type::f32, b);
  const double reach = 1 / std::sqrt(double(values.a.count() / rank));
  for (float& x : values.a.mutable_values<float>()) x = float((2 * random.uniform() - 1) * reach);
  return values;
}

// What quantization took in all layers, before and after the adapters: sums of squares.
struct Errors {
  double before = 0, after = 0;
};

double add_squares(const Array& a, const Array& b) {
  double sum = 0;
  const auto x = a.values<float>(), y = b.values<float>();
  for (size_t i = 0; i < x.size(); ++i) sum += (double(x[i]) - y[i]) * (double(x[i]) - y[i]);
  return sum;
}

Array difference(const Array& a, const Array& b) {
  Array result = a;
  auto out = result.mutable_values<float>();
  const auto y = b.values<float>();
  for (size_t i = 0; i < out.size(); ++i) out[i] -= y[i];
  return result;
}

// s·B·A = left · right, their sizes shared between A and B by the roots of the singular values. What a rank beyond that
// of the factors has stays as it is.
void take_factors(AdapterFactors& values, const LowRank& factors) {
  const int64_t rank = values.rank(), rows = values.b.dim(0), n = values.a.count() / rank;
  auto a = values.a.mutable_values<float>(), b = values.b.mutable_values<float>();
  for (int64_t r = 0; r < factors.rank; ++r) {
    const float* right = &factors.right[size_t(r * n)];
    const double root = std::sqrt(std::sqrt(std::inner_product(right, right + n, right, 0.0))),
                 scale = std::sqrt(values.scale);
    for (int64_t i = 0; i < n; ++i) a[size_t(r * n + i)] = root > 0 ? float(right[i] / (root * scale)) : 0;
    for (int64_t i = 0; i < rows; ++i)
      b[size_t(i * rank + r)] = float(factors.left[size_t(i * factors.rank + r)] * root / scale);
  }
}

// Li et al. 2023, LoftQ, algorithm 1: W ≈ Q + s·B·A by turns. The first turn takes Q as the recipe made it.
AdapterFactors loftq_values(Graph& graph, const AdaptableLayer& layer, const Graph& floats, AdapterFactors values,
                            int alternations, uint64_t seed, Errors& errors) {
  const std::string& name = graph.at(layer.weight).name;
  const Tensor *encoded = graph.constant(layer.weight), *original = floats.constant(floats.find(name));
  if (original == nullptr || original->dims != encoded->dims)
    throw Error("tune-lora", "init=loftq finds no weight '" + name + "' as it was before it was quantized",
                "quantize in the same recipe, in front of tune-lora, or use init=zero");
  const Array wanted = original->decode().aligned().cast(Type::f32);
  for (int turn = 0; turn < alternations; ++turn) {
    if (turn > 0)
      replace_constant(graph, layer.weight,
                       encoded->codec->encode(difference(wanted, adapter_weight(graph, layer, values)), encoded->axis,
                                              encoded->group));
    encoded = graph.constant(layer.weight);
    const Array left = difference(wanted, encoded->decode().aligned());
    if (turn == 0) errors.before += add_squares(left, Array(Type::f32, left.dims()));
    const Array rows = weight_rows(graph, layer, left);
    const int64_t rank = std::min({values.rank(), rows.dim(0), rows.dim(1)});
    take_factors(values, leading_factors(rows.values<float>(), rows.dim(0), rows.dim(1), rank, seed));
  }
  errors.after += add_squares(difference(wanted, encoded->decode().aligned()), adapter_weight(graph, layer, values));
  return values;
}

void add_adapters(Graph& graph, const TuneLora& options, PassRun& pass) {
  const auto rank = int64_t(options.rank);
  const bool loftq = options.init == "loftq";
  if (loftq && pass.floats == nullptr)
    throw Error("tune-lora", "init=loftq needs weights that this recipe has quantized, there are none",
                "quantize in front of tune-lora, or use init=zero");
  Random random(pass.seed);
  Errors errors;
  int added = 0;
  for (const AdaptableLayer& layer : adaptable_layers(graph)) {
    if (!named(options.targets, graph, layer) || named(options.spare, graph, layer)) continue;
    AdapterFactors values = first_values(layer, rank, options.alpha / options.rank, random);
    // Layers that stayed in float have lost nothing.
    if (loftq && !graph.constant(layer.weight)->plain())
      values = loftq_values(graph, layer, *pass.floats, std::move(values), int(options.alternations),
                            pass.seed + uint64_t(layer.node), errors);
    add_adapter(graph, layer, values);
    ++added;
  }
  graph.sort();
  if (added > 0) pass.notes.push_back(fmt::format("adapters of rank {} beside {} layers", rank, added));
  if (errors.before > 0)
    pass.notes.push_back(
        fmt::format("adapters begin with {:.1f} % of what quantization took from the weights (of its energy)",
                    100 * (1 - errors.after / errors.before)));
}

void run(Graph& graph, const TuneLora& options, PassRun& pass) {
  if (pass.pruning.prune)
    throw UsageError("recipe", "tune-lora leaves layers as they are and cannot prune them little by little",
                     "leave schedule out to prune at once, or put finetune or distil in between");
  add_adapters(graph, options, pass);
  std::vector<std::string> trained;
  int64_t count = 0;
  for (const Adapter& adapter : find_adapters(graph)) {
    for (const int node : {adapter.down, adapter.up})
      trained.push_back(graph.at(graph.nodes[size_t(node)].inputs[1]).name);
    count += adapter.values.a.count() + adapter.values.b.count();
  }
  if (trained.empty())
    throw Error("tune-lora", "finds no layer to adapt",
                "targets and spare name layers; `pare inspect` lists them. Convolutions of several groups and weights "
                "that two layers share get no adapter");
  pass.notes.push_back(
      fmt::format("{:.2f} million numbers are trained, the layers themselves stay as they are", double(count) / 1e6));
  run_training(graph, "tune-lora", options, {}, pass, std::move(trained));
}

}  // namespace

Pass pass_tune_lora() {
  Pass pass = declare_pass<TuneLora>(
      "tune-lora",
      "Trains low-rank adapters beside frozen layers, which may be quantized; on labels, or on the tokens of texts. "
      "Needs data.",
      "Hu et al. 2021 (LoRA), section 4; Dettmers et al. 2023 (QLoRA), section 3; Li et al. 2023 (LoftQ), algorithm 1",
      false, run);
  pass.data = "yes: a training split";
  pass.needs_training = true;
  return pass;
}

}  // namespace pare
