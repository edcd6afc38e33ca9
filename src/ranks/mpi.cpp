// What pare needs of MPI, as a library of its own.
// Without the C++ interface that MPI 3 took away: its symbols lie in a library of their own.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/ranks.h"

namespace pare {
namespace {

// MPI counts elements in int.
constexpr size_t kMost = size_t(1) << 28;

class MpiRanks : public Ranks {
 public:
  MpiRanks() {
    // Training computes on several threads, one of which speaks.
    int level = 0;
    if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS) throw Error("mpirun", "MPI cannot be started");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &count_);
  }
  int rank() const override { return rank_; }
  int count() const override { return count_; }
  void sum(std::span<float> values) const override { sum(values.data(), values.size(), MPI_FLOAT); }
  void sum(std::span<double> values) const override { sum(values.data(), values.size(), MPI_DOUBLE); }

 protected:
  void leave(bool failed) const override {
    if (failed) MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Finalize();
  }

 private:
  // MPI does not promise that all ranks get the same bits of a sum; what the first one has is sent to all, so that they cannot drift apart.
  template <class T>
  void sum(T* values, size_t count, MPI_Datatype type) const {
    for (size_t first = 0; first < count; first += kMost) {
      const int part = int(std::min(kMost, count - first));
      MPI_Allreduce(MPI_IN_PLACE, values + first, part, type, MPI_SUM, MPI_COMM_WORLD);
      MPI_Bcast(values + first, part, type, 0, MPI_COMM_WORLD);
    }
  }
  int rank_ = 0, count_ = 1;
};

}  // namespace
}  // namespace pare

// `abi`: the caller's stamp; another one means types laid out differently.
extern "C" __attribute__((visibility("default"))) const pare::Ranks* pare_ranks(const char* abi) {
  if (std::strcmp(abi, PARE_RANKS_ABI) != 0) return nullptr;
  static const pare::MpiRanks ranks;
  return &ranks;
}
