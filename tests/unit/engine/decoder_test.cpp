#include <gtest/gtest.h>

#include <cmath>

#include "codecs/blocks.h"
#include "engine/engine.h"
#include "support/networks.h"

namespace pare {
namespace {

using testing::Network;
using testing::random_array;

double worst(const Array& a, const Array& b) {
  EXPECT_EQ(dims_text(a.dims()), dims_text(b.dims()));
  double most = 0;
  for (size_t i = 0; i < a.values<float>().size(); ++i) most = std::max(most, double(std::abs(a.values<float>()[i] - b.values<float>()[i])));
  return most;
}

std::string implementation(const Session& session, const std::string& op) {
  for (const LayerReport& layer : session.layers())
    if (layer.op.starts_with(op)) return layer.implementation;
  return "";
}

Graph attention_graph(int64_t tokens, bool neighbours, int64_t window = 0) {
  Network net;
  net.graph.opsets[""] = 23;
  const ValueId q = net.input("q", {1, tokens, 6 * 16}), k = net.input("k", {1, tokens, 2 * 16}), v = net.input("v", {1, tokens, 2 * 24});
  const ValueId c = net.input("c", {1, tokens, 8}), s = net.input("s", {1, tokens, 8});
  std::map<std::string, Attribute> turn{{"num_heads", int64_t(6)}};
  if (neighbours) turn["interleaved"] = int64_t(1);
  const ValueId queries = net.node("RotaryEmbedding", {q, c, s}, turn);
  turn["num_heads"] = int64_t(2);
  const ValueId keys = net.node("RotaryEmbedding", {k, c, s}, turn);
  std::map<std::string, Attribute> attend{{"is_causal", int64_t(1)}, {"q_num_heads", int64_t(6)}, {"kv_num_heads", int64_t(2)}};
  if (window > 0) attend["left_window_size"] = window - 1;
  return net.finish(net.node("Attention", {queries, keys, v}, attend));
}

std::vector<Array> attention_inputs(int64_t tokens) {
  std::vector<Array> inputs;
  uint64_t seed = 3;
  for (const int64_t width : {6 * 16, 2 * 16, 2 * 24, 8, 8}) inputs.push_back(random_array({1, tokens, width}, ++seed));
  return inputs;
}

TEST(Decoder, CausalAttentionWithSharedHeadsIsTheReferences) {
  for (const bool neighbours : {false, true})
    for (const int64_t tokens : {1, 2, 31, 32, 33, 75}) {
      const Graph graph = attention_graph(tokens, neighbours);
      const auto inputs = attention_inputs(tokens);
      for (const int threads : {1, 2}) {
        SessionOptions options;
        options.threads = threads;
        Session session(graph, {}, options);
        EXPECT_NE(implementation(session, "Attention"), "reference");
        EXPECT_NE(implementation(session, "RotaryEmbedding"), "reference");
        EXPECT_LT(worst(session.run(inputs)[0], run_reference(graph, inputs)[0]), 2e-5) << tokens << " tokens, " << threads << " threads";
      }
    }
}

TEST(Decoder, AWindowHidesWhatLiesBeforeIt) {
  for (const int64_t window : {1, 5, 40, 70})
    for (const int64_t tokens : {1, 17, 75}) {
      const Graph graph = attention_graph(tokens, false, window);
      const auto inputs = attention_inputs(tokens);
      Session session(graph, {});
      EXPECT_NE(implementation(session, "Attention"), "reference");
      EXPECT_LT(worst(session.run(inputs)[0], run_reference(graph, inputs)[0]), 2e-5) << tokens << " tokens, window " << window;
    }
}

Array tokens_of(const Array& all, int64_t first, int64_t count) {
  const int64_t width = all.dim(2);
  Array part(Type::f32, {1, count, width});
  std::copy_n(all.values<float>().begin() + first * width, count * width, part.mutable_values<float>().begin());
  return part;
}

// In pieces of several sizes through sessions that share a cache, the last filled up with what is no part of it.
void expect_pieces_like_the_whole(int64_t window, KeyValues kept = KeyValues::f32, double bound = 2e-5) {
  const int64_t all = 50;
  const auto inputs = attention_inputs(all);
  const Array expected = run_reference(attention_graph(all, false, window), inputs)[0];
  SessionOptions options;
  options.cache = std::make_shared<DecoderCache>();
  options.cache->capacity = all;
  options.cache->kept = kept;
  Session one(attention_graph(1, false, window), {}, options), sixteen(attention_graph(16, false, window), {}, options);
  const auto run = [&](Session& session, int64_t size, int64_t real) {
    std::vector<Array> part;
    for (const Array& input : inputs) part.push_back(tokens_of(input, std::min(options.cache->past, all - size), size));
    if (options.cache->past + size > all)
      for (size_t i = 0; i < part.size(); ++i) {
        Array filled(Type::f32, part[i].dims());
        const Array rest = tokens_of(inputs[i], options.cache->past, real);
        std::copy(rest.values<float>().begin(), rest.values<float>().end(), filled.mutable_values<float>().begin());
        part[i] = filled;
      }
    const Array y = session.run(part)[0];
    EXPECT_LT(worst(tokens_of(y, 0, real), tokens_of(expected, options.cache->past, real)), bound)
        << "behind " << options.cache->past;
    options.cache->past += real;
  };
  run(sixteen, 16, 16);
  run(one, 1, 1);
  run(one, 1, 1);
  run(sixteen, 16, 16);
  run(sixteen, 16, 16);   // all is full: the last token stands behind 34 others
}

TEST(Decoder, WithACacheEachTokenSeesWhatCameBefore) { expect_pieces_like_the_whole(0); }
TEST(Decoder, WithACacheAndAWindowToo) { expect_pieces_like_the_whole(21); }

// Errors of up to 2^-11 of a key or value, or half a 127th of the largest beside it; they are of size 1.
TEST(Decoder, ACacheInFewerBitsIsNear) {
  for (const int64_t window : {0, 21}) {
    expect_pieces_like_the_whole(window, KeyValues::f16, 3e-3);
    expect_pieces_like_the_whole(window, KeyValues::i8, 6e-2);
  }
}

TEST(Decoder, ATooFullCacheIsNotWrittenBehind) {
  SessionOptions options;
  options.cache = std::make_shared<DecoderCache>();
  options.cache->capacity = 20;
  options.cache->kept = KeyValues::f32;
  options.cache->past = 15;
  Session session(attention_graph(16, false), {}, options);
  const auto inputs = attention_inputs(16);
  EXPECT_EQ(session.run(inputs)[0].dim(1), 16);   // 11 rows have no place; the sanitizers would say so
  const Array& kept = options.cache->layers.begin()->second.values;
  EXPECT_EQ(kept.size_bytes(), size_t(20 * 48) * sizeof(float));
  const auto* values = reinterpret_cast<const float*>(kept.bytes());
  EXPECT_EQ(values[19 * 24], inputs[2].values<float>()[4 * 48]);
  EXPECT_EQ(values[(20 + 19) * 24], inputs[2].values<float>()[4 * 48 + 24]);
  EXPECT_EQ(values[20 * 24], 0) << "the second head begins here; its first 15 tokens were never given";
}

// Weights in blocks: activations of 8 bits cost what rounding to 8 bits costs, about 45 dB.
TEST(Decoder, LinearLayersOfEveryBlockTypeAreTheReferencesButForRounding) {
  for (const Codec* codec : codecs()) {
    if (codec->blocks == nullptr) continue;
    for (const int64_t rows : {1, 3, 40}) {
      Network net;
      const ValueId x = net.input("x", {rows, 512}), residual = net.input("r", {rows, 70});
      const ValueId weight = net.graph.add_constant("w", codec->encode(random_array({70, 512}, 9, 0.05f), -1, 0));
      const ValueId y = net.node("Gemm", {x, weight, net.constant({70})}, {{"transB", int64_t(1)}});
      const Graph graph = net.finish(net.node("Add", {y, residual}));
      const std::vector<Array> inputs{random_array({rows, 512}, 21), random_array({rows, 70}, 22)};
      Session session(graph, {});
      EXPECT_TRUE(implementation(session, "Gemm+Add").starts_with("low_bit")) << codec->name;
      const Array ours = session.run(inputs)[0], exact = run_reference(graph, inputs)[0];
      double error = 0, power = 0;
      for (size_t i = 0; i < exact.values<float>().size(); ++i) {
        error += std::pow(double(ours.values<float>()[i]) - exact.values<float>()[i], 2);
        power += std::pow(double(exact.values<float>()[i]), 2);
      }
      EXPECT_GT(10 * std::log10(power / error), 38) << codec->name << " " << rows << " rows";
    }
  }
}

// Weights stay in 16 bits, or are shared in 32: their products are exact, sums round as floats do.
TEST(Decoder, LinearLayersOfFloatWeightsAreTheReferences) {
  for (const char* stored : {"float16", "bfloat16", ""})
    for (const int64_t rows : {1, 2, 40})
      for (const int threads : {1, 2}) {
        Network net;
        const ValueId x = net.input("x", {rows, 50}), residual = net.input("r", {rows, 71});
        const Array floats = random_array({71, 50}, 9, 0.05f);
        const ValueId weight =
            net.graph.add_constant("w", *stored == 0 ? Tensor(floats) : find_codec(stored)->encode(floats, -1, 0));
        const ValueId y = net.node("Gemm", {x, weight, net.constant({71})}, {{"transB", int64_t(1)}});
        const Graph graph = net.finish(net.node("Add", {y, residual}));
        const std::vector<Array> inputs{random_array({rows, 50}, 21), random_array({rows, 71}, 22)};
        SessionOptions options;
        options.threads = threads;
        options.cache = std::make_shared<DecoderCache>();
        Session session(graph, {}, options);
        EXPECT_TRUE(implementation(session, "Gemm+Add")
                        .starts_with(*stored == 0 ? "float_linear_"
                                                  : std::string("float_linear_") +
                                                        (*stored == 'f' ? "f16_weights" : "bf16_weights")))
            << stored;
        EXPECT_LT(worst(session.run(inputs)[0], run_reference(graph, inputs)[0]), 1e-5)
            << stored << " " << rows << " rows";
      }
}

TEST(Decoder, GatedUnitsAreOneStep) {
  for (const bool first : {false, true}) {
    Network net;
    const ValueId x = net.input("x", {3, 70}), by = net.input("by", {3, 70});
    const ValueId gate = net.node("Mul", {x, net.node("Sigmoid", {x})});
    const Graph graph = net.finish(first ? net.node("Mul", {gate, by}) : net.node("Mul", {by, gate}));
    const std::vector<Array> inputs{random_array({3, 70}, 5, 3), random_array({3, 70}, 6)};
    SessionOptions options;
    options.threads = 2;
    Session session(graph, {}, options);
    EXPECT_TRUE(implementation(session, "Swish+Mul").starts_with("float_rows"));
    EXPECT_LT(worst(session.run(inputs)[0], run_reference(graph, inputs)[0]), 1e-5);
  }
}

TEST(Decoder, EmbeddingsInBlocksAreReadRowByRow) {
  for (const Codec* codec : codecs()) {
    if (codec->blocks == nullptr) continue;
    Network net;
    const ValueId ids = net.graph.add_value("ids", Type::i64, shape_of({5}));
    net.graph.inputs.push_back(ids);
    const ValueId table = net.graph.add_constant("t", codec->encode(random_array({30, 256}, 4), -1, 0));
    const Graph graph = net.finish(net.node("Gather", {table, ids}));
    const std::vector<Array> inputs{Array::of<int64_t>({5}, {0, 29, 7, 7, 1})};
    Session session(graph, {});
    EXPECT_EQ(implementation(session, "Gather"), std::string("rows of ") + codec->name);
    EXPECT_EQ(worst(session.run(inputs)[0], run_reference(graph, inputs)[0]), 0) << codec->name;
  }
}

}  // namespace
}  // namespace pare
