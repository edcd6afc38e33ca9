#include "base/progress.h"

#include <atomic>

namespace pare {
namespace {
std::atomic<int> stops{0};
}

bool interrupted() { return interruptions() > 0; }
int interruptions() { return stops.load(std::memory_order_relaxed); }
void set_interrupted() { stops.fetch_add(1, std::memory_order_relaxed); }

}  // namespace pare
