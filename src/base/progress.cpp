#include "base/progress.h"

#include <atomic>

namespace pare {
namespace {
std::atomic<bool> stop{false};
}

bool interrupted() { return stop.load(std::memory_order_relaxed); }
void set_interrupted() { stop.store(true, std::memory_order_relaxed); }

}  // namespace pare
