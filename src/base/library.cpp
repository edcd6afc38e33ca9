#include "base/library.h"

#include <dlfcn.h>

#include "base/error.h"

namespace pare {

namespace fs = std::filesystem;

fs::path find_library(const std::string& name) {
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  for (const char* place : {"", "../lib", ".."}) {
    const fs::path path = program.parent_path() / place / name;
    if (fs::exists(path, ignored)) return path.lexically_normal();
  }
  return {};
}

void* load_library(const fs::path& path, const char* entry, bool global, const std::string& advice) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL));
  if (handle == nullptr) throw Error(path.string(), std::string("cannot be loaded: ") + dlerror(), advice);
  void* found = dlsym(handle, entry);
  if (found == nullptr) throw Error(path.string(), "belongs to another build of pare", advice);
  return found;
}

}  // namespace pare
