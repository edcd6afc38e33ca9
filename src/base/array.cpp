#include "base/array.h"

#include <fmt/format.h>

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace pare {
namespace {

size_t bytes_of(Type type, int64_t count) { return (size_t(count) * size_t(type_bits(type)) + 7) / 8; }

std::shared_ptr<std::byte> allocate(size_t size) {
  const size_t rounded = (size + 63) / 64 * 64 + 64;  // slack, so that vector loads may run past the end
  auto* memory = static_cast<std::byte*>(::operator new(rounded, std::align_val_t(64), std::nothrow));
  if (memory == nullptr) throw Error("memory", fmt::format("there is none for a tensor of {} bytes", size), "use a smaller batch or a machine with more memory");
  std::memset(memory, 0, rounded);
  return {memory, [](std::byte* p) { ::operator delete(p, std::align_val_t(64)); }};
}

// Memory of its own pages, which go back to the system when it is freed. Copies of weights live until they are packed; between what
// is kept they would leave holes in the heap as large as all of it.
std::shared_ptr<std::byte> allocate_pages(size_t size) {
  const size_t bytes = size + 64;  // slack as above; zeroed by the system
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return allocate(size);  // says what is missing
  return {static_cast<std::byte*>(memory), [bytes](std::byte* p) { munmap(p, bytes); }};
}

constexpr size_t kPagesFrom = 256 << 10;

}  // namespace

int64_t count_of(const Dims& dims, const std::string& where) {
  int64_t count = 1;
  for (int64_t extent : dims) {
    if (extent < 0) throw Error(where, fmt::format("extent {} is negative", extent));
    if (__builtin_mul_overflow(count, extent, &count) || count > (int64_t(1) << 46))
      throw Error(where, "the product of the extents " + dims_text(dims) + " is absurdly large");
  }
  return count;
}

std::string dims_text(const Dims& dims) {
  if (dims.empty()) return "scalar";
  std::string text;
  for (int64_t extent : dims) text += (text.empty() ? "" : "x") + (extent < 0 ? "?" : std::to_string(extent));
  return text;
}

Array::Array(Type type, Dims dims) : type_(type), dims_(std::move(dims)) {
  count_ = count_of(dims_);
  size_ = type == Type::string ? size_t(count_) * 4 : bytes_of(type, count_);
  auto memory = allocate(size_);
  bytes_ = memory.get();
  owner_ = std::move(memory);
  mutable_ = true;
}

Array::Array(Type type, Dims dims, std::shared_ptr<const void> owner, const std::byte* bytes, size_t size)
    : type_(type), dims_(std::move(dims)), size_(size), owner_(std::move(owner)), bytes_(bytes) {
  count_ = count_of(dims_);
  if (type != Type::string) PARE_CHECK(size == bytes_of(type, count_));
}

Array Array::in_file(Type type, Dims dims, std::shared_ptr<const void> file, const std::byte* bytes, size_t size) {
  Array array(type, std::move(dims), std::move(file), bytes, size);
  array.in_file_ = true;
  return array;
}

Array Array::aligned() const {
  if (!in_file_) return *this;
  Array copy = *this;
  copy.mutable_bytes();
  give_back(0, size_);
  return copy;
}

void Array::give_back(size_t from, size_t count) const {
  if (!in_file_) return;
  // Whole pages of a private mapping that nobody wrote to: dropping them loses nothing.
  constexpr uintptr_t kPage = 4096;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(bytes_) + from;
  const uintptr_t first = (begin + kPage - 1) / kPage * kPage, end = (begin + count) / kPage * kPage;
  if (end > first) madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

std::byte* Array::mutable_bytes() {
  if (!mutable_ || owner_.use_count() != 1) {
    auto memory = in_file_ && size_ >= kPagesFrom ? allocate_pages(size_) : allocate(size_);
    if (size_ > 0) std::memcpy(memory.get(), bytes_, size_);
    bytes_ = memory.get();
    owner_ = std::move(memory);
    mutable_ = true;
    in_file_ = false;
  }
  return const_cast<std::byte*>(bytes_);
}

Array Array::reshaped(Dims dims) const {
  Array result = *this;
  PARE_CHECK(count_of(dims) == count_);
  result.dims_ = std::move(dims);
  return result;
}

Array Array::with_rows(std::span<const int64_t> from) const {
  PARE_CHECK(!from.empty() && size_ % from.size() == 0);
  Array moved(type_, dims_);
  std::byte* to = moved.mutable_bytes();
  const size_t row = size_ / from.size();
  for (size_t i = 0; i < from.size(); ++i) std::memcpy(to + i * row, bytes_ + size_t(from[i]) * row, row);
  return moved;
}

bool Array::same_as(const Array& other) const {
  return type_ == other.type_ && dims_ == other.dims_ && size_ == other.size_ &&
         (size_ == 0 || std::memcmp(bytes_, other.bytes_, size_) == 0);
}

}  // namespace pare
