#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>

namespace pare {

// A whole file mapped read-only. Throws Error with what the system said and what to do.
class MappedFile {
 public:
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

std::string read_text(const std::string& path);

// Writes to a temporary name beside `path`, flushes to disk and renames: readers see the old file or the new one,
// never half of it. Throws Error on a read-only or full disk, leaving nothing behind.
void write_file(const std::string& path, const std::function<void(std::ostream&)>& write);
void write_text(const std::string& path, const std::string& text);

int64_t file_size(const std::string& path);

}  // namespace pare
