// Memory that values share.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace pare
