// Attention of decoders: a token sees itself and what came before it, heads share keys and values, and those of earlier
// runs are kept in a cache. Also the rotation of queries and keys by their positions.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/float16.h"
#include "engine/integer/integer.h"
#include "engine/plan.h"
#include "kernels/float_attention/float_attention.h"

namespace pare {
namespace {

constexpr int64_t kQueryRows = 32;         // query rows of a block: few, so that little is computed that the mask throws away
constexpr float kHidden = -1e30f;     // e to it is 0

// [tokens, heads · size] of queries, keys and values; one sample.
struct Sizes {
  int64_t tokens = 0, heads = 0, key_heads = 0, size = 0, value_size = 0, capacity = 0, window = 0;
  int64_t value_row() const { return key_heads * value_size; }
  int64_t shared() const { return heads / key_heads; }
  int64_t most() const { return capacity > 0 ? capacity : tokens; }   // keys
  int64_t head_keys() const { return (most() + kKeyBlock - 1) / kKeyBlock * kKeyBlock * size; }  // elements
};

// Puts a key or value of `n` elements where it is kept, `stride` elements apart; returns its scale.
template <class Stored>
float put(const float* from, int64_t n, std::byte* to, int64_t stride) {
  auto* at = reinterpret_cast<Stored*>(to);
  float scale = 1;
  if constexpr (std::is_same_v<Stored, int8_t>) {
    float most = 0;
    for (int64_t i = 0; i < n; ++i) most = std::max(most, std::abs(from[i]));
    scale = most / 127;
  }
  const float inverse = scale > 0 ? 1 / scale : 0;
  for (int64_t i = 0; i < n; ++i, at += stride) {
    if constexpr (std::is_same_v<Stored, int8_t>)
      *at = int8_t(std::lrint(from[i] * inverse));
    else if constexpr (std::is_same_v<Stored, Half>)
      *at = to_half(from[i]);
    else
      *at = from[i];
  }
  return scale;
}
constexpr float (*kPuts[])(const float*, int64_t, std::byte*, int64_t) = {put<float>, put<Half>,
                                                                          put<int8_t>};  // by KeyValues

// Where a layer's keys lie as columns, [key head][block][size][kKeyBlock], and its values: [key head][token][value_size] in a
// cache, so that a head reads one stream; of this run alone [token][value_row], as they came.
struct Memory {
  std::shared_ptr<DecoderCache> cache;        // null: they are only of this run
  std::byte *keys = nullptr, *values = nullptr;  // of the cache
  float *key_scales = nullptr, *value_scales = nullptr;
  SlotId key_slot = -1, value_slot = -1;      // without one
  std::byte* keys_of(std::byte* const* slots) const { return cache ? keys : slots[key_slot]; }
  const std::byte* values_of(std::byte* const* slots) const { return cache ? values : slots[value_slot]; }
  int64_t past() const { return cache ? cache->past : 0; }
  KeyValues kept() const { return cache ? cache->kept : KeyValues::f32; }
  int64_t bytes() const { return key_value_bytes(kept()); }  // of an element
};

// Puts this run's keys and values behind the earlier ones.
class KeepStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    const auto* key = reinterpret_cast<const float*>(slots[reads[0]]);
    const auto* value = reinterpret_cast<const float*>(slots[reads[1]]);
    const int64_t past = memory.past(), count = std::min(sizes.tokens, sizes.most() - past);
    for (int64_t h = sizes.key_heads * thread / threads; h < sizes.key_heads * (thread + 1) / threads; ++h)
      for (int64_t t = 0; t < count; ++t) {
        keep_key(key + (t * sizes.key_heads + h) * sizes.size, h, past + t, memory.keys_of(slots));
        if (memory.cache) keep_value(value + t * sizes.value_row() + h * sizes.value_size, h, past + t);
      }
  }
  Sizes sizes;
  Memory memory;

 private:
  void keep_key(const float* key, int64_t head, int64_t place, std::byte* keys) const {
    const int64_t column = head * sizes.head_keys() + place / kKeyBlock * kKeyBlock * sizes.size + place % kKeyBlock;
    const float scale = kPuts[size_t(memory.kept())](key, sizes.size, keys + column * memory.bytes(), kKeyBlock);
    if (memory.key_scales != nullptr) memory.key_scales[head * sizes.capacity + place] = scale;
  }
  void keep_value(const float* value, int64_t head, int64_t place) const {
    const int64_t row = head * sizes.capacity + place;
    const float scale = kPuts[size_t(memory.kept())](value, sizes.value_size,
                                                     memory.values + row * sizes.value_size * memory.bytes(), 1);
    if (memory.value_scales != nullptr) memory.value_scales[row] = scale;
  }
};

class CausalStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    if (sizes.tokens == 1) {   // the heads that share keys are the rows
      for (int64_t h = thread; h < sizes.key_heads; h += threads) run_block(slots, h * sizes.shared(), 0, sizes.shared(), scratch.of(thread));
      return;
    }
    const int64_t blocks = (sizes.tokens + kQueryRows - 1) / kQueryRows;
    for (int64_t unit = thread; unit < blocks * sizes.heads; unit += threads) {
      const int64_t first = unit / sizes.heads * kQueryRows;
      run_block(slots, unit % sizes.heads, first, std::min(kQueryRows, sizes.tokens - first), scratch.of(thread));
    }
  }

  // Row r, at position p, sees keys p − window + 1 … p: zeros between places that are hidden, of which each row of a mask
  // begins one earlier than the row before it.
  void make_mask() {
    seen_ = sizes.window > 0 ? sizes.window : sizes.most() + sizes.tokens;
    hidden_.assign(size_t(kBefore + seen_ + kQueryRows), kHidden);
    std::fill_n(hidden_.begin() + kBefore, seen_, 0.f);
  }

  Sizes sizes;
  float scale = 1;
  Memory memory;
  ThreadScratch scratch;

 private:
  static constexpr int64_t kBefore = kKeyBlock + kQueryRows;

  void run_block(std::byte* const* slots, int64_t head, int64_t first, int64_t rows, void* spare) const {
    const int64_t place = memory.past() + first, key_head = head / sizes.shared(), last = sizes.tokens == 1 ? place : place + rows - 1;
    // Keys before the window of the first row are seen by none.
    const int64_t from = std::max<int64_t>(0, place - seen_ + 1) / kKeyBlock * kKeyBlock;
    FloatAttention job;
    job.rows = rows;
    job.keys = std::min(last + 1, sizes.most()) - from;
    job.query = reinterpret_cast<const float*>(slots[reads[0]]) + (first * sizes.heads + head) * sizes.size;
    job.kept = memory.kept();
    job.key_columns = memory.keys_of(slots) + (key_head * sizes.head_keys() + from * sizes.size) * memory.bytes();
    job.value_stride = memory.cache ? sizes.value_size : sizes.value_row();
    job.value =
        memory.values_of(slots) +
        (from * job.value_stride + key_head * (memory.cache ? sizes.capacity : 1) * sizes.value_size) * memory.bytes();
    if (memory.key_scales != nullptr) {
      job.key_scales = memory.key_scales + key_head * sizes.capacity + from;
      job.value_scales = memory.value_scales + key_head * sizes.capacity + from;
    }
    job.output = reinterpret_cast<float*>(slots[writes]) + (first * sizes.heads + head) * sizes.value_size;
    job.mask = hidden_.data() + kBefore + seen_ - 1 + from - place;
    job.mask_stride = sizes.tokens == 1 ? 0 : -1;
    job.query_stride = (sizes.tokens == 1 ? 1 : sizes.heads) * sizes.size;
    job.output_stride = (sizes.tokens == 1 ? 1 : sizes.heads) * sizes.value_size;
    job.width = sizes.size;
    job.value_width = sizes.value_size;
    job.scale = scale;
    job.scratch = static_cast<float*>(spare);
    best_float_attention_kernel().run(job);
  }

  int64_t seen_ = 0;            // keys that a row sees
  std::vector<float> hidden_;
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
  return sizes;
}

// `sizes` learns the cache's capacity.
Memory memory_of(Planner& planner, const Node& node, Sizes& sizes, SlotId values) {
  Memory memory;
  memory.cache = planner.options.cache;
  if (!memory.cache) {
    memory.key_slot = planner.scratch({Type::f32, {sizes.key_heads, sizes.head_keys()}, Layout::plain});
    memory.value_slot = values;
    return memory;
  }
  sizes.capacity = memory.cache->capacity;
  auto& layer = memory.cache->layers[planner.graph.at(node.outputs[0]).name];
  if (layer.keys.empty()) {
    // As long as the capacity, however many tokens a run has: several sessions write here.
    layer.keys = Array(Type::u8, {sizes.key_heads, sizes.head_keys() * memory.bytes()});
    layer.values = Array(Type::u8, {sizes.key_heads, sizes.capacity, sizes.value_size * memory.bytes()});
    if (memory.kept() == KeyValues::i8) {
      layer.key_scales = Array(Type::f32, {sizes.key_heads, sizes.capacity});
      layer.value_scales = Array(Type::f32, {sizes.key_heads, sizes.capacity});
    }
  }
  memory.keys = layer.keys.mutable_bytes();
  memory.values = layer.values.mutable_bytes();
  if (!layer.key_scales.empty()) {
    memory.key_scales = layer.key_scales.mutable_values<float>().data();
    memory.value_scales = layer.value_scales.mutable_values<float>().data();
  }
  return memory;
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
  auto keep = std::make_unique<KeepStep>();
  auto step = std::make_unique<CausalStep>();
  const SlotId query = planner.slot(node.inputs[0], Layout::plain, Type::f32);
  keep->reads = {planner.slot(node.inputs[1], Layout::plain, Type::f32), planner.slot(node.inputs[2], Layout::plain, Type::f32)};
  step->reads = {query};
  keep->memory = step->memory = memory_of(planner, node, *sizes, keep->reads[1]);
  keep->sizes = step->sizes = *sizes;
  if (!keep->memory.cache) {
    keep->writes = keep->memory.key_slot;
    step->reads = {query, keep->memory.key_slot, keep->memory.value_slot};
  }
  keep->report = {node.name, "Keep", "", sizes->capacity > 0 ? "in the cache" : "for this run", "f32", "", 0, 0, 0};
  planner.emit(std::move(keep));
  step->make_mask();
  step->scale = node.has("scale") && node.real("scale", 0) != 0 ? node.real("scale", 1) : 1 / std::sqrt(float(sizes->size));
  const ValueId y = node.outputs[0];
  step->writes = planner.define(y, {Type::f32, planner.dims(y), Layout::plain});
  const int64_t rows = sizes->tokens == 1 ? sizes->shared() : std::min(kQueryRows, sizes->tokens);
  step->scratch.resize(planner.threads, size_t(float_attention_scratch(rows, sizes->most(), 0, sizes->value_size)) * sizeof(float));
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
