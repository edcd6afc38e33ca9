#include "formats/onnx/wire.h"

#include <fmt/format.h>

#include <algorithm>

namespace pare {
namespace {

// The wire kind of each ModelProto field, by number; -1: no such field.
int model_wire(uint32_t number) {
  switch (number) {
    case 1: case 5: return 0;
    case 2: case 3: case 4: case 6: case 7: case 8: case 14: case 20: case 25: case 26: return 2;
    default: return -1;
  }
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void note_entry(std::span<const std::byte> entry, std::vector<std::string>& found) {
  std::string key, value;
  WireReader reader(entry);
  for (WireField field; reader.next(field);) {
    if (field.wire != 2) continue;
    if (field.number == 1) key = text_of(field.bytes);
    if (field.number == 2) value = text_of(field.bytes);
  }
  if (key == "location" && std::find(found.begin(), found.end(), value) == found.end()) found.push_back(value);
}

// The messages on the way from a model to a tensor's external_data entry, and the fields that lead on.
enum class Message { model, graph, node, attribute, tensor, sparse, function, entry, none };

Message child(Message parent, uint32_t field) {
  switch (parent) {
    case Message::model: return field == 7 ? Message::graph : field == 25 ? Message::function : Message::none;
    case Message::function: return field == 7 ? Message::node : Message::none;
    case Message::graph:
      return field == 1 ? Message::node : field == 5 ? Message::tensor : field == 15 ? Message::sparse : Message::none;
    case Message::node: return field == 5 ? Message::attribute : Message::none;
    case Message::attribute:
      if (field == 5 || field == 10) return Message::tensor;
      if (field == 6 || field == 11) return Message::graph;
      return field == 22 || field == 23 ? Message::sparse : Message::none;
    case Message::sparse: return field == 1 || field == 2 ? Message::tensor : Message::none;
    case Message::tensor: return field == 13 ? Message::entry : Message::none;
    default: return Message::none;
  }
}

void collect(std::span<const std::byte> bytes, Message kind, int depth, std::vector<std::string>& found) {
  if (kind == Message::entry) return note_entry(bytes, found);
  if (depth > 100) return;  // as deep as protobuf itself goes
  WireReader reader(bytes);
  for (WireField field; reader.next(field);) {
    if (field.wire != 2 || !field.whole()) continue;
    if (const Message next = child(kind, field.number); next != Message::none)
      collect(field.bytes, next, depth + 1, found);
  }
}

}  // namespace

bool WireReader::varint(uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 70 && at_ < bytes_.size(); shift += 7) {
    const uint64_t byte = uint64_t(bytes_[at_++]);
    if (shift < 64) value |= (byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

bool WireReader::next(WireField& field) {
  if (broken_ || at_ >= bytes_.size()) return false;
  field = {};
  field.offset = at_;
  uint64_t tag = 0;
  broken_ = true;
  if (!varint(tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return false;
  field.number = uint32_t(tag >> 3);
  field.wire = int(tag & 7);
  const size_t left = bytes_.size() - at_;
  if (field.wire == 0) {
    if (!varint(field.value)) return false;
  } else if (field.wire == 2) {
    if (!varint(field.length)) return false;
    const size_t present = std::min<uint64_t>(field.length, bytes_.size() - at_);
    field.bytes = bytes_.subspan(at_, present);
    at_ += present;
  } else if (field.wire == 1 || field.wire == 5) {
    const size_t width = field.wire == 1 ? 8 : 4;
    if (left < width) return false;
    at_ += width;
  } else {
    return false;
  }
  broken_ = !field.whole();
  return true;
}

bool looks_like_onnx(std::span<const std::byte> head) {
  bool telling = false;  // a field that says more than a lucky byte
  WireReader reader(head);
  for (WireField field; reader.next(field);) {
    const int wire = model_wire(field.number);
    if (wire < 0 && field.number < 30) return false;
    if (wire >= 0 && wire != field.wire) return false;
    if (field.number == 1 && field.value > 100) return false;  // an IR version
    telling |= field.number == 1 || field.number == 7;
  }
  return telling;
}

std::string what_is_broken(std::span<const std::byte> file) {
  WireReader reader(file);
  WireField field;
  while (reader.next(field)) {
    if (field.whole()) continue;
    return fmt::format("the field at byte {} claims {} bytes, the file ends after {} of them", field.offset, field.length,
                       field.bytes.size());
  }
  return reader.broken() ? fmt::format("the field at byte {} is no valid protobuf field", field.offset) : "";
}

std::vector<std::string> external_locations(std::span<const std::byte> file) {
  std::vector<std::string> found;
  collect(file, Message::model, 0, found);
  return found;
}

}  // namespace pare
