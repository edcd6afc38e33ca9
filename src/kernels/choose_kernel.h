#pragma once
// The row of a family that runs here.
#include <span>
#include <string>

#include "base/error.h"

namespace pare {

// The best row, or the first of the instruction set that is asked for; null where none runs. A family that has no row for "avx512vnni"
// takes the one for its beginning, "avx512".
template <class Kernel>
const Kernel* find_kernel(std::span<const Kernel> kernels, const std::string& isa = {}) {
  for (const Kernel& kernel : kernels)
    if (kernel.supported() && (isa.empty() || isa.starts_with(kernel.isa))) return &kernel;
  return nullptr;
}

// The best row of so many bits.
template <class Kernel>
const Kernel* find_kernel_of(std::span<const Kernel> kernels, int bits) {
  for (const Kernel& kernel : kernels)
    if (kernel.bits == bits && kernel.supported()) return &kernel;
  return nullptr;
}

template <class Kernel>
const Kernel& choose_kernel(std::span<const Kernel> kernels, const std::string& isa = {}) {
  if (const Kernel* kernel = find_kernel(kernels, isa)) return *kernel;
  throw UsageError("kernels", "no kernel '" + isa + "' runs on this CPU", "`pare kernels` lists them");
}

}  // namespace pare
