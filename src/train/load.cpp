// Finds and loads the training library. libtorch takes half a second to load and 500 MB to install: only who trains pays.
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "base/library.h"
#include "train/train.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

fs::path library_path() {
  if (const char* given = std::getenv("PARE_TRAIN_LIBRARY")) return given;
  return find_library("libpare_train.so");
}

// OpenBLAS falls back to its slowest kernels on CPUs newer than itself and reads its variable only when it is loaded. A
// variable that is set stays.
void name_cpu_for_openblas() {
#if defined(__x86_64__)
  const char* core = __builtin_cpu_supports("avx512bf16") ? "Cooperlake"
                     : __builtin_cpu_supports("avx512vl") ? "SkylakeX"
                     : __builtin_cpu_supports("avx2")     ? "Haswell"
                                                          : nullptr;
  if (core != nullptr) setenv("OPENBLAS_CORETYPE", core, 0);
#endif
}

const TrainingLibrary* load() {
  const fs::path path = library_path();
  if (path.empty()) throw Error("training", "the training library libpare_train.so is not beside the program", training_advice());
  name_cpu_for_openblas();
  using Entry = const TrainingLibrary* (*)(const char*);
  const auto entry = reinterpret_cast<Entry>(load_library(path, "pare_training_library", false, training_advice()));
  const TrainingLibrary* library = entry(PARE_TRAIN_ABI);
  if (library == nullptr) throw Error(path.string(), "belongs to another build of pare", "build both anew: ./dev train");
  return library;
}

}  // namespace

bool has_training() { return !library_path().empty(); }
std::string training_advice() { return "./dev train builds it, and installs libtorch where it is missing"; }

const TrainingLibrary& training_library() {
  static std::mutex mutex;
  static const TrainingLibrary* library = nullptr;
  const std::lock_guard lock(mutex);
  if (library == nullptr) library = load();
  return *library;
}

}  // namespace pare
