#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/error.h"

namespace pare {
namespace {

std::string advice(int code) {
  switch (code) {
    case ENOENT: return "check the spelling and the folder you are in";
    case EACCES: case EPERM: return "check the permissions of the file and its folder";
    case EROFS: return "the file system is read-only: choose another place";
    case ENOSPC: case EDQUOT: return "the disk is full: free some space or choose another place";
    case EISDIR: return "this is a folder: name a file";
    default: return "";
  }
}

[[noreturn]] void fail(const std::string& path, const std::string& doing, int code) {
  throw Error(path, fmt::format("cannot {}: {}", doing, std::strerror(code)), advice(code));
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail(path, "open", errno);
  struct stat info {};
  if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(file);
    throw Error(path, S_ISDIR(info.st_mode) ? "this is a folder, expected a file" : "not a regular file");
  }
  std::shared_ptr<MappedFile> result(new MappedFile);
  result->size_ = size_t(info.st_size);
  if (result->size_ > 0) {
    void* memory = mmap(nullptr, result->size_, PROT_READ, MAP_PRIVATE, file, 0);
    const int code = errno;
    ::close(file);
    if (memory == MAP_FAILED) fail(path, "map", code);
    result->data_ = static_cast<const std::byte*>(memory);
  } else {
    ::close(file);
  }
  return result;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

std::string read_text(const std::string& path) {
  auto file = MappedFile::open(path);
  return {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()};
}

void write_file(const std::string& path, const std::function<void(std::ostream&)>& write) {
  const std::string temporary = fmt::format("{}.part{}", path, getpid());
  errno = 0;
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  if (!out) fail(path, "write", errno);
  try {
    write(out);
    out.flush();
  } catch (...) {
    out.close();
    unlink(temporary.c_str());
    throw;
  }
  int code = out ? 0 : (errno ? errno : EIO);
  out.close();
  if (code == 0) {  // the data must be on disk before the name is
    const int file = ::open(temporary.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0 || fsync(file) != 0) code = errno;
    if (file >= 0) ::close(file);
  }
  if (code == 0 && rename(temporary.c_str(), path.c_str()) != 0) code = errno;
  if (code != 0) {
    unlink(temporary.c_str());
    fail(path, "write", code);
  }
}

void write_text(const std::string& path, const std::string& text) {
  write_file(path, [&](std::ostream& out) { out << text; });
}

int64_t file_size(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) fail(path, "read", errno);
  return info.st_size;
}

}  // namespace pare
