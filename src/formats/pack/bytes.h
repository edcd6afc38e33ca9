#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "base/error.h"

namespace pare {

// Numbers and texts of a pack file. Unsigned numbers are LEB128: seven bits a byte, the low ones first, the top bit set
// where another byte follows. Signed ones are folded first (0, −1, 1, −2 … → 0, 1, 2, 3 …).
class ByteWriter {
 public:
  void byte(uint8_t value) { bytes_ += char(value); }
  void number(uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += char(value | 128);
    bytes_ += char(value);
  }
  void integer(int64_t value) { number(uint64_t(value) << 1 ^ uint64_t(value >> 63)); }
  void fixed32(uint32_t value) {
    for (int shift : {0, 8, 16, 24}) bytes_ += char(value >> shift & 255);
  }
  void fixed64(uint64_t value) {
    fixed32(uint32_t(value));
    fixed32(uint32_t(value >> 32));
  }
  void real(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    fixed32(bits);
  }
  void raw(std::string_view text) { bytes_ += text; }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

// Reads them back. Every step is checked against the bytes that remain; throws Error (where).
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}
  size_t left() const { return bytes_.size() - at_; }
  const std::string& where() const { return where_; }
  uint8_t byte() { return uint8_t(take(1)[0]); }
  uint64_t number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t next = byte();
      value |= uint64_t(next & 127) << shift;
      if (next < 128) {
        if (shift == 63 && next > 1) break;  // the last group has one bit
        return value;
      }
    }
    fail("a number has more than 64 bits");
  }
  int64_t integer() {
    const uint64_t value = number();
    return int64_t(value >> 1) ^ -int64_t(value & 1);
  }
  // How many of something follow, each of at least `bytes` bytes.
  size_t count(size_t bytes = 1) {
    const uint64_t value = number();
    if (value > left() / bytes) fail("says that " + std::to_string(value) + " entries follow, where only " + std::to_string(left()) + " bytes do");
    return size_t(value);
  }
  uint32_t fixed32() {
    const auto four = take(4);
    uint32_t value = 0;
    for (int i = 3; i >= 0; --i) value = value << 8 | uint32_t(four[size_t(i)]);
    return value;
  }
  uint64_t fixed64() {
    const uint64_t low = fixed32();
    return low | uint64_t(fixed32()) << 32;
  }
  float real() {
    const uint32_t bits = fixed32();
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }
  std::span<const std::byte> take(uint64_t size) {
    if (size > left()) fail("ends early: " + std::to_string(size) + " bytes are needed, " + std::to_string(left()) + " are left");
    const auto part = bytes_.subspan(at_, size_t(size));
    at_ += size_t(size);
    return part;
  }
  std::string text(uint64_t size) {
    const auto part = take(size);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  [[noreturn]] void fail(const std::string& problem) const {
    throw Error(where_, problem, "the file is damaged: copy it again, or make it again with pare compress");
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  std::string where_;
};

}  // namespace pare
