#include "language/decoder.h"

#include <algorithm>

#include "graph/op.h"

namespace pare {
namespace {

// Tokens of a run: the largest that the rest of a prompt fills, or fills but for a fifth: a few tokens for nothing cost less
// than reading all weights several times.
constexpr int64_t kRuns[] = {256, 64, 16};

int64_t run_for(int64_t left) {
  if (left == 1) return 1;
  for (const int64_t run : kRuns)
    if (run - run / 5 <= left) return run;
  return kRuns[2];
}

int node_of(const Graph& graph, const std::string& output) {
  const ValueId id = graph.find(output);
  return id == kNone ? -1 : graph.producers()[size_t(id)];
}

// What the readers of checkpoints call the positions of tokens, and the scores before they become a batch.
constexpr const char *kPositions = "position_column", *kScores = "scores";

// Puts a node between a value and its one reader.
void insert(Graph& graph, const std::string& type, ValueId value, ValueId other, int reader, int64_t axis = -1) {
  const ValueId between = graph.add_value(graph.unique_name(graph.at(value).name + "_" + type));
  std::replace(graph.nodes[size_t(reader)].inputs.begin(), graph.nodes[size_t(reader)].inputs.end(), value, between);
  Node& node = graph.add_node(type, {value, other}, {between});
  node.name = graph.at(between).name;
  if (axis >= 0) node.attributes["axis"] = axis;
}

// Two more inputs: `past`, the position of the first token, and `last`, the row whose scores are wanted.
Graph with_memory(Graph graph, const std::string& where) {
  const int positions = node_of(graph, kPositions), scores = node_of(graph, kScores);
  if (!Decoder::fits(graph))
    throw Error(where, "is no decoder that was read from a checkpoint", "name a GGUF file or a Hugging Face folder of the Llama family");
  const ValueId past = graph.add_value(graph.unique_name("past"), Type::f32, shape_of({1}));
  const ValueId last = graph.add_value(graph.unique_name("last"), Type::i64, shape_of({1}));
  graph.inputs.push_back(past);
  graph.inputs.push_back(last);
  insert(graph, "Add", graph.nodes[size_t(positions)].inputs[0], past, positions);
  insert(graph, "Gather", graph.nodes[size_t(scores)].inputs[0], last, scores, 0);
  graph.at(graph.outputs[0]).shape.reset();   // was said of all rows
  graph.metadata.clear();                     // a tokenizer's megabytes: every session would keep a copy
  graph.sort();
  verify(graph);
  return graph;
}

}  // namespace

bool Decoder::fits(const Graph& graph) { return graph.inputs.size() == 1 && node_of(graph, kPositions) >= 0 && node_of(graph, kScores) >= 0; }

Decoder::Decoder(Graph graph, int64_t capacity, int threads, const std::string& where, KeyValues kept)
    : where_(where), threads_(threads), cache_(std::make_shared<DecoderCache>()) {
  cache_->capacity = capacity;
  cache_->kept = kept;
  const auto& shape = graph.at(graph.outputs[0]).shape;
  if (shape && shape->size() == 3) vocabulary_ = (*shape)[2].value;
  graph_ = with_memory(std::move(graph), where);
}

Session& Decoder::session(int64_t tokens) {
  const auto found = sessions_.find(tokens);
  if (found != sessions_.end()) return found->second;
  SessionOptions options;
  options.threads = threads_;
  options.cache = cache_;
  options.tune = options.use_cache = false;  // there is little to choose from, and the first word should come soon
  return sessions_.emplace(tokens, Session(graph_, {{1, tokens}, {1}, {1}}, options)).first->second;
}

void Decoder::prepare(int64_t tokens) {
  for (; tokens > 0; tokens -= run_for(tokens)) session(run_for(tokens));
  session(1);
}

std::span<const float> Decoder::read(std::span<const int64_t> ids) {
  if (ids.empty()) throw Error(where_, "there is no token to read");
  if (int64_t(ids.size()) > cache_->capacity - cache_->past)
    throw Error(where_, std::to_string(ids.size()) + " tokens do not fit behind " + std::to_string(cache_->past) + " of " + std::to_string(cache_->capacity), "take a shorter prompt, or a larger --context");
  for (const int64_t id : ids)
    if (id < 0 || (vocabulary_ > 0 && id >= vocabulary_)) throw Error(where_, "token " + std::to_string(id) + " is not among the model's " + std::to_string(vocabulary_));
  while (!ids.empty()) {
    const int64_t tokens = run_for(int64_t(ids.size())), real = std::min<int64_t>(tokens, int64_t(ids.size()));
    Array input(Type::i64, {1, tokens});   // what fills it up is overwritten by what comes next
    std::copy_n(ids.begin(), real, input.mutable_values<int64_t>().begin());
    outputs_ = session(tokens).run({input, Array::of<float>({1}, {float(cache_->past)}), Array::of<int64_t>({1}, {real - 1})});
    cache_->past += real;
    ids = ids.subspan(size_t(real));
  }
  return outputs_[0].values<float>();
}

}  // namespace pare
