#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace pare::message {

// Protobuf messages by hand, so that the tests can build what no exporter would write. Independent of the reader's code.
inline std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += char(value | 128);
  return bytes + char(value);
}
inline std::string number(int field, int64_t value) { return varint(uint64_t(field) << 3) + varint(uint64_t(value)); }
inline std::string bytes(int field, const std::string& content) {
  return varint(uint64_t(field) << 3 | 2) + varint(content.size()) + content;
}

// The messages the tests need; field numbers as in onnx.proto.
inline std::string dims(const std::vector<int64_t>& extents) {
  std::string text;
  for (int64_t extent : extents) text += number(1, extent);
  return text;
}
inline std::string tensor(const std::string& name, int type, const std::vector<int64_t>& extents, const std::string& rest) {
  return bytes(8, name) + number(2, type) + dims(extents) + rest;
}
inline std::string raw(const std::string& content) { return bytes(9, content); }
inline std::string packed(int field, const std::vector<uint64_t>& values) {
  std::string content;
  for (uint64_t value : values) content += varint(value);
  return bytes(field, content);
}
inline std::string entry(const std::string& key, const std::string& value) { return bytes(13, bytes(1, key) + bytes(2, value)); }
inline std::string external(const std::string& location, const std::string& rest = "") {
  return entry("location", location) + rest + number(14, 1);
}
inline std::string initializer(const std::string& content) { return bytes(5, content); }
inline std::string info(int field, const std::string& name) { return bytes(field, bytes(1, name)); }
inline std::string input(const std::string& name) { return info(11, name); }
inline std::string output(const std::string& name) { return info(12, name); }
inline std::string node(const std::string& op, const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                        const std::string& rest = "") {
  std::string content;
  for (const auto& name : inputs) content += bytes(1, name);
  for (const auto& name : outputs) content += bytes(2, name);
  return bytes(1, content + bytes(4, op) + rest);
}
inline std::string attribute(const std::string& name, const std::string& rest) { return bytes(5, bytes(1, name) + rest); }
inline std::string model(const std::string& graph, int opset = 13) {
  return number(1, 8) + bytes(8, number(2, opset)) + bytes(7, graph);
}

}  // namespace pare::message
