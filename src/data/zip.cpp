#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "data/bytes.h"

// The zip archive (PKWARE APPNOTE 6.3): members, then a central directory of 46-byte records with names, then an
// end record of 22 bytes (and a 64-bit one before it where 32 bits do not reach). Numbers are little endian.
namespace pare {
namespace {

constexpr size_t end_bytes = 22, end64_bytes = 56, locator_bytes = 20, record_bytes = 46, local_bytes = 30;
constexpr const char* again = "save it again with numpy.savez";

// Reads little-endian numbers; every read is checked against the bytes there are.
struct View {
  std::span<const std::byte> bytes;
  const std::string& where;

  void need(uint64_t offset, uint64_t size) const {
    if (offset > bytes.size() || size > bytes.size() - offset)
      throw Error(fmt::format("{} byte {}", where, offset),
                  fmt::format("the zip archive points {} bytes outside the file's {}", size, bytes.size()), again);
  }
  template <class T>
  T at(uint64_t offset) const {
    need(offset, sizeof(T));
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
  }
};

struct Directory {
  uint64_t offset = 0, size = 0, count = 0;
};

uint64_t find_end(const View& zip) {
  if (zip.bytes.size() >= end_bytes) {
    const size_t last = zip.bytes.size() - end_bytes, first = last > 65535 ? last - 65535 : 0;  // a comment may follow
    for (size_t offset = last + 1; offset-- > first;)
      if (zip.at<uint32_t>(offset) == 0x06054b50) return offset;
  }
  throw Error(zip.where, "not a zip archive: it has no end record", "an .npz is written by numpy.savez");
}

Directory find_directory(const View& zip) {
  const uint64_t end = find_end(zip);
  Directory directory{zip.at<uint32_t>(end + 16), zip.at<uint32_t>(end + 12), zip.at<uint16_t>(end + 10)};
  if (end >= locator_bytes && zip.at<uint32_t>(end - locator_bytes) == 0x07064b50) {
    const auto end64 = zip.at<uint64_t>(end - locator_bytes + 8);
    zip.need(end64, end64_bytes);
    directory = {zip.at<uint64_t>(end64 + 48), zip.at<uint64_t>(end64 + 40), zip.at<uint64_t>(end64 + 32)};
  }
  zip.need(directory.offset, directory.size);
  return directory;
}

// Extra field 1 holds the 64-bit values of those of size, compressed and offset that read 0xffffffff, in that order.
void read_zip64(const View& zip, uint64_t extra, uint64_t extra_size, ZipMember& member) {
  for (uint64_t at = extra; at + 4 <= extra + extra_size;) {
    const auto id = zip.at<uint16_t>(at);
    const uint64_t size = zip.at<uint16_t>(at + 2), last = std::min(at + 4 + size, extra + extra_size);
    uint64_t value = at + 4;
    if (id == 1)
      for (uint64_t* field : {&member.size, &member.compressed, &member.local_offset})
        if (*field == 0xffffffff && value + 8 <= last) {
          *field = zip.at<uint64_t>(value);
          value += 8;
        }
    at += 4 + size;
  }
}

}  // namespace

std::vector<ZipMember> list_zip(const Bytes& file, const std::string& where) {
  const View zip{file.view, where};
  const Directory directory = find_directory(zip);
  std::vector<ZipMember> members;
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.count; ++i) {
    zip.need(at, record_bytes);
    if (zip.at<uint32_t>(at) != 0x02014b50)
      throw Error(fmt::format("{} byte {}", where, at), "expected a record of the zip archive's directory", again);
    ZipMember member;
    member.flags = zip.at<uint16_t>(at + 8);
    member.method = zip.at<uint16_t>(at + 10);
    member.crc = zip.at<uint32_t>(at + 16);
    member.compressed = zip.at<uint32_t>(at + 20);
    member.size = zip.at<uint32_t>(at + 24);
    member.local_offset = zip.at<uint32_t>(at + 42);
    const uint64_t name = zip.at<uint16_t>(at + 28), extra = zip.at<uint16_t>(at + 30),
                   comment = zip.at<uint16_t>(at + 32);
    zip.need(at + record_bytes, name + extra + comment);
    member.name.assign(reinterpret_cast<const char*>(file.view.data() + at + record_bytes), name);
    read_zip64(zip, at + record_bytes + name, extra, member);
    members.push_back(std::move(member));
    at += record_bytes + name + extra + comment;
  }
  return members;
}

Bytes read_zip_member(const Bytes& file, const ZipMember& member, const std::string& where) {
  const View zip{file.view, where};
  zip.need(member.local_offset, local_bytes);
  if (zip.at<uint32_t>(member.local_offset) != 0x04034b50)
    throw Error(fmt::format("{} byte {}", where, member.local_offset), "expected the header of a zip member", again);
  if (member.flags & 1) throw Error(where, "the zip member is encrypted", again);
  const uint64_t data = member.local_offset + local_bytes + zip.at<uint16_t>(member.local_offset + 26) +
                        zip.at<uint16_t>(member.local_offset + 28);
  zip.need(data, member.compressed);
  const auto stored = file.view.subspan(data, member.compressed);
  Bytes result;
  if (member.method == 0) {
    if (member.size != member.compressed) throw Error(where, "a stored zip member whose two sizes differ", again);
    result = {file.owner, stored};
  } else if (member.method == 8) {
    if (!can_inflate_to(member.compressed, member.size))
      throw Error(where, fmt::format("{} compressed bytes cannot hold the {} promised", member.compressed, member.size),
                  again);
    auto memory = std::make_shared<std::vector<std::byte>>(member.size);
    Inflater inflater(stored, Inflater::Wrapper::none, where);
    std::byte more{};
    if (inflater.read(*memory) != member.size || inflater.read({&more, 1}) != 0)
      throw Error(where, fmt::format("the zip member does not hold the {} bytes promised", member.size), again);
    result = {memory, *memory};
  } else {
    throw Error(where, fmt::format("zip method {} is not read, expected 0 (stored) or 8 (deflate)", member.method),
                again);
  }
  const auto* bytes = reinterpret_cast<const Bytef*>(result.view.data());
  if (crc32_z(crc32_z(0, nullptr, 0), bytes, result.view.size()) != member.crc)
    throw Error(where, "the zip member's checksum does not fit its bytes: the file is damaged", "fetch the file again");
  return result;
}

}  // namespace pare
