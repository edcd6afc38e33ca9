#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/threads.h"
#include "codecs/codecs.h"
#include "engine/integer/integer.h"
#include "engine/plan.h"
#include "engine/sparse/sparse.h"
#include "engine/tail.h"
#include "engine/team.h"
#include "graph/op.h"
#include "graph/simplify.h"

namespace pare {
namespace {

double now_ms() { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// A plan to try: how dense float images lie, how many threads compute, and how many bands maps in lanes are cut into.
struct SessionForm {
  Layout layout;
  int threads, bands = 1;
  bool operator==(const SessionForm&) const = default;
};

// Threads of a plan while it works; a plan may take fewer than its caller has.
class ThreadCount {
 public:
  explicit ThreadCount(int n) : before_(threads()) { set_threads(n); }
  ~ThreadCount() { set_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;

 private:
  int before_;
};

Graph prepared(const Graph& graph, const std::vector<Dims>& inputs, const std::vector<std::string>& taps) {
  Graph copy = graph;
  make_dense(copy);  // layers look for zeros themselves
  infer_shapes(copy, inputs);
  // Until all is rewritten tapped values are outputs, which every rewrite leaves alone.
  const size_t outputs = copy.outputs.size();
  for (const std::string& name : taps)
    if (const ValueId id = copy.find(name); id != kNone && copy.at(id).constant == nullptr) copy.outputs.push_back(id);
  remove_no_ops(copy);
  fold_batch_norms(copy);
  if (move_quantization(copy) > 0) remove_no_ops(copy);
  fold_constants(copy);
  infer_shapes(copy);
  merge_folded_pixels(copy);
  if (write_as_convolutions(copy) > 0 && move_quantization(copy) > 0) remove_no_ops(copy);
  order_subpixels(copy);
  replace_subsampling(copy);
  fuse_activations(copy);
  fuse_norms(copy);
  fuse_attention(copy);
  quantize_behind_attention(copy);
  copy.remove_unused();
  copy.outputs.resize(outputs);
  return copy;
}

}  // namespace

struct Session::State {
  SessionOptions options;
  int threads = 1;
  std::unique_ptr<Planner> planner;
  std::vector<std::byte*> slots;
  std::unique_ptr<std::byte, FreeAligned> arena;
  std::vector<Dims> input_dims;
  std::vector<Array> inputs;   // keeps the caller's bytes alive while they are read
  Team team;
  std::optional<Tail> tail;
  std::vector<Array> tail_results;

  static std::unique_ptr<State> open(const Graph& graph, const SessionOptions& options, const SessionForm& form);
  void bind();
  void set_inputs(const std::vector<Array>& arrays);
  void execute();
  void execute_team(size_t first, size_t last);
  std::vector<Array> results();
  void run_tail();
  std::vector<Array> all_results();
};

void Session::State::bind() {
  const Planner& p = *planner;
  const size_t size = p.arena_bytes + 256;
  arena.reset(static_cast<std::byte*>(::operator new(size, std::align_val_t(64))));
  std::memset(arena.get(), 0, size);
  slots.assign(p.slots.size(), nullptr);
  for (size_t i = 0; i < p.slots.size(); ++i) {
    const SlotId root = p.slots[i].alias >= 0 ? p.slots[i].alias : SlotId(i);
    slots[i] = arena.get() + p.slots[size_t(root)].offset + p.slots[i].shift;
  }
}

void Session::State::set_inputs(const std::vector<Array>& arrays) {
  const Planner& p = *planner;
  if (arrays.size() != p.graph.inputs.size())
    throw Error("model", "takes " + std::to_string(p.graph.inputs.size()) + " inputs, " + std::to_string(arrays.size()) + " were given");
  inputs.resize(arrays.size());
  for (size_t i = 0; i < arrays.size(); ++i) {
    const Storage& storage = p.slots[size_t(p.input_slots[i])].storage;
    if (arrays[i].dims() != storage.dims)
      throw Error("input '" + p.graph.at(p.graph.inputs[i]).name + "'", "has shape " + dims_text(arrays[i].dims()) + ", the session was compiled for " + dims_text(storage.dims));
    inputs[i] = arrays[i].cast(storage.type);
    slots[size_t(p.input_slots[i])] = const_cast<std::byte*>(inputs[i].bytes());  // steps never write to inputs
  }
}

void Session::State::execute_team(size_t first, size_t last) {
  auto& steps = planner->steps;
  if (threads == 1) {
    for (size_t s = first; s < last; ++s) steps[s]->run(slots.data(), 0, 1);
    return;
  }
  const uint64_t number = team.begin(last - first);
#pragma omp parallel num_threads(std::min(threads, Team::kMost))
  {
    const int thread = omp_get_thread_num(), count = omp_get_num_threads();
    for (size_t s = first; s < last; ++s)
      team.run(number + (s - first), thread, count, [&](int part) { steps[s]->run(slots.data(), part, count); });
  }
}

void Session::State::execute() {
  auto& steps = planner->steps;
  for (size_t s = 0; s < steps.size();) {
    if (!steps[s]->team()) {
      steps[s++]->run(slots.data(), 0, 1);
      continue;
    }
    size_t end = s;
    while (end < steps.size() && steps[end]->team()) ++end;
    execute_team(s, end);
    s = end;
  }
}

std::vector<Array> Session::State::results() {
  std::vector<Array> arrays;
  for (SlotId id : planner->output_slots) {
    const Storage& storage = planner->slots[size_t(id)].storage;
    Array array(storage.type, storage.dims);
    std::memcpy(array.mutable_bytes(), slots[size_t(id)], storage.bytes());
    arrays.push_back(std::move(array));
  }
  return arrays;
}

void Session::State::run_tail() {
  if (!tail) return;
  std::vector<Array> given = results();
  given.resize(tail->graph.inputs.size());  // the first ones; others are only asked for
  tail_results = evaluate(tail->graph, given);
}

std::vector<Array> Session::State::all_results() {
  std::vector<Array> planned = results();
  if (!tail) return planned;
  std::vector<Array> all;
  for (const Tail::Source& source : tail->results) all.push_back((source.planned ? planned : tail_results).at(source.index));
  return all;
}

namespace {

// What decides which layout is fastest, as a key of the tuning cache: operators, shapes, storage of weights and, where
// zeros may be left out, how many there are.
std::string layout_key(const Graph& graph, int threads, bool sparse, const SessionOptions& options) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ uint8_t(c)) * 1099511628211u;
  };
  for (const Node& node : graph.nodes) {
    add(node.op_type);
    for (ValueId id : node.inputs) {
      if (id == kNone) continue;
      const Value& value = graph.at(id);
      add(value.constant && !value.constant->plain() ? value.constant->codec->name : "plain");
      if (value.shape) add(shape_text(*value.shape));
      if (sparse && value.constant && node.is("Conv")) add(std::to_string(int(100 * zero_share(*value.constant) + 0.5)));
    }
  }
  // The number counts the engine's changes that may turn the choice around.
  const std::string forms = !sparse ? "" : options.sparse == SparseLayers::always ? "lanes " : "sparse ";
  return forms + "image_layout 11 " + std::to_string(hash) + " t" + std::to_string(threads);
}

bool has_float_images(const Planner& planner) {
  return std::any_of(planner.steps.begin(), planner.steps.end(), [](const auto& step) { return step->report.op.starts_with("Conv") && step->report.precision != "int8"; });
}

// Whether the threads of a plan with so few products may cost more than they save: each step ends with a barrier.
bool is_small(const Planner& planner) {
  constexpr int64_t kProducts = 200'000'000;  // about a millisecond of one core
  int64_t products = 0;
  for (const auto& step : planner.steps) products += step->report.macs;
  return products < kProducts;
}

// Without measuring the first is taken. The plans of one thread come last.
std::vector<SessionForm> forms_to_try(const SessionOptions& options, bool sparse, int threads) {
  std::vector<Layout> layouts{Layout::blocked, Layout::channels_last};
  if (sparse && options.sparse == SparseLayers::always) layouts = {Layout::lanes};
  else if (sparse) layouts.push_back(Layout::lanes);
  std::vector<SessionForm> forms;
  for (const int count : threads > 1 ? std::vector{threads, 1} : std::vector{1})
    for (const Layout layout : layouts) {
      if (layout == Layout::lanes && count > 1) forms.push_back({layout, count, count});
      forms.push_back({layout, count});
    }
  return forms;
}

// Those of the forms that are worth measuring, `first` is the plan of forms[0].
std::vector<size_t> worth_trying(const std::vector<SessionForm>& forms, const Planner& first, bool shares_state) {
  const bool images = has_float_images(first), small = is_small(first) && !shares_state;
  std::vector<size_t> tried;
  for (size_t i = 0; i < forms.size(); ++i)
    if ((images || forms[i].layout == forms[0].layout) && (small || forms[i].threads == forms[0].threads)) tried.push_back(i);
  return tried;
}

// The fastest of those that were tried. How far apart two cores are changes within seconds on machines that others share, and
// with it two threads gain or lose a third: a plan of fewer threads than were asked for must be faster by more than that may take back.
size_t plan_to_take(std::vector<double> times, const std::vector<SessionForm>& forms, const std::vector<size_t>& tried) {
  constexpr double kFewerThreads = 1.25;
  for (size_t i = 0; i < times.size(); ++i)
    if (forms[tried[i]].threads < forms[0].threads) times[i] *= kFewerThreads;
  return size_t(std::min_element(times.begin(), times.end()) - times.begin());
}

}  // namespace

std::unique_ptr<Session::State> Session::State::open(const Graph& graph, const SessionOptions& options, const SessionForm& form) {
  auto state = std::make_unique<State>();
  state->options = options;
  state->threads = form.threads;
  state->planner = std::make_unique<Planner>(graph, state->options, form.threads, form.layout, form.bands);
  state->planner->build();
  state->planner->graph.nodes = {};   // what was planned is in the steps
  for (SlotId id : state->planner->input_slots) state->input_dims.push_back(state->planner->slots[size_t(id)].storage.dims);
  state->bind();
  return state;
}

Session::Session(const Graph& graph, const std::vector<Dims>& inputs, const SessionOptions& options) {
  const int count = options.threads > 0 ? options.threads : threads();
  set_threads(count);
  Graph ready = prepared(graph, inputs, options.taps);
  std::optional<Tail> tail = split_tail(ready, options.taps);
  SessionOptions planned = options;
  if (tail) planned.taps.clear();  // they are outputs of one of the two parts
  const bool sparse = options.sparse != SparseLayers::never && worth_lanes(ready);
  const std::vector<SessionForm> forms = forms_to_try(options, sparse, count);
  TuningCache cache(options.use_cache, count);
  const std::string key = layout_key(ready, count, sparse, options);
  auto known = options.tune && forms.size() > 1 ? cache.find(key) : std::optional(0);
  if (known && (*known < 0 || size_t(*known) >= forms.size())) known.reset();
  const auto open = [&](const SessionForm& form) {
    const ThreadCount mine(form.threads);
    return State::open(ready, planned, form);
  };
  state_ = open(forms[size_t(known.value_or(0))]);
  const std::vector<size_t> tried = known ? std::vector<size_t>() : worth_trying(forms, *state_->planner, options.cache != nullptr);
  if (tried.size() > 1) {
    // Which form is fastest depends on the whole: all are built and timed once.
    std::vector<std::unique_ptr<State>> plans;
    plans.push_back(std::move(state_));
    for (size_t i = 1; i < tried.size(); ++i) plans.push_back(open(forms[tried[i]]));
    const std::vector<Array> arrays = random_inputs(ready, plans[0]->input_dims, 1);
    for (auto& plan : plans) plan->set_inputs(arrays);
    // Each twice in a row: behind a plan of another number of threads the pool is made anew.
    const auto execute = [&](int i) {
      const ThreadCount mine(plans[size_t(i)]->threads);
      plans[size_t(i)]->execute();
    };
    const size_t choice = plan_to_take(least_times(int(plans.size()), execute, execute), forms, tried);
    state_ = std::move(plans[choice]);
    plans.clear();  // their caches are written when they go
    // That fewer threads are faster may be because others work beside them: it is not remembered, but measured again.
    if (forms[tried[choice]].threads == forms[0].threads) cache.store(key, int(tried[choice]));
  }
  state_->tail = std::move(tail);
}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;

void Session::run_only(const std::vector<Array>& inputs) {
  const ThreadCount mine(state_->threads);
  state_->set_inputs(inputs);
  state_->execute();
  state_->run_tail();
}

std::vector<Array> Session::run(const std::vector<Array>& inputs) {
  run_only(inputs);
  return state_->all_results();
}

const std::vector<Dims>& Session::input_dims() const { return state_->input_dims; }
int64_t Session::arena_bytes() const { return int64_t(state_->planner->arena_bytes); }

std::vector<LayerReport> Session::layers() const {
  std::vector<LayerReport> reports;
  for (const auto& step : state_->planner->steps) reports.push_back(step->report);
  if (const auto& tail = state_->tail; tail && tail->nodes() > 0) {
    const Node& first = tail->graph.nodes.front();
    reports.push_back({first.name, first.op_type, "", "reference", "", "extents depend on data: " + std::to_string(tail->nodes()) + " nodes run one by one", 0, 0, 0});
  }
  return reports;
}

std::vector<LayerReport> Session::time_layers(const std::vector<Array>& inputs, int runs) {
  run_only(inputs);
  const ThreadCount mine(state_->threads);
  auto& steps = state_->planner->steps;
  std::vector<std::vector<double>> times(steps.size());
  for (int run = 0; run < runs; ++run)
    for (size_t s = 0; s < steps.size(); ++s) {
      const double start = now_ms();
      if (steps[s]->team()) state_->execute_team(s, s + 1);
      else steps[s]->run(state_->slots.data(), 0, 1);
      times[s].push_back(now_ms() - start);
    }
  if (state_->tail && state_->tail->nodes() > 0) {
    times.emplace_back();
    for (int run = 0; run < runs; ++run) {
      const double start = now_ms();
      state_->run_tail();
      times.back().push_back(now_ms() - start);
    }
  }
  std::vector<LayerReport> reports = layers();
  for (size_t s = 0; s < times.size(); ++s) {
    std::nth_element(times[s].begin(), times[s].begin() + long(times[s].size() / 2), times[s].end());
    reports[s].milliseconds = times[s][times[s].size() / 2];
  }
  return reports;
}

}  // namespace pare
