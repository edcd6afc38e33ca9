// Finds and loads the library that speaks MPI: who works on one machine needs none.
#include "base/ranks.h"

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "base/error.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

// What launchers tell the processes they start: Open MPI; MPICH, Intel MPI and Slurm's pmi2.
bool launched_by_mpi() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})
    if (const char* size = std::getenv(name)) return std::atoi(size) > 1;
  return false;
}

const Ranks* load() {
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  fs::path path;
  for (const char* place : {"", "../lib", ".."}) {
    path = program.parent_path() / place / "libpare_mpi.so";
    if (fs::exists(path, ignored)) break;
    path.clear();
  }
  if (path.empty()) throw Error("mpirun", "several processes were started, but libpare_mpi.so is not beside the program", ranks_advice());
  // Global: MPI's own plug-ins look for its symbols there.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) throw Error(path.string(), std::string("cannot be loaded: ") + dlerror(), ranks_advice());
  using Entry = const Ranks* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(handle, "pare_ranks"));
  if (entry == nullptr) throw Error(path.string(), "belongs to another build of pare", ranks_advice());
  return entry();
}

std::atomic<const Ranks*> together = nullptr;
std::atomic<int> apart = 0;

}  // namespace

void Ranks::meet() const {
  double nothing = 0;
  sum(std::span(&nothing, 1));
}

const Ranks& ranks() {
  static const Ranks alone;
  static std::mutex mutex;
  if (!launched_by_mpi() || apart > 0) return alone;
  const std::lock_guard lock(mutex);
  if (together == nullptr) together = load();
  return *together;
}

RanksApart::RanksApart() { ++apart; }
RanksApart::~RanksApart() { --apart; }

void leave_ranks(bool failed) {
  if (const Ranks* all = together) all->leave(failed);
}

std::string ranks_advice() { return "./dev mpi builds it, and installs Open MPI where it is missing"; }

}  // namespace pare
