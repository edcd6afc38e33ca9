// Attention of decoders: a token sees itself and what came before it, heads share keys and values, and those of earlier
// runs are kept in a cache. Also the rotation of queries and keys by their positions.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/integer/integer.h"
#include "engine/plan.h"
#include "kernels/float_attention/float_attention.h"

namespace pare {
namespace {

constexpr int64_t kRows = 32;         // query rows of a block: few, so that little is computed that the mask throws away
constexpr float kHidden = -1e30f;     // e to it is 0

// [tokens, heads · size] of queries, keys and values; one sample.
struct Sizes {
  int64_t tokens = 0, heads = 0, key_heads = 0, size = 0, value_size = 0, capacity = 0, window = 0;
  int64_t key_row() const { return key_heads * size; }
  int64_t value_row() const { return key_heads * value_size; }
};

class CausalStep : public Step {
 public:
  bool team() const override { return true; }
  // Each thread writes the keys and values of its own key heads before it reads them: nobody else does.
  void run(std::byte* const* slots, int thread, int threads) override {
    const auto* key = reinterpret_cast<const float*>(slots[reads[1]]);
    const auto* value = reinterpret_cast<const float*>(slots[reads[2]]);
    const int64_t past = cache ? cache->past : 0;
    const int64_t first = sizes.key_heads * thread / threads, last = sizes.key_heads * (thread + 1) / threads;
    for (int64_t h = first; h < last; ++h) {
      if (cache) append(key, value, past, h);
      for (int64_t row = 0; row < sizes.tokens; row += kRows)
        for (int64_t query_head = h * shared(); query_head < (h + 1) * shared(); ++query_head) run_block(slots, query_head, h, row, past, scratch.of(thread));
    }
  }

  Sizes sizes;
  float scale = 1;
  std::shared_ptr<DecoderCache> cache;
  float *keys = nullptr, *values = nullptr;   // of the cache, by tokens
  std::vector<float> hidden;                  // zeros, then kHidden: row r of a mask begins a place earlier than row r − 1
  ThreadScratch scratch;

 private:
  int64_t shared() const { return sizes.heads / sizes.key_heads; }

  void append(const float* key, const float* value, int64_t past, int64_t h) {
    for (int64_t t = 0; t < sizes.tokens && past + t < sizes.capacity; ++t) {
      std::memcpy(keys + (past + t) * sizes.key_row() + h * sizes.size, key + t * sizes.key_row() + h * sizes.size, size_t(sizes.size) * sizeof(float));
      std::memcpy(values + (past + t) * sizes.value_row() + h * sizes.value_size, value + t * sizes.value_row() + h * sizes.value_size, size_t(sizes.value_size) * sizeof(float));
    }
  }

  void run_block(std::byte* const* slots, int64_t head, int64_t key_head, int64_t first, int64_t past, void* memory) const {
    FloatAttention job;
    job.rows = std::min(kRows, sizes.tokens - first);
    // Keys before the window of the first row are seen by none.
    const int64_t from = sizes.window > 0 ? std::max<int64_t>(0, past + first - sizes.window + 1) : 0;
    job.keys = past + first + job.rows - from;
    job.query = reinterpret_cast<const float*>(slots[reads[0]]) + first * sizes.heads * sizes.size + head * sizes.size;
    job.key = (cache ? keys : reinterpret_cast<const float*>(slots[reads[1]])) + from * sizes.key_row() + key_head * sizes.size;
    job.value = (cache ? values : reinterpret_cast<const float*>(slots[reads[2]])) + from * sizes.value_row() + key_head * sizes.value_size;
    job.output = reinterpret_cast<float*>(slots[writes]) + first * sizes.heads * sizes.value_size + head * sizes.value_size;
    job.mask = hidden.data() + int64_t(hidden.size()) - kRows - (job.keys - job.rows + 1);
    job.mask_stride = -1;
    job.query_stride = sizes.heads * sizes.size;
    job.key_stride = sizes.key_row();
    job.value_stride = sizes.value_row();
    job.output_stride = sizes.heads * sizes.value_size;
    job.width = sizes.size;
    job.value_width = sizes.value_size;
    job.scale = scale;
    job.scratch = static_cast<float*>(memory);
    best_float_attention_kernel().run(job);
  }
};

std::optional<Sizes> sizes_of(const Planner& planner, const Node& node) {
  if (!node.is("Attention") || node.inputs.size() != 3 || node.outputs.size() != 1 || node.integer("is_causal", 0) == 0) return std::nullopt;
  for (const auto& [key, value] : node.attributes)
    if (key != "scale" && key != "is_causal" && key != "q_num_heads" && key != "kv_num_heads" && key != "left_window_size") return std::nullopt;
  for (const ValueId id : node.inputs)
    if (planner.graph.constant(id) != nullptr || planner.graph.at(id).type != Type::f32 || planner.dims(id).size() != 3) return std::nullopt;
  const Dims q = planner.dims(node.inputs[0]), k = planner.dims(node.inputs[1]), v = planner.dims(node.inputs[2]);
  Sizes sizes;
  sizes.heads = node.integer("q_num_heads", 0);
  sizes.key_heads = node.integer("kv_num_heads", 0);
  if (sizes.heads < 1 || sizes.key_heads < 1 || sizes.heads % sizes.key_heads != 0 || q[2] % sizes.heads != 0 || k[2] % sizes.key_heads != 0 || v[2] % sizes.key_heads != 0) return std::nullopt;
  sizes.tokens = q[1];
  sizes.size = q[2] / sizes.heads;
  sizes.value_size = v[2] / sizes.key_heads;
  sizes.window = node.integer("left_window_size", -1) + 1;
  if (q[0] != 1 || k[0] != 1 || k[1] != q[1] || v[1] != q[1] || k[2] / sizes.key_heads != sizes.size || sizes.tokens == 0) return std::nullopt;
  // A window within a block of rows would need a mask with two ends.
  if (sizes.window > 0 && sizes.window < sizes.tokens) return std::nullopt;
  return sizes;
}

class RotateStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    const auto* x = reinterpret_cast<const float*>(slots[reads[0]]);
    auto* y = reinterpret_cast<float*>(slots[writes]);
    for (int64_t t = tokens * thread / threads; t < tokens * (thread + 1) / threads; ++t) {
      const float* c = (cosines.empty() ? reinterpret_cast<const float*>(slots[reads[1]]) : cosines.data()) + t * half;
      const float* s = (sines.empty() ? reinterpret_cast<const float*>(slots[reads.back()]) : sines.data()) + t * half;
      for (int64_t h = 0; h < heads; ++h) turn(x + (t * heads + h) * 2 * half, c, s, y + (t * heads + h) * 2 * half);
    }
  }
  int64_t tokens = 0, heads = 0, half = 0;
  bool neighbours = false;
  std::vector<float> cosines, sines;   // where they are constant

 private:
  void turn(const float* __restrict x, const float* __restrict c, const float* __restrict s, float* __restrict y) const {
    if (neighbours) {
      for (int64_t i = 0; i < half; ++i) {
        y[2 * i] = c[i] * x[2 * i] - s[i] * x[2 * i + 1];
        y[2 * i + 1] = s[i] * x[2 * i] + c[i] * x[2 * i + 1];
      }
      return;
    }
    for (int64_t i = 0; i < half; ++i) {
      y[i] = c[i] * x[i] - s[i] * x[half + i];
      y[half + i] = s[i] * x[i] + c[i] * x[half + i];
    }
  }
};

}  // namespace

bool lower_causal_attention(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  auto sizes = sizes_of(planner, node);
  if (!sizes) return false;
  auto step = std::make_unique<CausalStep>();
  if (planner.options.cache) {
    step->cache = planner.options.cache;
    sizes->capacity = step->cache->capacity;
    auto& [keys, values] = step->cache->layers[planner.graph.at(node.outputs[0]).name];
    if (keys.empty()) {
      keys = Array(Type::f32, {sizes->capacity + kRows, sizes->key_row()});
      values = Array(Type::f32, {sizes->capacity + kRows, sizes->value_row()});
    }
    step->keys = keys.mutable_values<float>().data();
    step->values = values.mutable_values<float>().data();
  }
  const int64_t most = sizes->capacity + sizes->tokens;
  step->sizes = *sizes;
  step->scale = node.has("scale") && node.real("scale", 0) != 0 ? node.real("scale", 1) : 1 / std::sqrt(float(sizes->size));
  step->hidden.assign(size_t(most + kRows), 0.f);
  std::fill(step->hidden.end() - kRows, step->hidden.end(), kHidden);
  for (const ValueId id : node.inputs) step->reads.push_back(planner.slot(id, Layout::plain, Type::f32));
  const ValueId y = node.outputs[0];
  step->writes = planner.define(y, {Type::f32, planner.dims(y), Layout::plain});
  step->scratch.resize(planner.threads, size_t(float_attention_scratch(std::min(kRows, sizes->tokens), most, sizes->size, sizes->value_size)) * sizeof(float));
  step->report = {node.name, node.op_type, planner.graph.at(y).name, best_float_attention_kernel().name, "f32", sizes->capacity > 0 ? "with a cache" : "",
                  sizes->heads * sizes->tokens * (sizes->tokens + 1) / 2 * (sizes->size + sizes->value_size), 0, 0};
  planner.emit(std::move(step));
  return true;
}

bool lower_rotate(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("RotaryEmbedding") || node.inputs.size() != 3 || planner.graph.at(node.inputs[0]).type != Type::f32 || planner.graph.constant(node.inputs[0]) != nullptr) return false;
  const Dims x = planner.dims(node.inputs[0]), c = planner.dims(node.inputs[1]);
  const int64_t heads = node.integer("num_heads", 0), turned = node.integer("rotary_embedding_dim", 0);
  if (x.size() != 3 || x[0] != 1 || heads < 1 || x[2] % heads != 0 || (turned != 0 && turned != x[2] / heads) || x[2] / heads % 2 != 0) return false;
  if (c != Dims{1, x[1], x[2] / heads / 2} || planner.dims(node.inputs[2]) != c) return false;
  auto step = std::make_unique<RotateStep>();
  step->tokens = x[1];
  step->heads = heads;
  step->half = c[2];
  step->neighbours = node.integer("interleaved", 0) != 0;
  step->reads = {planner.slot(node.inputs[0], Layout::plain, Type::f32)};
  for (const size_t i : {1, 2}) {
    auto& constant = i == 1 ? step->cosines : step->sines;
    if (planner.graph.constant(node.inputs[i]) != nullptr) constant = planner.constant(node.inputs[i]).to_floats();
    else step->reads.push_back(planner.slot(node.inputs[i], Layout::plain, Type::f32));
  }
  step->writes = planner.define(node.outputs[0], {Type::f32, x, Layout::plain});
  step->report = {node.name, node.op_type, planner.graph.at(node.outputs[0]).name, "rows", "f32", "", 0, 0, 0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
