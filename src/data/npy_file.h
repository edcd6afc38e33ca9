#pragma once
#include <string>

#include "base/array.h"
#include "data/bytes.h"

namespace pare {

// An .npy file taken apart: its bytes stay where they are (mapped, or decompressed from an .npz).
struct NpyFile {
  Type type = Type::none;
  Dims dims;
  Bytes data;  // exactly count_of(dims) elements, row major, little endian; maybe unaligned

  // Rows [first, first + count) of the first axis, copied: aligned, and every bool 0 or 1.
  Array rows(int64_t first, int64_t count) const;
  Array all() const;
};

NpyFile parse_npy(const Bytes& file, const std::string& where);
NpyFile open_npy(const std::string& path);  // "x.npy", "f.npz:member", or "f.npz" of one member
// "f.npz:member" → {"f.npz", "member"}; anything else → {path, ""}.
std::pair<std::string, std::string> split_npz(const std::string& path);

}  // namespace pare
