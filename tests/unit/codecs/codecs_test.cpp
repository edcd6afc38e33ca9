#include "codecs/codecs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "codecs/blocks.h"
#include "graph/op.h"
#include "support/networks.h"

namespace pare {
namespace {

bool encodes(const Codec& codec) { return codec.name != std::string("uint8") && codec.name != std::string("uint4"); }

TEST(Codecs, TheCatalogIsComplete) {
  std::set<std::string> names;
  for (const Codec* codec : codecs()) {
    EXPECT_TRUE(names.insert(codec->name).second) << codec->name;
    EXPECT_TRUE(codec->decode && codec->encode && codec->bits_per_weight && codec->fold) << codec->name;
    EXPECT_TRUE(codec->unfold != nullptr || codec == &codec_sparse) << codec->name << ": only sparse initializers need no node";
    for (const char* text : {codec->summary, codec->layout, codec->parameters}) EXPECT_NE(std::string(text), "") << codec->name;
    EXPECT_EQ(find_codec(codec->name), codec);
  }
  EXPECT_EQ(find_codec("absent"), nullptr);
}

// Integer codecs: |decoded − v| ≤ scale / 2, and some element comes near that bound: a smaller scale would do otherwise.
struct Setting {
  const char* codec;
  double most;
  int axis;
  int64_t group;
};
class Affine : public ::testing::TestWithParam<Setting> {};
INSTANTIATE_TEST_SUITE_P(Codecs, Affine,
                         ::testing::Values(Setting{"int8", 127, -1, 0}, Setting{"int8", 127, 0, 0}, Setting{"int8", 127, 1, 0}, Setting{"int8", 127, 2, 0},
                                           Setting{"int8", 127, 1, 4}, Setting{"int4", 7, -1, 0}, Setting{"int4", 7, 0, 0}, Setting{"int4", 7, 1, 5},
                                           Setting{"int4", 7, 0, 2}, Setting{"int4", 7, 2, 32}, Setting{"int32", 2147483647.0, 0, 0}));

// The largest magnitude among the elements that share the scale of element i, found by comparing positions.
double largest_beside(const Array& values, const Setting& setting, int64_t i) {
  auto place = [&](int64_t at) {
    std::vector<int64_t> key;
    int64_t inner = values.count();
    for (int axis = 0; axis < values.rank(); ++axis) {
      inner /= values.dim(axis);
      const int64_t position = at / inner % values.dim(axis);
      if (setting.axis < 0) continue;
      if (axis == setting.axis) key.push_back(setting.group > 0 ? position / setting.group : position);
      else if (setting.group > 0) key.push_back(position);
    }
    return key;
  };
  double most = 0;
  for (int64_t k = 0; k < values.count(); ++k)
    if (place(k) == place(i)) most = std::max(most, std::abs(double(values.values<float>()[size_t(k)])));
  return most;
}

TEST_P(Affine, ErrorLiesWithinHalfAStepAndReachesIt) {
  const Setting& setting = GetParam();
  const Array values = testing::random_array({6, 13, 8}, 3);
  const Tensor tensor = find_codec(setting.codec)->encode(values, setting.axis, setting.group);
  EXPECT_EQ(type_text(tensor.type), "float32");
  EXPECT_EQ(tensor.dims, values.dims());
  const Array decoded = tensor.decode();
  double worst = 0;
  for (int64_t i = 0; i < values.count(); ++i) {
    const double v = values.values<float>()[size_t(i)], step = largest_beside(values, setting, i) / setting.most;
    const double off = std::abs(decoded.values<float>()[size_t(i)] - v), rounding = 4 * 0x1p-24 * std::abs(v);
    ASSERT_LE(off, step / 2 + rounding) << "element " << i << " of " << setting.codec;
    worst = std::max(worst, off / step);
  }
  EXPECT_TRUE(worst > 0.45 || setting.most > 1000) << setting.codec << " " << worst;
}

TEST_P(Affine, RoundTripsThroughStandardNodes) {
  const Setting& setting = GetParam();
  const Codec& codec = *find_codec(setting.codec);
  const Tensor tensor = codec.encode(testing::random_array({6, 13, 8}, 4), setting.axis, setting.group);
  Graph graph;
  const ValueId id = codec.unfold(graph, tensor, "w");
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.at(id).name, "w");
  const TensorPtr again = codec.fold(graph, graph.nodes[0]);
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->codec, &codec);
  EXPECT_TRUE(again->decode().same_as(tensor.decode()));
  EXPECT_EQ(again->group, tensor.group);
  EXPECT_EQ(again->size_bytes(), tensor.size_bytes());
  for (const Codec* other : codecs())
    EXPECT_TRUE(other == &codec || other->fold(graph, graph.nodes[0]) == nullptr) << other->name;
}

TEST(Affine, NodesComputeWhatDecodeSays) {
  for (const char* name : {"int8", "int4", "int32"}) {
    const Codec& codec = *find_codec(name);
    const Tensor tensor = codec.encode(testing::random_array({4, 6}, 5), 1, name == std::string("int4") ? 2 : 0);
    Graph graph;
    graph.opsets[""] = 21;
    graph.outputs = {codec.unfold(graph, tensor, "w")};
    verify(graph);
    const Node& node = graph.nodes[0];
    Forward forward{node, graph.opset(), {}, std::vector<Array>(1)};
    for (ValueId id : node.inputs) forward.inputs.push_back(graph.constant(id)->array());
    node.op->forward(forward);
    EXPECT_TRUE(forward.outputs[0].same_as(tensor.decode())) << name;
  }
}

TEST(Affine, ZeroPointsAndBits) {
  const Tensor tensor = affine_tensor(Array::of<uint8_t>({2, 2}, {0, 10, 255, 7}), Array::of<float>({2}, {0.5f, 2}), Array::of<uint8_t>({2}, {10, 7}), 0);
  EXPECT_EQ(tensor.decode().to_floats(), (std::vector<float>{-5, 0, 496, 0}));
  EXPECT_EQ(tensor.codec->bits_per_weight(tensor), 8.0 * (4 + 8 + 2) / 4);
  const Tensor plain = affine_tensor(Array::of<uint8_t>({2}, {1, 2}), Array::scalar(1.f), Array::scalar<uint8_t>(0), 0);
  EXPECT_EQ(plain.parts.size(), 2u);  // a zero that is 0 needs no storage
  EXPECT_THROW(codec_uint8.encode(Array(Type::f32, {2}), 0, 0), Error);
}

TEST(Affine, ZerosAndEmptyTensorsEncode) {
  for (const Codec* codec : codecs()) {
    if (!encodes(*codec) || codec->blocks != nullptr) continue;
    for (const Dims& dims : {Dims{3, 4}, Dims{0, 4}, Dims{}}) {
      const Tensor tensor = codec->encode(Array(Type::f32, dims), dims.empty() ? -1 : 0, 0);
      EXPECT_TRUE(tensor.decode().same_as(Array(Type::f32, dims))) << codec->name << " " << dims_text(dims);
    }
  }
}

// Round to nearest even: at most half a place of the mantissa, and some element nearly that.
TEST(Float16, ErrorBoundsOfBothSides) {
  const Array values = testing::random_array({4096}, 9);
  for (const auto& [name, bound] : {std::pair("float16", 0x1p-11), std::pair("bfloat16", 0x1p-8)}) {
    const Codec& codec = *find_codec(name);
    const Tensor tensor = codec.encode(values, 0, 0);
    EXPECT_EQ(codec.bits_per_weight(tensor), 16);
    EXPECT_EQ(tensor.size_bytes(), 2 * 4096);
    const Array decoded = tensor.decode();
    double worst = 0;
    for (size_t i = 0; i < 4096; ++i) {
      const double v = values.values<float>()[i];
      if (std::abs(v) > 0x1p-14) worst = std::max(worst, std::abs(decoded.values<float>()[i] - v) / std::abs(v));
    }
    EXPECT_LE(worst, bound) << name;
    EXPECT_GT(worst, 0.9 * bound) << name;
    Graph graph;
    codec.unfold(graph, tensor, "w");
    const TensorPtr again = codec.fold(graph, graph.nodes[0]);
    ASSERT_NE(again, nullptr);
    EXPECT_TRUE(again->decode().same_as(decoded));
  }
}

// Every `period`th element is kept, the others are zero.
Array with_zeros(Dims dims, uint64_t seed, int64_t period) {
  Array array = testing::random_array(std::move(dims), seed);
  auto values = array.mutable_values<float>();
  for (size_t i = 0; i < values.size(); ++i)
    if (int64_t(i) % period != period / 2) values[i] = 0;
  return array;
}

TEST(Sparse, GivesBackEveryBit) {
  for (int64_t period : {1, 2, 10, 254, 255, 256, 257, 511, 3000}) {
    Array values = with_zeros({30, 100}, 6, period);
    if (period == 10) values.mutable_values<float>()[7] = -0.f;
    const Tensor tensor = codec_sparse.encode(values, 0, 0);
    EXPECT_TRUE(tensor.decode().same_as(values)) << period;
    EXPECT_EQ(tensor.size_bytes(), 4 * tensor.parts[0].count() + tensor.parts[1].count());
    EXPECT_TRUE(sparse_tensor(dense_tensor(tensor)).parts[1].same_as(tensor.parts[1]));
    // From both sides: 5 bytes a value that is kept, and a byte for every 255 zeros.
    EXPECT_GE(codec_sparse.bits_per_weight(tensor), 40.0 / double(period) - 0.1) << period;
    EXPECT_LE(codec_sparse.bits_per_weight(tensor), 40.0 / double(period) + 8.0 / 255 + 0.1) << period;
  }
}

TEST(Sparse, IntegersErrAsInt8DoesAndZerosStay) {
  for (const auto& [axis, group] : {std::pair(-1, 0), std::pair(0, 0), std::pair(1, 0), std::pair(1, 4)}) {
    const Array values = with_zeros({6, 13, 8}, 3, 5);
    const Tensor dense = codec_int8.encode(values, axis, group), sparse = codec_sparse_int8.encode(values, axis, group);
    EXPECT_TRUE(sparse.decode().same_as(dense.decode()));
    EXPECT_TRUE(dense_tensor(sparse).parts[0].same_as(dense.parts[0]));
    EXPECT_LT(sparse.size_bytes(), dense.size_bytes() - 300);
    Graph graph;
    codec_sparse_int8.unfold(graph, sparse, "w");
    const TensorPtr again = codec_sparse_int8.fold(graph, graph.nodes[0]);
    ASSERT_NE(again, nullptr);
    EXPECT_EQ(again->codec, &codec_sparse_int8);
    EXPECT_TRUE(again->decode().same_as(dense.decode()));
    for (const Codec* other : codecs())
      EXPECT_TRUE(other == &codec_sparse_int8 || other->fold(graph, graph.nodes[0]) == nullptr) << other->name;
  }
}

// What a file may claim about encoded weights; each changes one thing of a sound tensor.
struct Claim {
  const char* codec;
  const char* says;
  void (*change)(Tensor& tensor);
};
const Claim kClaims[] = {
    {"int8", "parts", [](Tensor& t) { t.parts.pop_back(); }},
    {"int8", "parts", [](Tensor& t) { t.parts.resize(4); }},
    {"int8", "values are", [](Tensor& t) { t.dims = {4, 4}; }},
    {"int8", "expected float32, int8", [](Tensor& t) { t.parts[0] = Array(Type::u8, t.dims); }},
    {"int8", "expected float32, int8", [](Tensor& t) { t.parts[1] = Array(Type::f64, {4}); }},
    {"int8", "axis 2", [](Tensor& t) { t.axis = 2; }},
    {"int8", "axis -1", [](Tensor& t) { t.axis = -1; }},
    {"int8", "groups of -1", [](Tensor& t) { t.group = -1; }},
    {"int8", "expected 4x3", [](Tensor& t) { t.group = 2; t.axis = 1; }},
    {"int8", "expected 6", [](Tensor& t) { t.axis = 1; }},
    {"int8", "zero points", [](Tensor& t) { t.parts.push_back(Array(Type::i8, {3})); }},
    {"int8", "zero points", [](Tensor& t) { t.parts.push_back(Array(Type::u8, {4})); }},
    {"int4", "values are", [](Tensor& t) { t.parts[0] = Array(Type::i4, {4, 7}); }},
    {"float16", "expected one part", [](Tensor& t) { t.parts[0] = Array(Type::bf16, t.dims); }},
    {"bfloat16", "expected one part", [](Tensor& t) { t.dims = {24}; }},
    {"sparse", "parts", [](Tensor& t) { t.parts.pop_back(); }},
    {"sparse", "place 4 values", [](Tensor& t) { t.parts[0] = Array(Type::f32, {5}); }},
    {"sparse", "behind its last", [](Tensor& t) { t.parts[1] = Array::of<uint8_t>({4}, {3, 5, 5, 200}); }},
    {"sparse", "behind its last", [](Tensor& t) { t.parts[1] = Array::of<uint8_t>({5}, {3, 5, 5, 5, 255}); }},
    {"sparse", "one of uint8", [](Tensor& t) { t.parts[1] = Array(Type::i8, {4}); }},
    {"sparse", "expected one row of float32", [](Tensor& t) { t.parts[0] = Array(Type::f64, {4}); }},
    {"sparse", "absurdly", [](Tensor& t) { t.dims = {int64_t(1) << 40}; }},
    {"sparse-int8", "parts", [](Tensor& t) { t.parts.pop_back(); }},
    {"sparse-int8", "expected 4", [](Tensor& t) { t.parts[2] = Array(Type::f32, {3}); }},
};

TEST(Check, RefusesPartsThatDoNotFit) {
  for (const Claim& claim : kClaims) {
    Tensor tensor = find_codec(claim.codec)->encode(with_zeros({4, 6}, 2, 6), 0, 0);
    EXPECT_NO_THROW(check_tensor(tensor, "w"));
    claim.change(tensor);
    for (const bool decoding : {false, true}) {
      try {
        if (decoding) tensor.decode();
        else check_tensor(tensor, "w");
        ADD_FAILURE() << claim.codec << " accepted: " << claim.says;
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find(claim.says), std::string::npos) << error.what();
      }
    }
  }
}

// Nodes of a file that only look like a codec's form.
TEST(Fold, RefusesWhatIsNotItsForm) {
  const char* texts[] = {
      "x = DequantizeLinear(q, s2) {axis=0}",                 // 2 scales for 3 rows
      "x = DequantizeLinear(q, s3) {axis=5}",
      "x = DequantizeLinear(q, s3) {axis=0, block_size=-1}",
      "x = DequantizeLinear(q, s3, z2) {axis=0}",
      "x = DequantizeLinear(q, half) {axis=0}",
      "x = DequantizeLinear(q, given)",
      "x = DequantizeLinear(given, s3)",
      "x = DequantizeLinear(q, s2x2) {axis=0, block_size=2, other=1}",
      "x = Cast(q) {to=1}",
      "x = Relu(q)",
  };
  for (const char* text : texts) {
    const Graph graph = parse(std::string("graph\ninput given: float32 3\nconst q: int8 3x2 [1, 2, 3, 4, 5, 6]\nconst s2: float32 2 [1.0, 1.0]\n"
                                          "const s3: float32 3 [1.0, 1.0, 1.0]\nconst z2: int8 2 [0, 0]\nconst half: float16 3 [1.0, 1.0, 1.0]\n"
                                          "const s2x2: float32 2x3 [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]\n") + text);
    for (const Codec* codec : codecs()) EXPECT_EQ(codec->fold(graph, graph.nodes[0]), nullptr) << codec->name << ": " << text;
  }
}

TEST(Text, EncodedTensorsRoundTrip) {
  Graph graph;
  for (const Codec* codec : codecs())
    if (encodes(*codec)) graph.add_constant(codec->name, codec->encode(testing::random_array({6, codec->blocks ? codec->blocks->elements : 8}, 1), 0, 0));
  const std::string text = print(graph, true);
  const Graph again = parse(text, "text", find_codec);
  EXPECT_EQ(print(again, true), text);
  for (size_t id = 0; id < graph.values.size(); ++id) EXPECT_TRUE(again.values[id].constant->decode().same_as(graph.values[id].constant->decode()));
}

}  // namespace
}  // namespace pare
