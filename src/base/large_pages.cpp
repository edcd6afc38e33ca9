#include "base/large_pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

namespace pare {
namespace {

constexpr size_t kPage = size_t(2) << 20, kRegion = size_t(32) << 20;

// Mapped memory that begins at a page boundary.
class Region {
 public:
  explicit Region(size_t bytes) : size_(bytes + kPage) {
    base_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base_ == MAP_FAILED) throw std::bad_alloc();
    const auto address = reinterpret_cast<uintptr_t>(base_);
    first_ = reinterpret_cast<std::byte*>((address + kPage - 1) / kPage * kPage);
    madvise(first_, bytes, MADV_HUGEPAGE);  // a wish: without it all works, slower
  }
  ~Region() { munmap(base_, size_); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  std::byte* first() const { return first_; }

 private:
  void* base_;
  size_t size_;
  std::byte* first_;
};

}  // namespace

std::shared_ptr<std::byte> large_page_memory(size_t bytes) {
  struct Open {
    std::weak_ptr<Region> region;
    size_t used, size;
  };
  static std::mutex guard;
  static std::vector<Open> regions;
  bytes = (bytes + 63) / 64 * 64;
  const std::lock_guard lock(guard);
  std::erase_if(regions, [](const Open& open) { return open.region.expired(); });
  // The first with room: small pieces fill what large ones leave at the ends.
  for (Open& open : regions) {
    const std::shared_ptr<Region> region = open.size - open.used < bytes ? nullptr : open.region.lock();
    if (region == nullptr) continue;
    std::byte* piece = region->first() + open.used;
    open.used += bytes;
    return {region, piece};
  }
  const size_t size = std::max(kRegion, (bytes + kPage - 1) / kPage * kPage);
  const auto region = std::make_shared<Region>(size);
  regions.push_back({region, bytes, size});
  return {region, region->first()};
}

}  // namespace pare
