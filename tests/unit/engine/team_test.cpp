#include "engine/team.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

namespace pare {
namespace {

// More threads than cores, so that some wait for one.
TEST(Team, SharesRunOnceAndStepsOneAfterTheOther) {
  constexpr int kThreads = 4, kSteps = 300;
  Team team;
  for (int run = 0; run < 2; ++run) {  // numbers of steps go on
    std::vector<std::array<std::atomic<int>, kThreads>> counts(kSteps);
    std::atomic<int> early{0};
    const uint64_t first = team.begin(kSteps);
    const auto work = [&](int thread) {
      for (size_t s = 0; s < kSteps; ++s)
        team.run(first + s, thread, kThreads, [&](int part) {
          for (int p = 0; s > 0 && p < kThreads; ++p) early += counts[s - 1][size_t(p)] != 1;
          ++counts[s][size_t(part)];
        });
    };
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) threads.emplace_back(work, thread);
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(early, 0);
    for (const auto& step : counts)
      for (const auto& count : step) EXPECT_EQ(count, 1);
  }
}

TEST(Team, AThreadThatDoesNotComeIsNotWaitedFor) {
  Team team;
  std::vector<int> order;
  const uint64_t first = team.begin(2);
  const auto work = [&](int thread, int base) {
    for (uint64_t s = 0; s < 2; ++s)
      team.run(first + s, thread, 2, [&](int part) { order.push_back(base + int(s) * 10 + part); });
  };
  work(0, 0);
  work(1, 100);  // finds nothing to do
  EXPECT_EQ(order, (std::vector<int>{0, 1, 10, 11}));
}

}  // namespace
}  // namespace pare
