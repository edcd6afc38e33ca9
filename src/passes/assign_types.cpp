// Types of few bits for each weight under a budget. What a weight costs is measured: the output's noise when it alone is
// rounded to the smallest type; in larger types noise falls as the weight's own weighted error does. All start in the
// smallest, and as long as the budget permits, the change that takes away the most noise a byte is made.
#include "passes/assign_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/output_error.h"
#include "passes/layer_stages.h"
#include "passes/solvers/round_columns.h"
#include "passes/weight_types.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct TypeForm {
  WeightType type;
  double bytes = 0, error = 0;   // Σ importance·(w − ŵ)²
};

struct Candidate {
  const StoredWeight* weight;
  std::vector<TypeForm> forms;       // from the smallest; types that the rules make equal stand once
  double noise = 0;              // at the output, over the signal, in the smallest form
  size_t chosen = 0;
  double noise_of(size_t form) const { return forms[0].error > 0 ? noise * forms[form].error / forms[0].error : 0; }
};

std::vector<WeightType> types_of(const AssignTypes& options) {
  std::vector<WeightType> types;
  const std::vector<std::string> known = weight_type_names();
  for (const std::string& name : names_in(options.types))
    if (name == "int4" || name == "int8") types.push_back({"int", name == "int4" ? 4 : 8, 32, false});
    else if (name != "int" && std::find(known.begin(), known.end(), name) != known.end()) types.push_back({name});
    else throw UsageError("assign-bits", fmt::format("types={}: '{}' is no type", options.types, name), fmt::format("types are int4, int8 and {}", fmt::join(known.begin() + 1, known.end(), ", ")));
  return types;
}

double weighted_error(const std::vector<float>& exact, const std::vector<float>& rounded, const std::vector<float>& importance) {
  double sum = 0;
  const size_t n = std::max<size_t>(importance.size(), 1);
  for (size_t i = 0; i < exact.size(); ++i) {
    const double miss = double(exact[i]) - rounded[i];
    sum += (importance.empty() ? 1 : importance[i % n]) * miss * miss;
  }
  return sum;
}

// The rules' fallbacks hold for every weight; that the output layer takes a larger type is for the measurement to say.
StoredWeight without_rule(StoredWeight weight) {
  if (!weight.layer.convolution) weight.role = "linear";
  return weight;
}

// The first node that reads it: what lies in front of it does not change with the weight.
int first_reader(const Graph& graph, ValueId value) {
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    if (std::find(graph.nodes[n].inputs.begin(), graph.nodes[n].inputs.end(), value) != graph.nodes[n].inputs.end()) return int(n);
  PARE_CHECK(false);
}

Tensor decoded(const Graph& graph, const StoredWeight& weight, const WeightType& type, std::span<const float> importance) {
  return Tensor(rounded_tensor(graph, weight, type, ScaleSearch::least_squares, importance).decode());
}

// Every form's bytes and error, and the output's noise in the smallest.
void measure(std::vector<Candidate>& candidates, const Graph& graph, const std::vector<std::vector<float>>& importance, OutputError& error, PassRun& pass) {
  for (size_t c = 0; c < candidates.size(); ++c) {
    if (interrupted()) throw Error("assign-bits", "interrupted while measuring the layers");
    if (pass.progress) pass.progress("assign-bits: each weight alone", double(c), double(candidates.size()));
    Candidate& candidate = candidates[c];
    const PrunableLayer& layer = candidate.weight->layer;
    const std::vector<float> exact = graph.constant(layer.value)->decode().to_floats();
    for (size_t f = 0; f < candidate.forms.size(); ++f) {
      TypeForm& form = candidate.forms[f];
      Tensor rounded = decoded(graph, *candidate.weight, form.type, importance[c]);
      form.bytes = form.type.bits_per_weight(layer) * double(layer.shape.count()) / 8;
      form.error = weighted_error(exact, rounded.array().to_floats(), layer.convolution || layer.transposed ? std::vector<float>() : importance[c]);
      if (f > 0) continue;
      Graph changed = graph;
      replace_constant(changed, layer.value, std::move(rounded));
      constexpr double kRuined = 1e30;  // finite, so that types still differ
      candidate.noise = std::min(noise_over_signal(error.sqnr_db(changed, first_reader(graph, layer.value))), kRuined);
    }
  }
}

// Rounding with feedback leaves a fraction of the noise, and nothing less of weights that something else reads too, an embedding above all. The
// fraction is that of the errors on the layer's inputs, in the smallest form.
void expect_feedback(std::vector<Candidate>& candidates, const Graph& floats, const std::vector<std::vector<float>>& importance, PassRun& pass) {
  std::vector<const PrunableLayer*> layers;
  std::vector<size_t> which;
  for (size_t c = 0; c < candidates.size(); ++c) {
    const StoredWeight& weight = *candidates[c].weight;
    if (!weight.fed_back(candidates[c].forms[0].type)) continue;
    layers.push_back(&weight.layer);
    which.push_back(c);
  }
  Graph graph = floats;
  change_in_stages(graph, layers, {"assign-bits", "exclude this layer (exclude=), or leave out feedback=yes"}, pass, [&](size_t l, const LayerColumns& columns) {
    const PrunableLayer& layer = *layers[l];
    const WeightType& type = candidates[which[l]].forms[0].type;
    RoundProblem problem{layer.shape.rows, layer.shape.cols, weight_matrix(graph, layer), columns.moments(0)};
    // Damped as the solver's: both errors are of one measure.
    std::vector<float> h(problem.products.begin(), problem.products.end());
    double trace = 0;
    for (int64_t c = 0; c < problem.n; ++c) trace += problem.products[size_t(c * problem.n + c)];
    for (int64_t c = 0; c < problem.n; ++c) h[size_t(c * problem.n + c)] += float(problem.damping * trace / double(problem.n));
    std::vector<float> lost = as_matrix(layer, decoded(graph, *candidates[which[l]].weight, type, importance[which[l]]).array().to_floats());
    for (size_t i = 0; i < lost.size(); ++i) lost[i] -= problem.weights[i];
    const double alone = energy(lost, problem.rows, problem.n, h) / std::max(energy(problem.weights, problem.rows, problem.n, h), 1e-30);
    const double fed = round_columns(std::move(problem), *grid_for(type, layer, graph.constant(layer.value)->dims, ScaleSearch::least_squares).grid);
    if (alone > 0) candidates[which[l]].noise *= std::min(fed / alone, 1.0);
  });
}

void choose(std::vector<Candidate>& candidates, double bytes) {
  for (const Candidate& candidate : candidates) bytes -= candidate.forms[0].bytes;
  while (true) {
    Candidate* best = nullptr;
    size_t form = 0;
    double most = 0;
    for (Candidate& candidate : candidates)
      for (size_t f = candidate.chosen + 1; f < candidate.forms.size(); ++f) {
        const double more = candidate.forms[f].bytes - candidate.forms[candidate.chosen].bytes;
        if (more > bytes) continue;
        const double gain = (candidate.noise_of(candidate.chosen) - candidate.noise_of(f)) / std::max(more, 1.0);
        if (gain > most) {
          most = gain;
          best = &candidate;
          form = f;
        }
      }
    if (best == nullptr) return;
    bytes -= best->forms[form].bytes - best->forms[best->chosen].bytes;
    best->chosen = form;
  }
}

}  // namespace

void assign_types(Graph& graph, const AssignTypes& options, PassRun& pass) {
  need_samples(pass.samples, "assign-bits");
  const std::vector<WeightType> types = types_of(options);
  const std::vector<StoredWeight> weights = stored_weights(graph);
  std::vector<Candidate> candidates;
  double count = 0;
  for (const StoredWeight& weight : weights) {
    Candidate candidate{&weight, {}};
    for (const WeightType& type : types) {
      const TypeChoice choice = type_for(without_rule(weight), type, graph, options.exclude);
      const auto known = [&](const TypeForm& form) { return form.type.text() == choice.type.text(); };
      if (!choice.stays && std::none_of(candidate.forms.begin(), candidate.forms.end(), known)) candidate.forms.push_back({choice.type});
    }
    if (candidate.forms.empty()) continue;
    std::stable_sort(candidate.forms.begin(), candidate.forms.end(), [&](const TypeForm& a, const TypeForm& b) { return a.type.bits_per_weight(weight.layer) < b.type.bits_per_weight(weight.layer); });
    count += double(weight.layer.shape.count());
    candidates.push_back(std::move(candidate));
  }
  Graph floats = graph;
  for (const Candidate& candidate : candidates) replace_constant(floats, candidate.weight->layer.value, Tensor(graph.constant(candidate.weight->layer.value)->decode()));
  std::vector<StoredWeight> some;
  for (const Candidate& candidate : candidates) some.push_back(*candidate.weight);
  const std::vector<std::vector<float>> importance = input_importance(floats, some, "assign-bits", pass);
  OutputError error(floats, spread_samples(pass.samples, int64_t(options.samples)), 0, difference_for(graph));
  measure(candidates, floats, importance, error, pass);
  if (options.feedback) expect_feedback(candidates, floats, importance, pass);
  choose(candidates, options.bits * count / 8);
  TypeNotes notes;
  double bits = 0;
  for (size_t c = 0; c < candidates.size(); ++c) {
    const Candidate& candidate = candidates[c];
    const TypeForm& form = candidate.forms[candidate.chosen];
    notes.add(*candidate.weight, {form.type, false, ""});
    bits += form.bytes * 8;
    replace_constant(graph, candidate.weight->layer.value, rounded_tensor(floats, *candidate.weight, form.type, ScaleSearch::least_squares, importance[c]));
    ++pass.changed;
  }
  notes.give(pass);
  pass.notes.push_back(fmt::format("{:.3f} bits a weight, {} asked for", bits / std::max(count, 1.0), number_text(options.bits)));
  if (bits > options.bits * count) pass.notes.push_back("the smallest types already take more");
}

}  // namespace pare
