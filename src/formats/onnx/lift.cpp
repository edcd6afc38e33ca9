#include "formats/onnx/lift.h"

#include "formats/onnx/wire.h"

namespace pare {
namespace {

constexpr uint32_t kGraph = 7, kInitializer = 5, kRawData = 9;  // onnx.proto: ModelProto, GraphProto, TensorProto
constexpr size_t kLeastBytes = 64 << 10;                        // smaller ones are not worth a page of their own

void append_varint(std::string& to, uint64_t value) {
  for (; value >= 128; value >>= 7) to += char(value | 128);
  to += char(value);
}

void append_message(std::string& to, uint32_t number, const std::string& content) {
  append_varint(to, number << 3 | 2);
  append_varint(to, content.size());
  to += content;
}

void append_bytes(std::string& to, std::span<const std::byte> bytes) {
  to.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// Copies the fields of `message`; `take` may handle one itself and return true. False where the message is broken.
template <class Take>
bool copy_fields(std::span<const std::byte> message, std::string& to, const Take& take) {
  WireReader reader(message);
  for (WireField field; reader.next(field);) {
    if (!field.whole()) return false;
    if (!take(field)) append_bytes(to, message.subspan(field.offset, reader.offset() - field.offset));
  }
  return !reader.broken();
}

}  // namespace

std::optional<LiftedModel> lift_weights(std::span<const std::byte> model) {
  LiftedModel lifted;
  bool sound = true, any = false;
  int graphs = 0;
  const auto take_initializer = [&](const WireField& initializer, std::string& to) {
    std::span<const std::byte> raw;
    int times = 0;
    std::string tensor;
    sound &= copy_fields(initializer.bytes, tensor, [&](const WireField& field) {
      if (field.number != kRawData || field.wire != 2 || field.bytes.size() < kLeastBytes) {
        times += field.number == kRawData;
        return false;
      }
      ++times;
      raw = field.bytes;
      return true;
    });
    sound &= times <= 1;
    any |= !raw.empty();
    lifted.data.push_back(raw);
    append_message(to, kInitializer, tensor);
  };
  sound &= copy_fields(model, lifted.message, [&](const WireField& graph) {
    if (graph.number != kGraph || graph.wire != 2) return false;
    ++graphs;
    std::string content;
    sound &= copy_fields(graph.bytes, content, [&](const WireField& field) {
      if (field.number != kInitializer || field.wire != 2) return false;
      take_initializer(field, content);
      return true;
    });
    append_message(lifted.message, kGraph, content);
    return true;
  });
  if (!sound || !any || graphs != 1) return std::nullopt;
  return lifted;
}

}  // namespace pare
