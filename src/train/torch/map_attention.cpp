// What decoders of language models need: rotary positions, attention with grouped heads and masks.
#include <limits>

#include "train/torch/mapping.h"

namespace pare {
namespace {

// [batch, length, heads · size] or [batch, heads, length, size] → the latter.
at::Tensor heads_apart(const Mapped& m, const at::Tensor& x, const char* attribute) {
  if (x.dim() == 4) return x;
  const int64_t heads = m.node.integer(attribute, 0);
  if (x.dim() != 3 || heads < 1 || x.size(2) % heads != 0)
    m.fail("queries, keys or values that do not hold " + std::to_string(heads) + " heads");
  return x.reshape({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
}

// True where a query (row) may not see a key (column); undefined: it sees all. Query and key of one
// number stand in one place.
at::Tensor hidden_keys(const Mapped& m, int64_t queries, int64_t keys) {
  const int64_t left = m.node.integer("left_window_size", -1), right = m.node.integer("right_window_size", -1);
  const at::Tensor ahead = at::arange(keys, at::kLong).unsqueeze(0) - at::arange(queries, at::kLong).unsqueeze(1);
  at::Tensor hidden;
  const auto hide = [&](const at::Tensor& more) { hidden = hidden.defined() ? at::logical_or(hidden, more) : more; };
  if (m.node.integer("is_causal", 0) != 0) hide(ahead > 0);
  if (left >= 0) hide(ahead < -left);
  if (right >= 0) hide(ahead > right);
  return hidden;
}

}  // namespace

void map_Attention(Mapped& m) {
  if (m.has(4) || m.has(5) || m.has(6) || m.node.outputs.size() > 1) m.fail("caches or further outputs");
  const at::Tensor q = heads_apart(m, m.in[0], "q_num_heads");
  at::Tensor k = heads_apart(m, m.in[1], "kv_num_heads"), v = heads_apart(m, m.in[2], "kv_num_heads");
  if (k.size(1) < 1 || q.size(1) % k.size(1) != 0) m.fail("key heads that queries cannot share");
  if (const int64_t shared = q.size(1) / k.size(1); shared > 1) {
    k = k.repeat_interleave(shared, 1);
    v = v.repeat_interleave(shared, 1);
  }
  const double scale = m.node.has("scale") ? double(m.node.real("scale", 1)) : 1 / std::sqrt(double(q.size(3)));
  at::Tensor scores = at::matmul(q * scale, k.transpose(2, 3));
  if (const double cap = m.node.real("softcap", 0); cap > 0) scores = at::tanh(scores / cap) * cap;
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  if (const at::Tensor hidden = hidden_keys(m, q.size(2), k.size(2)); hidden.defined())
    scores = scores.masked_fill(hidden, kNever);
  if (m.has(3))
    scores =
        m.in[3].scalar_type() == at::kBool ? scores.masked_fill(at::logical_not(m.in[3]), kNever) : scores + m.in[3];
  const at::Tensor y = at::matmul(at::softmax(scores, -1), v);
  m.out = {m.in[0].dim() == 4 ? y : y.transpose(1, 2).reshape({y.size(0), y.size(2), y.size(1) * y.size(3)})};
}

// Pairs (a, b) of each head turn by their position's angle: (c·a − s·b, s·a + c·b); what is behind them stays.
void map_RotaryEmbedding(Mapped& m) {
  const at::Tensor x = heads_apart(m, m.in[0], "num_heads");
  const int64_t size = x.size(3), given = m.node.integer("rotary_embedding_dim", 0), turned = given == 0 ? size : given;
  if (turned < 2 || turned > size || turned % 2 != 0)
    m.fail("turns " + std::to_string(turned) + " of " + std::to_string(size) + " elements");
  // [batch, 1, length, pairs]; looked up by position where the node names positions.
  const auto angles = [&](size_t i) {
    return (m.has(3) ? at::embedding(m.in[i], m.in[3].to(at::kLong)) : m.in[i]).unsqueeze(1);
  };
  const at::Tensor c = angles(1), s = angles(2), part = x.narrow(3, 0, turned);
  const bool neighbours = m.node.integer("interleaved", 0) != 0;
  const at::Tensor a = neighbours ? part.slice(3, 0, turned, 2) : part.narrow(3, 0, turned / 2);
  const at::Tensor b = neighbours ? part.slice(3, 1, turned, 2) : part.narrow(3, turned / 2, turned / 2);
  const std::vector<at::Tensor> pairs{c * a - s * b, s * a + c * b};
  at::Tensor y = neighbours ? at::stack(pairs, 4).flatten(3, 4) : at::cat(pairs, 3);
  if (turned < size) y = at::cat({y, x.narrow(3, turned, size - turned)}, 3);
  m.out = {m.in[0].dim() == 4 ? y : y.transpose(1, 2).reshape(m.in[0].sizes())};
}

}  // namespace pare
