// From the graph to a pack file: weights are coded block by block, then the graph section can say how large they became.
#include <algorithm>

#include "base/files.h"
#include "formats/pack/bytes.h"
#include "formats/pack/coding.h"
#include "formats/pack/pack.h"
#include "formats/pack/pack_graph.h"

namespace pare {
namespace {

std::span<const std::byte> bytes_of(const Array& array) { return {array.bytes(), array.size_bytes()}; }

// A block's bytes as the file has them; those of one plain array are not copied.
struct StoredBlock {
  std::string own;
  std::span<const std::byte> bytes;
};

StoredBlock store(PackBlock& block, const std::vector<Array>& arrays, bool mapped) {
  StoredBlock stored;
  std::string joined;
  std::span<const std::byte> bytes = bytes_of(arrays[block.arrays[0]]);
  if (block.arrays.size() > 1) {
    for (size_t i : block.arrays) joined.append(reinterpret_cast<const char*>(arrays[i].bytes()), arrays[i].size_bytes());
    bytes = std::as_bytes(std::span(joined));
  }
  const bool keep = mapped && block.arrays.size() == 1;
  if (!keep) stored.own = encode_block(bytes, block.width);
  block.plain = keep || stored.own.size() >= bytes.size() || bytes.size() > kMostRatio * stored.own.size();
  if (block.plain) stored.own = std::move(joined);
  stored.bytes = block.plain && stored.own.empty() ? bytes : std::as_bytes(std::span(stored.own));
  block.coded_bytes = stored.bytes.size();
  const uint64_t sum = pack_checksum(stored.bytes);
  block.checksum = uint32_t(sum >> 32 ^ sum);
  return stored;
}

void pad(std::ostream& out, uint64_t& at, uint64_t to) {
  for (; at < to; ++at) out.put(0);
}

}  // namespace

void write_pack(const Graph& graph, const std::string& path, const WriteOptions& options) {
  verify(graph);
  PackedGraph packed = pack_graph(graph);
  std::vector<StoredBlock> blocks(packed.blocks.size());
#pragma omp parallel for schedule(dynamic)
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = store(packed.blocks[i], packed.arrays, options.mapped);
  for (StoredBlock& block : blocks)  // a short text moves with its object
    if (!block.own.empty()) block.bytes = std::as_bytes(std::span(block.own));
  const std::string raw = graph_section(packed);
  std::string section = zstd_compress(raw);
  if (section.size() >= raw.size() || raw.size() > kMostRatio * section.size()) section = raw;
  const uint64_t unit = options.mapped ? kPackMapped : 1;
  const auto start_of = [&](uint64_t at) { return (at + unit - 1) / unit * unit; };
  uint64_t size = kPackHead + section.size();
  for (const StoredBlock& block : blocks) size = start_of(size) + block.bytes.size();
  if (options.mapped) size = start_of(size) + kPackMapped;  // kernels read behind the last array
  ByteWriter fields;
  fields.fixed32(kPackVersion);
  fields.fixed32(uint32_t(unit));
  fields.fixed64(size);
  fields.fixed64(section.size());
  fields.fixed64(raw.size());
  const uint64_t sum = pack_checksum(std::as_bytes(std::span(section)), pack_checksum(std::as_bytes(std::span(fields.bytes()))));
  fields.fixed64(sum);
  write_file(path, [&](std::ostream& out) {
    out << kPackMagic << fields.bytes() << section;
    uint64_t at = kPackHead + section.size();
    for (const StoredBlock& block : blocks) {
      pad(out, at, start_of(at));
      out.write(reinterpret_cast<const char*>(block.bytes.data()), std::streamsize(block.bytes.size()));
      at += block.bytes.size();
    }
    pad(out, at, size);
  });
}

}  // namespace pare
