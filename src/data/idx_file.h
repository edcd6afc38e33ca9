#pragma once
#include <string>

#include "base/array.h"
#include "data/bytes.h"

namespace pare {

// An IDX file of unsigned bytes: mapped, or decompressed where it is gzip.
struct IdxFile {
  Dims dims;
  Bytes data;  // exactly count_of(dims) bytes
};
IdxFile parse_idx(const Bytes& file, const std::string& where);

}  // namespace pare
