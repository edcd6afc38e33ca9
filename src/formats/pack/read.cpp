// From a pack file to the graph: the head, the graph section, then each block's arrays.
#include <fmt/format.h>

#include <cstring>

#include "formats/pack/bytes.h"
#include "formats/pack/coding.h"
#include "formats/pack/pack.h"
#include "formats/pack/pack_graph.h"

namespace pare {
namespace {

const char* const kCopyAgain = "the file is damaged: copy it again, or make it again with pare compress";

struct Head {
  uint64_t unit, coded, raw;
};

Head read_head(std::span<const std::byte> bytes, const std::string& where) {
  ByteReader in(bytes, where);
  if (in.text(std::min<uint64_t>(kPackMagic.size(), in.left())) != kPackMagic)
    throw Error(where, "is no pack file: its first bytes are others", "name a file that pare compress -o NAME.pare wrote");
  const uint32_t version = in.fixed32();
  if (version != kPackVersion)
    throw Error(where, fmt::format("is a pack file of version {}, this version of pare reads version {}", version, kPackVersion),
                "use the version of pare that wrote the file, or make it again");
  Head head{};
  head.unit = in.fixed32();
  const uint64_t size = in.fixed64();
  head.coded = in.fixed64();
  head.raw = in.fixed64();
  const uint64_t sum = in.fixed64();
  if (size != bytes.size()) throw Error(where, fmt::format("has {} bytes, {} were written", bytes.size(), size), kCopyAgain);
  if (head.unit != 1 && head.unit != kPackMapped) in.fail(fmt::format("has blocks at multiples of {} bytes, expected 1 or {}", head.unit, kPackMapped));
  const auto section = in.take(head.coded);
  if (pack_checksum(section, pack_checksum(bytes.subspan(kPackMagic.size(), kPackHead - 8 - kPackMagic.size()))) != sum)
    throw Error(where, "its graph is not what was written: the checksum differs", kCopyAgain);
  if (head.raw > kAlwaysAllowed + kMostRatio * head.coded) in.fail(fmt::format("says that {} bytes of graph became {}", head.raw, head.coded));
  return head;
}

// String elements lie one after the other, each behind its length: exactly `count` of them.
void check_strings(std::span<const std::byte> bytes, int64_t count, const std::string& where) {
  ByteReader in(bytes, where);
  for (int64_t i = 0; i < count; ++i) in.take(in.fixed32());
  if (in.left() > 0) in.fail("has more bytes of text than its texts");
}

Array copied(const PackArray& array, std::span<const std::byte> bytes, const std::string& where) {
  if (array.type == Type::string) {
    check_strings(bytes, count_of(array.dims), where);
    const auto memory = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
    return {Type::string, array.dims, memory, memory->data(), memory->size()};
  }
  Array copy(array.type, array.dims);
  std::byte* out = copy.mutable_bytes();
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
  if (array.type == Type::boolean)  // another byte than 0 and 1 would be undefined behaviour where it is read as bool
    for (size_t i = 0; i < bytes.size(); ++i) out[i] = std::byte(out[i] != std::byte(0));
  return copy;
}

class BlockReader {
 public:
  BlockReader(std::span<const std::byte> file_bytes, std::shared_ptr<const MappedFile> file, const Head& head, const std::string& where)
      : bytes_(file_bytes), file_(std::move(file)), unit_(head.unit), at_(kPackHead + head.coded), where_(where) {}

  // Extents are checked against what the file can hold before anything is allocated.
  void check_total(const std::vector<PackArray>& arrays) const {
    uint64_t total = 0;
    for (const PackArray& array : arrays)
      if (__builtin_add_overflow(total, array.bytes, &total) || total > kAlwaysAllowed + kMostRatio * bytes_.size())
        throw Error(where_, fmt::format("says that its {} bytes hold more than {} bytes of weights", bytes_.size(), kAlwaysAllowed + kMostRatio * bytes_.size()), kCopyAgain);
  }

  void read(const PackBlock& block, size_t index, const std::vector<PackArray>& arrays, std::vector<Array>& out) {
    const std::string where = fmt::format("{}: block {} of weights", where_, index);
    at_ = (at_ + unit_ - 1) / unit_ * unit_;
    if (at_ > bytes_.size() || block.coded_bytes > bytes_.size() - at_)
      throw Error(where, fmt::format("ends at byte {}, the file has {}", at_ + block.coded_bytes, bytes_.size()), kCopyAgain);
    const auto stored = bytes_.subspan(at_, size_t(block.coded_bytes));
    at_ += block.coded_bytes;
    uint64_t size = 0;
    for (size_t i : block.arrays) size += arrays[i].bytes;
    if (size % block.width != 0 || (block.plain && size != stored.size()))
      throw Error(where, fmt::format("has {} bytes in elements of {}, its tensors need {}", stored.size(), block.width, size), kCopyAgain);
    if (block.plain && unit_ == kPackMapped && view(stored, block, arrays, out)) return;
    const uint64_t sum = pack_checksum(stored);
    if (uint32_t(sum >> 32 ^ sum) != block.checksum) throw Error(where, "is not what was written: the checksum differs", kCopyAgain);
    std::vector<std::byte> decoded(block.plain ? 0 : size);
    if (!block.plain) decode_block(stored, block.width, decoded, where);
    std::span<const std::byte> left = block.plain ? stored : std::span<const std::byte>(decoded);
    for (size_t i : block.arrays) {
      out[i] = copied(arrays[i], left.first(arrays[i].bytes), where);
      left = left.subspan(arrays[i].bytes);
    }
  }

 private:
  // Weights that stay in the file: kernels read up to 64 bytes behind an array, which the writer leaves there.
  bool view(std::span<const std::byte> stored, const PackBlock& block, const std::vector<PackArray>& arrays, std::vector<Array>& out) const {
    constexpr size_t kSlack = 64;
    if (file_ == nullptr || block.arrays.size() != 1 || bytes_.size() - at_ < kSlack) return false;
    const PackArray& array = arrays[block.arrays[0]];
    if (array.type == Type::boolean || array.type == Type::string) return false;
    out[block.arrays[0]] = Array(array.type, array.dims, file_, stored.data(), stored.size());
    return true;
  }

  std::span<const std::byte> bytes_;
  std::shared_ptr<const MappedFile> file_;
  uint64_t unit_, at_;
  const std::string& where_;
};

}  // namespace

uint64_t pack_checksum(std::span<const std::byte> bytes, uint64_t start) {
  for (std::byte byte : bytes) start = (start ^ uint64_t(byte)) * 1099511628211u;
  return start;
}

Graph read_pack_bytes(std::span<const std::byte> bytes, const std::string& where, std::shared_ptr<const MappedFile> file) {
  const Head head = read_head(bytes, where);
  const auto stored = bytes.subspan(kPackHead, size_t(head.coded));
  std::vector<std::byte> raw(head.raw == head.coded ? 0 : size_t(head.raw));
  if (head.raw != head.coded) zstd_decompress(stored, raw, where);
  PackGraphReader reader(head.raw == head.coded ? stored : std::span<const std::byte>(raw), where + ": the graph");
  BlockReader blocks(bytes, std::move(file), head, where);
  blocks.check_total(reader.arrays());
  std::vector<Array> arrays(reader.arrays().size());
  for (size_t i = 0; i < reader.blocks().size(); ++i) blocks.read(reader.blocks()[i], i, reader.arrays(), arrays);
  return reader.read(arrays);
}

Graph read_pack(const std::string& path) {
  const auto file = MappedFile::open(path);
  return read_pack_bytes(file->bytes(), path, file);
}

}  // namespace pare
