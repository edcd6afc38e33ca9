#pragma once
#include <cstdint>
#include <functional>

namespace pare {

int hardware_threads();   // cores this process may use
void set_threads(int n);  // for all later parallel work; 1 … hardware_threads()
int threads();

// body(thread, threads) once on each of `threads()` threads of one pool, then a barrier.
void run_parallel(const std::function<void(int, int)>& body);
// Splits [0, n) into contiguous ranges; body(first, last).
void parallel_for(int64_t n, const std::function<void(int64_t, int64_t)>& body);

}  // namespace pare
