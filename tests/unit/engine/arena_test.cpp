// Memory that values share.
#include <gtest/gtest.h>

#include "codecs/codecs.h"
#include "engine/engine.h"
#include "engine/plan.h"
#include "support/networks.h"

namespace pare {
namespace {

// Parts of a Concat's result that are made last lend their memory until then: b and c are as large as a part, and lie in those of d and e.
TEST(Arena, PartsOfAConcatTakeMemoryFromWhenTheyAreMade) {
  const int64_t lanes = channel_block();
  testing::Network n;
  const ValueId x = n.input("x", {1, 3, 40, 40});
  const ValueId a = n.conv(x, 3, lanes, 3, 1);
  const ValueId b = n.node("Relu", {n.conv(a, lanes, lanes, 3, 1)}), c = n.node("Relu", {n.conv(b, lanes, lanes, 3, 1)});
  const ValueId d = n.node("Relu", {n.conv(c, lanes, lanes, 3, 1)}), e = n.node("Relu", {n.conv(d, lanes, lanes, 3, 1)});
  const ValueId all = n.node("Concat", {a, d, e}, {{"axis", int64_t(1)}});
  const Graph graph = n.finish(n.node("GlobalAveragePool", {all}));
  const Array input = testing::random_array({1, 3, 40, 40}, 8);
  SessionOptions options;
  options.threads = 1;
  options.tune = false;   // oneDNN's direct forms, in blocks: they need no memory of their own
  Session session(graph, {input.dims()}, options);
  const Array found = session.run({input})[0], expected = run_reference(graph, {input})[0];
  for (int64_t i = 0; i < expected.count(); ++i) ASSERT_NEAR(found.values<float>()[size_t(i)], expected.values<float>()[size_t(i)], 1e-3) << i;
  const auto part = int64_t(sizeof(float)) * lanes * 40 * 40;
  EXPECT_GE(session.arena_bytes(), 3 * part);
  EXPECT_LT(session.arena_bytes(), 4 * part) << "b or c has memory of its own";
}

// Maps of odd extents: parts begin anywhere, values do not; what lies in a hole must end inside of it.
TEST(Arena, HolesOfOddMapsAreNotOverrun) {
  const int64_t lanes = channel_block();
  testing::Network n;
  const ValueId x = n.conv(n.input("x", {1, 3, 13, 13}), 3, lanes, 3, 1);
  const ValueId a = n.node("Relu", {n.conv(x, lanes, lanes, 3, 1)}), e = n.node("Relu", {n.conv(a, lanes, lanes, 3, 1)});
  const ValueId b = n.node("Relu", {n.conv(e, lanes, 2 * lanes, 3, 1)}), c = n.node("Relu", {n.conv(b, 2 * lanes, 2 * lanes, 3, 1)});
  const ValueId d = n.node("Relu", {n.conv(c, 2 * lanes, 2 * lanes, 3, 1)});
  Graph graph = n.finish(n.node("MaxPool", {n.node("Concat", {a, d, e}, {{"axis", int64_t(1)}})}, {{"kernel_shape", std::vector<int64_t>{1, 1}}}));
  const Array input = testing::random_array({1, 3, 13, 13}, 8);
  for (const bool brains : {false, true}) {
    for (Value& value : graph.values)
      if (brains && value.constant && value.constant->dims.size() == 4) value.constant = std::make_shared<const Tensor>(codec_bfloat16.encode(value.constant->array(), 0, 0));
    SessionOptions options;
    options.threads = 1;
    options.tune = false;
    EXPECT_GT(testing::sqnr_db(Session(graph, {input.dims()}, options).run({input})[0], run_reference(graph, {input})[0]), brains ? 40 : 80);
  }
}

}  // namespace
}  // namespace pare
