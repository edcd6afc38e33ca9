#include "base/threads.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>

namespace pare {

int hardware_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

// OpenMP's pool, because oneDNN uses it too: two pools would fight over the same cores.
void set_threads(int n) { omp_set_num_threads(std::max(1, n)); }
int threads() { return omp_get_max_threads(); }

void run_parallel(const std::function<void(int, int)>& body) {
  if (threads() == 1) return body(0, 1);
#pragma omp parallel
  body(omp_get_thread_num(), omp_get_num_threads());
}

void parallel_for(int64_t n, const std::function<void(int64_t, int64_t)>& body) {
  if (n <= 0) return;
  run_parallel([&](int thread, int count) {
    const int64_t first = n * thread / count, last = n * (thread + 1) / count;
    if (first < last) body(first, last);
  });
}

}  // namespace pare
