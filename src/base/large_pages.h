#pragma once
#include <cstddef>
#include <memory>

namespace pare {

// Zeroed memory, 64-byte aligned, on pages of 2 MiB where the system gives them: what streams from memory comes half as
// fast again, since every page boundary stops the prefetcher. Pieces share regions; a region is given back when its last
// piece is. For large data that lives long.
std::shared_ptr<std::byte> large_page_memory(size_t bytes);

}  // namespace pare
