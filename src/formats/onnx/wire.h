#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace pare {

// A protobuf message read field by field without its schema and without copying: enough to recognise a file, to say
// where it is broken, and to find what it refers to, without parsing gigabytes of weights.
struct WireField {
  uint32_t number = 0;
  int wire = 0;                       // 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes
  std::span<const std::byte> bytes;   // wire 2: the content, cut where the message ends
  uint64_t length = 0;                // wire 2: the length the file claims
  uint64_t value = 0;                 // wire 0
  size_t offset = 0;                  // of the field's tag
  bool whole() const { return wire != 2 || bytes.size() == length; }
};

class WireReader {
 public:
  explicit WireReader(std::span<const std::byte> message) : bytes_(message) {}
  // False at the end and where the message is broken. A field whose content is cut short is still given (see whole()).
  bool next(WireField& field);
  bool broken() const { return broken_; }
  size_t offset() const { return at_; }

 private:
  bool varint(uint64_t& value);
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  bool broken_ = false;
};

// Whether `head`, the file's first bytes, can be the start of an ONNX model.
bool looks_like_onnx(std::span<const std::byte> head);
// Why `file` is no whole ONNX message, for people; empty where the outermost fields are sound.
std::string what_is_broken(std::span<const std::byte> file);
// The locations of external data that the model names, each once, in the file's order.
std::vector<std::string> external_locations(std::span<const std::byte> file);

}  // namespace pare
