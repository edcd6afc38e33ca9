// Finds and loads the library that speaks MPI: who works on one machine needs none.
#include "base/ranks.h"

#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <mutex>

#include "base/error.h"
#include "base/library.h"

namespace pare {
namespace {

// How many processes a launcher says it started: Open MPI; MPICH, Intel MPI and Slurm's pmi2; Slurm's PMIx.
int launched() {
  if (std::getenv("PMIX_RANK") != nullptr && std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr)
    if (const char* size = std::getenv("SLURM_NTASKS")) return std::atoi(size);
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})
    if (const char* size = std::getenv(name)) return std::atoi(size);
  return 1;
}

const Ranks* load() {
  const std::filesystem::path path = find_library("libpare_mpi.so");
  if (path.empty()) throw Error("mpirun", "several processes were started, but libpare_mpi.so is not beside the program", ranks_advice());
  using Entry = const Ranks* (*)(const char*);
  // Global: MPI's own plug-ins look for its symbols there.
  const Ranks* all = reinterpret_cast<Entry>(load_library(path, "pare_ranks", true, ranks_advice()))(PARE_RANKS_ABI);
  if (all == nullptr) throw Error(path.string(), "belongs to another build of pare", ranks_advice());
  // A launcher of another MPI starts processes that do not find each other, and each would write the same files.
  if (all->count() != launched())
    throw Error("mpirun", fmt::format("{} processes were started, libpare_mpi.so sees {}", launched(), all->count()),
                "start them with the mpirun of the MPI that ./dev mpi built it with");
  return all;
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
  static const bool several = launched() > 1;
  if (!several || apart > 0) return alone;
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
