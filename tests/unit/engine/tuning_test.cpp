// What was measured while others worked is measured again when the machine is calm.
#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/plan.h"
#include "support/places.h"

namespace pare {
namespace {

int alone() { return 1; }
int crowded() { return 3; }
int untold() { return 0; }

class Tuning : public ::testing::Test {
 protected:
  Tuning() { setenv("PARE_CACHE", folder_.path().c_str(), 1); }
  ~Tuning() override { unsetenv("PARE_CACHE"); }
  std::optional<int> remembered(int (*now)(), const std::string& key = "layer x\ty t2") const { return TuningCache(true, 2, now).find(key); }
  static void measure(int (*now)(), int choice, const std::string& key = "layer x\ty t2") { TuningCache(true, 2, now).store(key, choice); }
  testing::TemporaryFolder folder_;
};

TEST_F(Tuning, RemembersWhatACalmMachineSaid) {
  EXPECT_FALSE(remembered(alone));
  measure(alone, 4);
  measure(untold, 5, "other");
  for (auto now : {alone, crowded, untold}) {
    EXPECT_EQ(remembered(now), 4);
    EXPECT_EQ(remembered(now, "other"), 5);
  }
}

TEST_F(Tuning, AGuessServesUntilTheMachineIsCalm) {
  measure(crowded, 7);
  EXPECT_EQ(remembered(crowded), 7);
  EXPECT_FALSE(remembered(alone));
  measure(alone, 2);
  EXPECT_EQ(remembered(crowded), 2);
  EXPECT_EQ(remembered(alone), 2);
}

TEST_F(Tuning, WhatOthersMeasuredMeanwhileStays) {
  measure(crowded, 7);
  TuningCache early(true, 2, crowded);  // has read the guess
  measure(alone, 2);
  early.store("other", 1);
  early.save();
  EXPECT_EQ(remembered(alone), 2);
}

TEST_F(Tuning, APlanDoesNotDoubtItself) {
  TuningCache cache(true, 1, crowded);
  cache.store("a", 3);
  EXPECT_EQ(cache.find("a"), 3);
}

TEST_F(Tuning, TheSystemSaysHowManyThreadsRun) { EXPECT_GE(runnable_threads(), 1); }

}  // namespace
}  // namespace pare
