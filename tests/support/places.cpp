#include "support/places.h"

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/files.h"

namespace pare::testing {

std::string source_dir() {
  return PARE_SOURCE_DIR;
}
std::string models_dir() {
  return PARE_MODELS_DIR;
}

TemporaryFolder::TemporaryFolder() : path_((std::filesystem::temp_directory_path() / "pare_test_XXXXXX").string()) {
  if (::mkdtemp(path_.data()) == nullptr) throw std::system_error(errno, std::generic_category(), path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::write(const std::string& name, const std::string& bytes) const {
  const std::string path = *this / name;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  write_text(path, bytes);
  return path;
}

}  // namespace pare::testing
