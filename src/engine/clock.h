#pragma once
#include <chrono>

namespace pare {

// Microseconds of a clock that only goes forward; differences mean something.
inline double now_us() { return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace pare
