#include <algorithm>
#include <mutex>

#include "engine/engine.h"

namespace pare {
namespace {
// Compiling measures candidates: two threads doing so at once would time each other.
std::mutex compiling;
}  // namespace

Session& Sessions::of(const std::vector<Array>& inputs) {
  std::vector<Dims> dims;
  for (const Array& input : inputs) dims.push_back(input.dims());
  const auto known = std::find_if(kept_.begin(), kept_.end(), [&](const auto& one) { return one.first == dims; });
  if (known != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, known);
  } else {
    if (kept_.size() == keep_) kept_.pop_back();  // first, so that at most so many are in memory
    const std::lock_guard lock(compiling);
    kept_.emplace_front(dims, Session(graph_, dims, options_));
  }
  return kept_.front().second;
}

}  // namespace pare
