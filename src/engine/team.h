#pragma once
// Threads that go through steps together.
#include <sched.h>

#include <atomic>
#include <cstdint>

namespace pare {

// Each thread takes its own share of a step, so that it finds in its cache what it wrote before, and waits for the
// others. A share that its thread does not begin, because it waits for a core, is taken by one that waits for it.
// Waiting spins: a step takes microseconds, waking a thread takes longer.
//
// A cache line that another core wrote may cost a quarter of a microsecond, and small steps take two. So a share has
// words in lines of their own: `begun` is its thread's, nobody else looks at it before the share is late; `finished` is
// written once a step.
class Team {
 public:
  static constexpr int kMost = 64;  // threads

  // The number of the first of `count` steps that follow. Called while no thread is in a step.
  uint64_t begin(uint64_t count) { return (next_ += count) - count; }

  // Returns when all shares of a step are done. Every thread calls it for one step after the other.
  template <class Share>
  void run(uint64_t step, int thread, int threads, const Share& share) {
    bool helped = false;
    for (int k = 0; k < threads; ++k) {
      const int part = (thread + k) % threads, patience = k == 0 || shares_[thread].helped ? 0 : kPatience;
      for (int spins = 0; shares_[part].finished.load(std::memory_order_acquire) < step; ++spins) {
        if (spins == patience && take(step, part)) {
          share(part);
          shares_[part].finished.store(step, std::memory_order_release);
          helped |= k > 0;
          break;
        }
        if (spins > kPatience + 2000)
          sched_yield();  // another core is taken by someone else
        else
          __builtin_ia32_pause();
      }
    }
    shares_[thread].helped = helped;
  }

 private:
  static constexpr int kPatience = 100;  // pauses: one or two microseconds

  // Whether the caller is the one that does it.
  bool take(uint64_t step, int part) {
    std::atomic<uint64_t>& begun = shares_[part].begun;
    uint64_t last = begun.load(std::memory_order_relaxed);
    return last < step &&
           begun.compare_exchange_strong(last, step, std::memory_order_acq_rel, std::memory_order_relaxed);
  }

  struct Share {
    alignas(64) std::atomic<uint64_t> begun{0};     // the last step of which it was taken
    alignas(64) std::atomic<uint64_t> finished{0};  // the last one of which it was done
    alignas(64) bool helped = false;  // its thread did other shares in its last step: it waits for none in the next
  };
  Share shares_[kMost];
  uint64_t next_ = 1;
};

}  // namespace pare
