// What decoders of language models need beside attention: rotary positions, linear attention, causal convolution, caches.
#include <cstring>

#include "graph/ops/ops.h"

namespace pare {
namespace {

// Pairs (x1, x2) of each head turn by the angle of their position: halves of the rotated part, or neighbours.
void forward_rotary(Forward& f) {
  Array y = float_in(f, 0);
  const Dims& dims = y.dims();
  const bool packed = dims.size() == 3;
  const int64_t count = f.node.integer("num_heads", 0);
  if (!(dims.size() == 4 || (packed && count > 0 && dims[2] % count == 0)))
    throw Error(f.node.where(), "has shape " + dims_text(dims) + ", expected 4 axes, or 3 of which the last holds " + std::to_string(count) + " heads");
  const int64_t batch = dims[0], heads = packed ? count : dims[1], length = dims[packed ? 1 : 2], size = packed ? dims[2] / count : dims[3];
  const int64_t given = f.node.integer("rotary_embedding_dim", 0), turned = given == 0 ? size : given, half = turned / 2;
  if (turned < 0 || turned > size) throw Error(f.node.where(), "rotates " + std::to_string(turned) + " of " + std::to_string(size) + " elements");
  const bool looked_up = f.has(3);
  if (looked_up) check_dims(f, 3, {batch, length});
  for (size_t i : {1, 2}) check_dims(f, i, looked_up ? Dims{-1, half} : Dims{batch, length, half});
  const auto places = looked_up ? f.in(3).to_integers() : std::vector<int64_t>();
  const auto cosines = f.in(1).to_floats(), sines = f.in(2).to_floats();
  if (sines.size() != cosines.size()) throw Error(f.node.where(), "has caches of different sizes");
  const bool interleaved = f.node.integer("interleaved", 0) != 0;
  auto ys = y.mutable_values<float>();
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t s = 0; s < length; ++s) {
        const int64_t row = looked_up ? places[size_t(b * length + s)] : b * length + s;
        if (looked_up && (row < 0 || row >= f.in(1).dim(0))) throw Error(f.node.where(), "has position " + std::to_string(row) + ", the caches have " + std::to_string(f.in(1).dim(0)));
        float* p = &ys[size_t(packed ? ((b * length + s) * heads + h) * size : ((b * heads + h) * length + s) * size)];
        for (int64_t i = 0; i < half; ++i) {
          float &x1 = p[interleaved ? 2 * i : i], &x2 = p[interleaved ? 2 * i + 1 : half + i];
          const double c = cosines[size_t(row * half + i)], n = sines[size_t(row * half + i)], a = x1, z = x2;
          x1 = float(c * a - n * z);
          x2 = float(n * a + c * z);
        }
      }
  float_out(f, 0, y);
}

// A recurrent state per head, [key size, value size]: decays, learns k ⊗ v (or its error), answers q.
struct LinearForm {
  int64_t batch, length, query_heads, heads, key_size, value_size;
  bool gated, delta;
};

LinearForm linear_form(const Forward& f) {
  const std::string rule = f.node.text("update_rule", "gated_delta");
  LinearForm form{0, 0, f.node.integer("q_num_heads", 0), f.node.integer("kv_num_heads", 0), 0, 0, rule.starts_with("gated"), rule.ends_with("delta")};
  if (rule != "linear" && rule != "gated" && rule != "delta" && rule != "gated_delta") throw Error(f.node.where(), "has update_rule '" + rule + "', expected linear, gated, delta or gated_delta");
  for (size_t i : {0, 1, 2}) check_rank(f, i, 3);
  const Dims &q = f.in(0).dims(), &v = f.in(2).dims();
  if (form.heads < 1 || form.query_heads < 1 || form.query_heads % form.heads != 0 || q[2] % form.query_heads != 0 || v[2] % form.heads != 0)
    throw Error(f.node.where(), "has " + std::to_string(form.query_heads) + " and " + std::to_string(form.heads) + " heads, which do not fit " + dims_text(q) + " and " + dims_text(v));
  form.batch = q[0], form.length = q[1], form.key_size = q[2] / form.query_heads, form.value_size = v[2] / form.heads;
  check_dims(f, 1, {form.batch, form.length, form.heads * form.key_size});
  check_dims(f, 2, {form.batch, form.length, form.heads * form.value_size});
  if (f.has(3)) check_dims(f, 3, {form.batch, form.heads, form.key_size, form.value_size});
  if (form.gated) {
    const bool by_head = f.has(4) && f.in(4).rank() == 3 && f.in(4).dim(2) == form.heads;
    check_dims(f, 4, {form.batch, form.length, by_head ? form.heads : form.heads * form.key_size});
  }
  if (form.delta) {
    const bool one = f.has(5) && f.in(5).rank() == 3 && f.in(5).dim(2) == 1;
    check_dims(f, 5, {form.batch, form.length, one ? 1 : form.heads});
  }
  return form;
}

void forward_linear_attention(Forward& f) {
  const LinearForm form = linear_form(f);
  const auto [batch, length, query_heads, heads, dk, dv, gated, delta] = form;
  const auto q = f.in(0).to_floats(), k = f.in(1).to_floats(), v = f.in(2).to_floats();
  const auto decay = gated ? f.in(4).to_floats() : std::vector<float>(), beta = delta ? f.in(5).to_floats() : std::vector<float>();
  const int64_t decays = gated ? f.in(4).dim(2) : 0, betas = delta ? f.in(5).dim(2) : 0, shared = query_heads / heads;
  const double given = f.node.real("scale", 0), scale = given == 0 ? 1 / std::sqrt(double(dk)) : given;
  Array state = f.has(3) ? float_in(f, 3) : Array(Type::f32, {batch, heads, dk, dv}), y(Type::f32, {batch, length, query_heads * dv});
  auto all = state.mutable_values<float>(), ys = y.mutable_values<float>();
  std::vector<double> s(size_t(dk * dv)), learnt(static_cast<size_t>(dv));
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h) {
      std::copy_n(all.begin() + (b * heads + h) * dk * dv, dk * dv, s.begin());
      for (int64_t t = 0; t < length; ++t) {
        const int64_t row = b * length + t;
        const float *key = &k[size_t((row * heads + h) * dk)], *value = &v[size_t((row * heads + h) * dv)];
        for (int64_t i = 0; gated && i < dk * dv; ++i) s[size_t(i)] *= std::exp(double(decay[size_t(row * decays + (decays == heads ? h : h * dk + i / dv))]));
        for (int64_t m = 0; m < dv; ++m) {
          double known = 0;
          for (int64_t d = 0; delta && d < dk; ++d) known += s[size_t(d * dv + m)] * key[d];
          learnt[size_t(m)] = delta ? beta[size_t(row * betas + (betas == 1 ? 0 : h))] * (value[m] - known) : value[m];
        }
        for (int64_t i = 0; i < dk * dv; ++i) s[size_t(i)] += key[i / dv] * learnt[size_t(i % dv)];
        for (int64_t g = h * shared; g < (h + 1) * shared; ++g)
          for (int64_t m = 0; m < dv; ++m) {
            double sum = 0;
            for (int64_t d = 0; d < dk; ++d) sum += double(q[size_t((row * query_heads + g) * dk + d)]) * s[size_t(d * dv + m)];
            ys[size_t((row * query_heads + g) * dv + m)] = float(scale * sum);
          }
      }
      std::copy(s.begin(), s.end(), all.begin() + (b * heads + h) * dk * dv);
    }
  float_out(f, 0, y);
  if (f.outputs.size() > 1) f.outputs[1] = state.cast(f.in(f.has(3) ? 3 : 0).type());
}

void infer_linear_attention(Inference& in) {
  in.set_type(0, in.type(0));
  in.set_type(1, in.type(in.has(3) ? 3 : 0));
  const int64_t query_heads = in.node().integer("q_num_heads", 0), heads = in.node().integer("kv_num_heads", 0);
  const Shape *q = in.shape(0), *v = in.shape(2);
  if (q == nullptr || v == nullptr) return;
  if (q->size() != 3 || v->size() != 3 || heads < 1 || query_heads < 1) in.fail("takes queries and values of 3 axes and the numbers of their heads");
  const Dim size = over((*v)[2], heads);
  in.set(0, in.type(0), {(*q)[0], (*q)[1], times(size, query_heads)});
  in.set(1, in.type(in.has(3) ? 3 : 0), {(*q)[0], {heads, ""}, over((*q)[2], query_heads), size});
}

// A depthwise convolution along time that sees the past only; the last kernel − 1 elements are the state.
void forward_causal_conv(Forward& f) {
  check_rank(f, 0, 3);
  const int64_t batch = f.in(0).dim(0), channels = f.in(0).dim(1), length = f.in(0).dim(2);
  check_dims(f, 1, {channels, 1, -1});
  const int64_t kernel = f.in(1).dim(2), before = kernel - 1;
  if (kernel < 1) throw Error(f.node.where(), "has a kernel of no elements");
  if (f.has(2)) check_dims(f, 2, {channels});
  if (f.has(3)) check_dims(f, 3, {batch, channels, before});
  const std::string activation = f.node.text("activation", "none");
  if (activation != "none" && activation != "silu" && activation != "swish") throw Error(f.node.where(), "has activation '" + activation + "', expected none or silu");
  const auto x = f.in(0).to_floats(), w = f.in(1).to_floats();
  const auto bias = f.has(2) ? f.in(2).to_floats() : std::vector<float>(size_t(channels), 0.f);
  const auto past = f.has(3) ? f.in(3).to_floats() : std::vector<float>(size_t(batch * channels * before), 0.f);
  Array y(Type::f32, f.in(0).dims()), state(Type::f32, {batch, channels, before});
  auto ys = y.mutable_values<float>(), states = state.mutable_values<float>();
  std::vector<float> line(size_t(before + length));
  for (int64_t row = 0; row < batch * channels; ++row) {
    std::copy_n(past.begin() + row * before, before, line.begin());
    std::copy_n(x.begin() + row * length, length, line.begin() + before);
    for (int64_t t = 0; t < length; ++t) {
      double sum = bias[size_t(row % channels)];
      for (int64_t j = 0; j < kernel; ++j) sum += double(w[size_t(row % channels * kernel + j)]) * line[size_t(t + j)];
      ys[size_t(row * length + t)] = float(activation == "none" ? sum : sum / (1 + std::exp(-sum)));
    }
    std::copy_n(line.begin() + length, before, states.begin() + row * before);
  }
  float_out(f, 0, y);
  if (f.outputs.size() > 1) f.outputs[1] = state.cast(f.in(0).type());
}

void infer_causal_conv(Inference& in) {
  infer_same(in);
  in.set_type(1, in.type(0));
  const Shape *x = in.shape(0), *w = in.shape(1);
  if (x == nullptr || w == nullptr) return;
  if (x->size() != 3 || w->size() != 3) in.fail("takes an input and a weight of 3 axes");
  in.set(1, in.type(0), {(*x)[0], (*x)[1], (*w)[2].known() ? Dim{(*w)[2].value - 1, ""} : Dim{}});
}

// New keys or values into a cache of fixed length, each sample at its own place.
void forward_tensor_scatter(Forward& f) {
  const Array &cache = f.in(0), &update = f.in(1);
  const int64_t axis = normal_axis(f.node.integer("axis", -2), cache.rank(), f.node.where());
  if (axis == 0 || type_bits(cache.type()) < 8 || cache.type() != update.type()) throw Error(f.node.where(), "cannot update " + std::string(type_text(cache.type())) + " " + dims_text(cache.dims()) + " along axis " + std::to_string(axis));
  Dims wanted = cache.dims();
  wanted[size_t(axis)] = -1;
  check_dims(f, 1, wanted);
  const int64_t most = cache.dim(int(axis)), length = update.dim(int(axis));
  const bool circular = f.node.text("mode", "linear") == "circular";
  if (f.has(2)) check_dims(f, 2, {cache.dim(0)});
  const auto starts = f.has(2) ? f.in(2).to_integers() : std::vector<int64_t>(size_t(cache.dim(0)), 0);
  int64_t prefixes = 1;
  for (int64_t i = 1; i < axis; ++i) prefixes *= cache.dim(int(i));
  size_t inner = size_t(type_bits(cache.type())) / 8;
  for (int i = int(axis) + 1; i < cache.rank(); ++i) inner *= size_t(cache.dim(i));
  Array y = cache;
  std::byte* to = y.mutable_bytes();
  for (int64_t b = 0; b < cache.dim(0); ++b)
    for (int64_t p = 0; p < prefixes; ++p)
      for (int64_t s = 0; s < length; ++s) {
        const int64_t start = starts[size_t(b)], place = circular && most > 0 ? (start % most + s + most) % most : start < 0 || start > most ? -1 : start + s;
        if (length > most || place < 0 || place >= most) throw Error(f.node.where(), "writes " + std::to_string(length) + " elements at " + std::to_string(start) + " of a cache of " + std::to_string(most));
        std::memcpy(to + size_t((b * prefixes + p) * most + place) * inner, update.bytes() + size_t((b * prefixes + p) * length + s) * inner, inner);
      }
  f.outputs[0] = y;
}

}  // namespace

const Op op_rotary_embedding{"RotaryEmbedding", "", 3, 4, 1, 1, infer_same, forward_rotary, nullptr, "rotary position embedding"};
const Op op_linear_attention{"LinearAttention", "", 3, 6, 1, 2, infer_linear_attention, forward_linear_attention, nullptr, "attention by a recurrent state (linear, gated, delta)"};
const Op op_causal_conv{"CausalConvWithState", "", 2, 4, 1, 2, infer_causal_conv, forward_causal_conv, nullptr, "depthwise convolution over past elements"};
const Op op_tensor_scatter{"TensorScatter", "", 2, 3, 1, 1, infer_same, forward_tensor_scatter, nullptr, "writes new elements into a cache"};

}  // namespace pare
