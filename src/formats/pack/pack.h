#pragma once
#include <memory>
#include <span>
#include <string>

#include "base/files.h"
#include "formats/format.h"
#include "graph/graph.h"

namespace pare {

// A pack file: the whole graph, and weights coded so that they take few bytes. Reading gives the graph that was written,
// tensor for tensor, whatever coding was chosen.
//
//   magic    8 bytes  89 70 61 72 65 0d 0a 1a (a byte no text has, "pare", line ends that transfers in text mode change)
//   version  u32      1
//   unit     u32      blocks start at multiples of it: 1, or 64 in a mapped file
//   size     u64      of the whole file
//   coded    u64      bytes of the graph section as stored: a zstd frame, or the section itself where `raw` is the same
//   raw      u64      bytes of the graph section
//   sum      u64      checksum of the four fields before it and of the graph section as stored
//   graph section    see pack_graph.h: names, nodes, and what tensors there are
//   blocks           the weights, in the order of the section's table, see coding.h; zero bytes to the next unit, and to
//                    64 bytes behind the last one where the unit is 64
//
// All numbers little endian. Checksums are FNV-1a of 64 bits, folded to 32 for blocks; plain blocks of a mapped file
// are not checked on reading, which would load every page.
constexpr std::string_view kPackMagic("\x89pare\r\n\x1a", 8);
constexpr uint32_t kPackVersion = 1, kPackMapped = 64;
constexpr size_t kPackHead = 48;

// `file`: keeps `bytes` alive, so that plain weights stay in it; null: they are copied.
Graph read_pack_bytes(std::span<const std::byte> bytes, const std::string& where, std::shared_ptr<const MappedFile> file = nullptr);
Graph read_pack(const std::string& path);
void write_pack(const Graph& graph, const std::string& path, const WriteOptions& options);

uint64_t pack_checksum(std::span<const std::byte> bytes, uint64_t start = 14695981039346656037u);

}  // namespace pare
