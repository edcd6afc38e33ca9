#pragma once
// The processes that work on one task together, as `mpirun -n N pare …` starts them.
#include <span>
#include <string>

namespace pare {

class Ranks {
 public:
  virtual ~Ranks() = default;
  virtual int rank() const { return 0; }
  virtual int count() const { return 1; }
  // Of every rank's values, element by element: the same bits everywhere. All ranks call it with as many values; a rank
  // that died ends the others.
  virtual void sum(std::span<float>) const {}
  virtual void sum(std::span<double>) const {}
  void meet() const;                       // returns when all have come here
  bool first() const { return rank() == 0; }  // the one that talks and writes

 protected:
  friend void leave_ranks(bool failed);
  virtual void leave(bool /*failed*/) const {}
};

// This process alone, unless a launcher of MPI started it: then what libpare_mpi.so beside the program says, loaded at the first
// call. Throws Error where it is absent.
const Ranks& ranks();
// While one of these lives, ranks() is this process alone: each works on something of its own.
class RanksApart {
 public:
  RanksApart();
  ~RanksApart();
  RanksApart(const RanksApart&) = delete;
  RanksApart& operator=(const RanksApart&) = delete;
};
// Before the process ends. `failed`: the other ranks end too, with an error.
void leave_ranks(bool failed);
std::string ranks_advice();  // the command that adds the library

}  // namespace pare
