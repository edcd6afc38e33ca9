#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace pare {

// Bytes and what keeps them alive: a mapped file, or memory they were decompressed to.
struct Bytes {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> view;
};

Bytes map_bytes(const std::string& path);

// A deflate stream can grow by at most 1032 (RFC 1951: 258 bytes from 2 bits). A size beyond that is a lie told before
// anything was allocated.
inline bool can_inflate_to(size_t compressed, size_t size) {
  return size / 1032 <= compressed;
}

// Decompresses piece by piece into memory the caller owns; never more than it asks for.
class Inflater {
 public:
  enum class Wrapper { gzip, none };
  Inflater(std::span<const std::byte> input, Wrapper wrapper, std::string where);
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  // Fills `out` as far as the stream goes; fewer bytes than asked for is the stream's end. Throws Error when damaged.
  size_t read(std::span<std::byte> out);

 private:
  bool next_member();
  struct Stream;
  std::unique_ptr<Stream> stream_;
  std::span<const std::byte> input_;
  size_t used_ = 0;
  Wrapper wrapper_;
  std::string where_;
  bool ended_ = false;
};

// The members of a zip archive (an .npz): names from the central directory, every length checked against the file.
struct ZipMember {
  std::string name;
  uint64_t local_offset = 0, compressed = 0, size = 0;
  uint32_t crc = 0;
  uint16_t method = 0, flags = 0;
};
std::vector<ZipMember> list_zip(const Bytes& file, const std::string& where);
// Stored members stay mapped, deflated ones are decompressed; the checksum is compared. Throws Error.
Bytes read_zip_member(const Bytes& file, const ZipMember& member, const std::string& where);

}  // namespace pare
