// Times a layer's dense and its sparse form on this CPU.
#include <algorithm>
#include <cstring>

#include "base/threads.h"
#include "engine/clock.h"
#include "engine/sparse/sparse.h"

namespace pare {
namespace {

// Nodes that follow one another, as a graph of their own. The first reads one value that is no constant.
Graph graph_of(const Planner& planner, std::span<const int> nodes) {
  Graph graph;
  graph.opsets = planner.graph.opsets;
  std::map<ValueId, ValueId> known;
  const auto value = [&](ValueId id) {
    if (id == kNone) return kNone;
    if (const auto it = known.find(id); it != known.end()) return it->second;
    const Tensor* constant = planner.graph.constant(id);
    const ValueId made = constant != nullptr
                             ? graph.add_constant("c" + std::to_string(id), *constant)
                             : graph.add_value("v" + std::to_string(id), Type::f32, shape_of(planner.dims(id)));
    if (constant == nullptr && known.empty()) graph.inputs = {made};
    return known[id] = made;
  };
  value(planner.graph.nodes[size_t(nodes[0])].inputs[0]);
  for (const int n : nodes) {
    Node copy = planner.graph.nodes[size_t(n)];
    for (ValueId& id : copy.inputs) id = value(id);
    for (ValueId& id : copy.outputs) id = value(id);
    graph.outputs = copy.outputs;
    graph.nodes.push_back(std::move(copy));
  }
  return graph;
}

std::string milliseconds(double us) {
  char text[32];
  std::snprintf(text, sizeof text, us < 100 ? "%.4f ms" : "%.3f ms", us / 1e3);
  return text;
}

}  // namespace

AlignedFloats aligned_zeros(size_t bytes) {
  AlignedFloats floats(static_cast<float*>(::operator new(bytes + 128, std::align_val_t(64))));
  std::memset(floats.get(), 0, bytes + 128);
  return floats;
}

double least_time(const std::function<void()>& run) {
  double best = 1e300;
  const double start = now_us();
  for (int round = 0; round < 40; ++round) {
    const double begin = now_us();
    run();
    if (round > 0) best = std::min(best, now_us() - begin);
    if (round >= 3 && now_us() - start > 20e3) break;
  }
  return best;
}

double time_nodes(const Planner& planner, std::span<const int> nodes, SparseLayers sparse, const std::string& steps) {
  SessionOptions options = planner.options;
  options.taps.clear();
  options.sparse = sparse;
  Planner alone(graph_of(planner, nodes), options, planner.threads, planner.image_layout);
  alone.build();
  const AlignedFloats arena = aligned_zeros(alone.arena_bytes),
                      input = aligned_zeros(alone.storage(alone.input_slots[0]).bytes());
  std::vector<std::byte*> slots;
  for (size_t i = 0; i < alone.slots.size(); ++i) {
    const auto& slot = alone.slots[i];
    slots.push_back(reinterpret_cast<std::byte*>(arena.get()) +
                    alone.slots[size_t(slot.alias >= 0 ? slot.alias : SlotId(i))].offset + slot.shift);
  }
  slots[size_t(alone.input_slots[0])] = reinterpret_cast<std::byte*>(input.get());
  double sum = 0;
  for (const auto& step : alone.steps) {
    if (!step->report.op.starts_with(steps)) continue;
    sum += least_time([&] {
      if (step->team())
        run_parallel([&](int thread, int threads) { step->run(slots.data(), thread, threads); });
      else
        step->run(slots.data(), 0, 1);
    });
  }
  return sum;
}

double time_lanes_change(Planner& planner, const Storage& from, const Storage& to) {
  const Storage& lanes = from.layout == Layout::lanes ? from : to;
  const std::string key = "lanes_change 1 " + std::string(best_sparse_float_kernel().isa) + " " +
                          dims_text(lanes.dims) + " r" + std::to_string(lanes.ring) + " b" +
                          std::to_string(lanes.bands) + " l" + std::to_string(int(from.layout)) +
                          std::to_string(int(to.layout)) + " t" + std::to_string(planner.threads) + " ns";
  if (const auto known = planner.cache.find(key)) return *known / 1e3;
  Storage source_form = from, target_form = to;
  const int64_t pitch = int64_t(lanes.bytes() / sizeof(float)) / lanes.bands;
  source_form.band_pitch = target_form.band_pitch = &pitch;
  const auto step = make_lanes_conversion(source_form, target_form, 0, 1);
  const AlignedFloats source = aligned_zeros(from.bytes()), target = aligned_zeros(to.bytes());
  std::byte* const slots[] = {reinterpret_cast<std::byte*>(source.get()), reinterpret_cast<std::byte*>(target.get())};
  const double us =
      least_time([&] { run_parallel([&](int thread, int threads) { step->run(slots, thread, threads); }); });
  planner.cache.store(key, int(us * 1e3));
  return us;
}

std::string percent(double share) {
  return std::to_string(int(share * 100 + 0.5)) + " %";
}

Comparison compare_forms(Planner& planner, const std::string& key, const std::string& form, double zeros,
                         const std::function<double()>& dense, const std::function<double()>& sparse,
                         const Changes& around) {
  const auto time = [&](const std::string& name, const std::function<double()>& measure) {
    if (const auto known = planner.cache.find(name)) return *known / 1e3;
    const double us = measure();
    planner.cache.store(name, int(us * 1e3));
    return us;
  };
  const double dense_us = time(key + " dense ns", dense) + around.dense,
               sparse_us = time(key + " " + form + " sparse ns", sparse) + around.sparse;
  Comparison comparison{sparse_us <= dense_us,
                        "dense " + milliseconds(dense_us) + ", sparse " + milliseconds(sparse_us)};
  // Time goes with the products left: at this share of zeros both would take as long.
  const double even = 1 - (1 - zeros) * dense_us / std::max(sparse_us, 1e-3);
  if (even > 0 && zeros >= kLeastZeros) comparison.note += ": break-even at " + percent(even) + " zeros";
  return comparison;
}

}  // namespace pare
