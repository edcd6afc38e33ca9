// Attention of opset 23 to 25: softmax(Q·Kᵀ·scale + bias)·V with grouped heads, caches, masks, windows and a soft cap.
#include <limits>

#include "graph/ops/ops.h"

namespace pare {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// Queries, keys or values as [batch, heads, length, size], whichever way the input holds them.
struct Heads {
  Array array;               // f32
  int64_t batch = 0, heads = 0, length = 0, size = 0;
  Dims strides;              // of those four

  Heads(const Forward& f, size_t i, int64_t count) : array(float_in(f, i)) {
    const Dims& dims = array.dims();
    if (dims.size() == 4) {
      batch = dims[0], heads = dims[1], length = dims[2], size = dims[3];
      strides = strides_of(dims);
      return;
    }
    if (dims.size() != 3 || count < 1 || dims[2] % count != 0)
      throw Error(f.node.where(), "input " + std::to_string(i) + " has shape " + dims_text(dims) + ", expected 4 axes, or 3 of which the last holds " + std::to_string(count) + " heads");
    batch = dims[0], heads = count, length = dims[1], size = dims[2] / count;
    strides = {dims[1] * dims[2], size, dims[2], 1};
  }
  const float* row(int64_t b, int64_t h, int64_t s) const {
    return array.values<float>().data() + b * strides[0] + h * strides[1] + s * strides[2];
  }
};

// The cache of `past` keys or values with the new ones behind it: [batch, heads, length, size].
Array joined(const Forward& f, size_t past, const Heads& now) {
  const int64_t before = f.has(past) ? f.in(past).rank() == 4 ? f.in(past).dim(2) : -1 : 0;
  if (f.has(past)) check_dims(f, past, {now.batch, now.heads, -1, now.size});
  Array all(Type::f32, {now.batch, now.heads, before + now.length, now.size});
  const Array old = before > 0 ? float_in(f, past) : Array();
  float* to = all.mutable_values<float>().data();
  for (int64_t b = 0; b < now.batch; ++b)
    for (int64_t h = 0; h < now.heads; ++h) {
      if (before > 0) to = std::copy_n(old.values<float>().data() + (b * now.heads + h) * before * now.size, before * now.size, to);
      for (int64_t s = 0; s < now.length; ++s) to = std::copy_n(now.row(b, h, s), now.size, to);
    }
  return all;
}

// What is added to the scores: 0 or -inf by position, plus the mask.
class Bias {
 public:
  Bias(const Forward& f, const Dims& scores, int64_t past) {
    causal_ = f.node.integer("is_causal", 0) != 0;
    left_ = f.node.integer("left_window_size", -1);
    right_ = f.node.integer("right_window_size", -1);
    offsets_.assign(size_t(scores[0]), past);
    if (f.has(6)) {
      check_dims(f, 6, {scores[0]});
      valid_ = f.in(6).to_integers();
      for (size_t b = 0; b < valid_.size(); ++b) offsets_[b] = std::clamp<int64_t>(valid_[b], -(int64_t(1) << 40), int64_t(1) << 40) - scores[2];
    }
    if (!f.has(3)) return;
    const bool chosen = f.in(3).type() == Type::boolean;  // true: takes part
    mask_ = f.in(3).cast(Type::f32);
    if (chosen)
      for (float& v : mask_.mutable_values<float>()) v = v != 0 ? 0 : float(kNever);
    Dims full = mask_.dims();
    if (full.empty()) {  // one number for all
      columns_ = scores[3];
      strides_.assign(4, 0);
      return;
    }
    if (full.back() > scores[3]) throw Error(f.node.where(), "has a mask of " + dims_text(full) + " for scores of " + dims_text(scores));
    columns_ = full.back();  // keys behind them are masked
    full.back() = scores[3];
    check_fits(full, scores, f.node.where());
    strides_ = broadcast_strides(mask_.dims(), scores);
    strides_[3] = 1;
  }
  double at(int64_t b, int64_t h, int64_t query, int64_t key) const {
    const int64_t place = query + offsets_[size_t(b)];
    if ((causal_ && key > place) || (left_ >= 0 && key < place - left_) || (right_ >= 0 && key > place + right_)) return kNever;
    if (!valid_.empty() && key >= valid_[size_t(b)]) return kNever;
    if (mask_.empty()) return 0;
    return key < columns_ ? mask_.values<float>()[size_t(b * strides_[0] + h * strides_[1] + query * strides_[2] + key * strides_[3])] : kNever;
  }

 private:
  Dims strides_;
  bool causal_ = false;
  int64_t left_ = -1, right_ = -1, columns_ = 0;
  std::vector<int64_t> offsets_, valid_;
  Array mask_;
};

// In place, shifted by the maximum; a row in which nothing takes part becomes zeros.
void softmax(std::vector<double>& scores, bool none) {
  const double most = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& v : scores) sum += v = none || most == kNever ? 0 : std::exp(v - most);
  for (double& v : scores) v = sum > 0 || std::isnan(sum) ? v / sum : 0;
}

// One query's scores become its probabilities; `shown` gets what the fourth output asks for.
void weigh(std::vector<double>& scores, const Bias& bias, const Dims& at, double cap, int64_t mode, float* shown) {
  auto show = [&](int64_t wanted) {
    if (mode == wanted && shown != nullptr) std::copy(scores.begin(), scores.end(), shown);
  };
  show(0);
  if (cap > 0)
    for (double& v : scores) v = cap * std::tanh(v / cap);
  show(1);
  bool none = true;
  for (size_t k = 0; k < scores.size(); ++k) {
    const double added = bias.at(at[0], at[1], at[2], int64_t(k));
    none &= added == kNever;
    scores[k] += added;
  }
  show(2);
  softmax(scores, none);
  show(3);
}

void check_heads(const Forward& f, const Heads& q, const Heads& k, const Heads& v) {
  if (k.batch != q.batch || v.batch != q.batch || k.heads != v.heads || k.length != v.length || k.size != q.size || k.heads < 1 || q.heads % k.heads != 0)
    throw Error(f.node.where(), "has queries " + dims_text(f.in(0).dims()) + ", keys " + dims_text(f.in(1).dims()) + " and values " + dims_text(f.in(2).dims()) + ", which do not fit");
  if (f.has(4) != f.has(5)) throw Error(f.node.where(), "has a past key without a past value, or the reverse");
}

void forward_attention(Forward& f) {
  const int64_t query_heads = f.node.integer("q_num_heads", 0), key_heads = f.node.integer("kv_num_heads", 0);
  const Heads q(f, 0, query_heads), k(f, 1, key_heads), v(f, 2, key_heads);
  check_heads(f, q, k, v);
  const Array keys = joined(f, 4, k), values = joined(f, 5, v);
  const int64_t total = keys.dim(2);
  if (values.dim(2) != total) throw Error(f.node.where(), "has caches of different lengths");
  const bool packed = f.in(0).rank() == 3;
  Array y(Type::f32, packed ? Dims{q.batch, q.length, q.heads * v.size} : Dims{q.batch, q.heads, q.length, v.size});
  const Dims score_dims{q.batch, q.heads, q.length, total};
  Array shown(Type::f32, f.outputs.size() > 3 ? score_dims : Dims{0});
  const Bias bias(f, score_dims, keys.dim(2) - k.length);
  const double scale = f.node.has("scale") ? f.node.real("scale", 1) : 1 / std::sqrt(double(q.size)), cap = f.node.real("softcap", 0);
  const int64_t mode = f.node.integer("qk_matmul_output_mode", 0);
  auto ys = y.mutable_values<float>(), shown_values = shown.mutable_values<float>();
  std::vector<double> scores(size_t(total), 0);
  for (int64_t b = 0; total > 0 && b < q.batch; ++b)
    for (int64_t h = 0; h < q.heads; ++h) {
      const int64_t group = b * k.heads + h / (q.heads / k.heads);
      const float *key = keys.values<float>().data() + group * total * k.size, *value = values.values<float>().data() + group * total * v.size;
      for (int64_t s = 0; s < q.length; ++s) {
        const float* query = q.row(b, h, s);
        for (int64_t t = 0; t < total; ++t) {
          double sum = 0;
          for (int64_t d = 0; d < q.size; ++d) sum += double(query[d]) * key[t * k.size + d];
          scores[size_t(t)] = sum * scale;
        }
        weigh(scores, bias, {b, h, s}, cap, mode, shown.count() > 0 ? &shown_values[size_t(((b * q.heads + h) * q.length + s) * total)] : nullptr);
        float* out = &ys[size_t(packed ? (b * q.length + s) * q.heads * v.size + h * v.size : ((b * q.heads + h) * q.length + s) * v.size)];
        for (int64_t d = 0; d < v.size; ++d) {
          double sum = 0;
          for (int64_t t = 0; t < total; ++t)
            if (scores[size_t(t)] != 0) sum += scores[size_t(t)] * value[t * v.size + d];  // a masked key's value may be infinite
          out[d] = float(sum);
        }
      }
    }
  float_out(f, 0, y);
  if (f.outputs.size() > 1) f.outputs[1] = keys.cast(f.in(1).type());
  if (f.outputs.size() > 2) f.outputs[2] = values.cast(f.in(2).type());
  if (f.outputs.size() > 3) f.outputs[3] = shown.cast(f.in(0).type());
}

void infer_attention(Inference& in) {
  for (size_t i : {0, 3}) in.set_type(i, in.type(0));
  for (size_t i : {1, 2}) in.set_type(i, in.type(i));
  const Shape *q = in.shape(0), *k = in.shape(1), *v = in.shape(2), *past = in.shape(4);
  if (q == nullptr || k == nullptr || v == nullptr || (in.has(4) && (past == nullptr || past->size() != 4))) return;
  for (const Shape* shape : {q, k, v})
    if (shape->size() != q->size() || (q->size() != 3 && q->size() != 4)) in.fail("takes queries, keys and values of 3 or of 4 axes, has " + shape_text(*q) + ", " + shape_text(*k) + " and " + shape_text(*v));
  const bool packed = q->size() == 3;
  const int64_t query_heads = in.node().integer("q_num_heads", 0), key_heads = in.node().integer("kv_num_heads", 0);
  if (packed && (query_heads < 1 || key_heads < 1)) in.fail("has inputs of 3 axes and does not say how many heads they hold");
  const Dim before = past != nullptr ? (*past)[2] : Dim{0, ""};
  const Dim heads = packed ? Dim{query_heads, ""} : (*q)[1], kept_heads = packed ? Dim{key_heads, ""} : (*k)[1];
  const Dim length = (*q)[packed ? 1 : 2], total = plus(before, (*k)[packed ? 1 : 2]);
  const Dim key_size = packed ? over((*k)[2], key_heads) : (*k)[3], size = packed ? over((*v)[2], key_heads) : (*v)[3];
  in.set(0, in.type(0), packed ? Shape{(*q)[0], length, times(size, query_heads)} : Shape{(*q)[0], heads, length, size});
  in.set(1, in.type(1), {(*q)[0], kept_heads, total, key_size});
  in.set(2, in.type(2), {(*q)[0], kept_heads, total, size});
  in.set(3, in.type(0), {(*q)[0], heads, length, total});
}

// Both products; what a mask spares is not subtracted.
int64_t macs_attention(const Node& node, std::span<const Dims> inputs, std::span<const Dims> outputs) {
  const Dims &q = inputs[0], &k = inputs[1];
  const bool packed = q.size() == 3;
  const int64_t past = inputs.size() > 4 && inputs[4].size() == 4 ? inputs[4][2] : 0;
  const int64_t heads = packed ? node.integer("q_num_heads", 1) : q[1], size = packed ? q[2] / std::max<int64_t>(heads, 1) : q[3];
  const int64_t total = past + k[packed ? 1 : 2], value_size = packed ? outputs[0][2] / std::max<int64_t>(heads, 1) : outputs[0][3];
  return q[0] * heads * q[packed ? 1 : 2] * total * (size + value_size);
}

}  // namespace

const Op op_attention{"Attention", "", 3, 7, 1, 4, infer_attention, forward_attention, macs_attention,
                      "scaled dot-product attention with grouped heads, caches and masks"};

}  // namespace pare
