// The text form of a graph, written. text.h shows it; text_parse.cpp reads it.
#include "graph/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "graph/graph.h"

namespace pare {
namespace text_form {

constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != 0 && std::strchr("_./:$-+", c) != nullptr);
}

bool is_keyword(std::string_view text) {
  for (std::string_view word : {"_", "graph", "producer", "doc", "functions", "metadata", "input", "outer", "const", "value", "output"})
    if (text == word) return true;
  return false;
}

bool is_bare_extent(std::string_view name) {
  if (name.empty() || name == "scalar" || name == "other" || (name[0] >= '0' && name[0] <= '9')) return false;
  for (char c : name)  // 'x' separates extents
    if (c == 'x' || !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) return false;
  return true;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') (out += '\\') += c;
    else if (c == '\n') out += "\\n";
    else if (c == '\t') out += "\\t";
    else if (c >= ' ' && c <= '~') out += c;
    else out += fmt::format("\\x{:02x}", unsigned(static_cast<unsigned char>(c)));
  }
  return out + '"';
}

std::string encode_base64(const std::byte* bytes, size_t size) {
  std::string out;
  out.reserve((size + 2) / 3 * 4);
  for (size_t i = 0; i < size; i += 3) {
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k) three = three << 8 | (i + k < size ? uint32_t(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out += i + k <= size ? kDigits[three >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

bool decode_base64(std::string_view text, std::string& bytes) {
  static const std::string_view digits(kDigits, 64);
  if (text.size() % 4 != 0) return false;
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  uint8_t value_of[256];
  std::memset(value_of, 255, sizeof value_of);
  for (size_t i = 0; i < 64; ++i) value_of[uint8_t(digits[i])] = uint8_t(i);
  bytes.clear();
  bytes.reserve(text.size() / 4 * 3);
  uint32_t four = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool pad = i + padding >= text.size();
    const uint8_t value = pad ? 0 : value_of[uint8_t(text[i])];
    if (value == 255) return false;
    four = four << 6 | value;
    if (i % 4 == 3)
      for (int shift : {16, 8, 0}) bytes += char(four >> shift & 255);
  }
  bytes.resize(bytes.size() - padding);
  return true;
}

Array repeated(const Array& one, const Dims& dims) {
  if (type_bits(one.type()) < 8) return repeated(one.cast(Type::f32), dims).cast(one.type());
  Array all(one.type(), dims);
  std::byte* to = all.mutable_bytes();
  for (int64_t i = 0; i < all.count(); ++i) std::copy_n(one.bytes(), one.size_bytes(), to + size_t(i) * one.size_bytes());
  return all;
}

bool has_numbers(Type type) {
  return is_float(type) || type == Type::boolean || is_integer(type);
}

}  // namespace text_form

namespace {

using namespace text_form;  // NOLINT: the other half of the same form

// The shortest text that reads back as the same number, and as a float.
template <class T>
std::string real_text(T value) {
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

std::string extents_text(const Shape& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (const Dim& dim : shape) {
    if (!text.empty()) text += 'x';
    if (dim.known()) text += std::to_string(dim.value);
    else if (dim.name.empty()) text += '?';
    else text += is_bare_extent(dim.name) ? dim.name : quoted(dim.name);
  }
  return text;
}

// FNV-1a (Fowler, Noll, Vo), 64 bits folded to 32: enough to see in a diff that a constant changed.
std::string digest(const Array& array) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < array.size_bytes(); ++i) hash = (hash ^ uint64_t(array.bytes()[i])) * 1099511628211u;
  return fmt::format("#{:08x}", uint32_t(hash >> 32 ^ hash));
}

std::vector<std::string> element_texts(const Array& array) {
  std::vector<std::string> texts;
  if (array.type() == Type::string) {
    for (size_t at = 0; at + 4 <= array.size_bytes();) {
      uint32_t length = 0;
      std::memcpy(&length, array.bytes() + at, 4);
      length = uint32_t(std::min<size_t>(length, array.size_bytes() - at - 4));
      texts.push_back(quoted({reinterpret_cast<const char*>(array.bytes()) + at + 4, length}));
      at += 4 + length;
    }
  } else if (array.type() == Type::f64) {
    for (double v : array.values<double>()) texts.push_back(real_text(v));
  } else if (is_float(array.type())) {
    for (float v : array.to_floats()) texts.push_back(real_text(v));
  } else if (array.type() == Type::u64) {
    for (uint64_t v : array.values<uint64_t>()) texts.push_back(std::to_string(v));
  } else {
    for (int64_t v : array.to_integers()) texts.push_back(std::to_string(v));
  }
  return texts;
}

// The one number that all elements are, as text; empty where they differ.
std::string one_number(const Array& array) {
  if (!has_numbers(array.type()) || type_bits(array.type()) < 8 || array.count() == 0) return "";
  const std::byte* bytes = array.bytes();
  const size_t size = array.size_bytes() / size_t(array.count());
  for (size_t i = size; i < array.size_bytes(); ++i)
    if (bytes[i] != bytes[i - size]) return "";
  Array first(array.type(), {1});
  std::memcpy(first.mutable_bytes(), bytes, size);
  return element_texts(first)[0];
}

// TYPE SHAPE DATA
std::string array_text(const Array& array, bool whole) {
  const std::string head = fmt::format("{} {} ", type_text(array.type()), extents_text(shape_of(array.dims())));
  const bool small = array.count() <= kInline;
  if (array.type() == Type::string ? small || whole : small && has_numbers(array.type()))
    return head + fmt::format("[{}]", fmt::join(element_texts(array), ", "));
  if (const std::string number = one_number(array); !number.empty()) return head + "all " + number;
  return head + (whole || small ? "base64 \"" + encode_base64(array.bytes(), array.size_bytes()) + '"' : digest(array));
}

std::string tensor_text(const Tensor& tensor, bool whole) {
  if (tensor.plain()) return array_text(tensor.array(), whole);
  std::vector<std::string> parts;
  for (const Array& part : tensor.parts) parts.push_back(array_text(part, whole));
  return fmt::format("{} {} as {} axis={} group={} {{{}}}", type_text(tensor.type), extents_text(shape_of(tensor.dims)), tensor.codec->name,
                     tensor.axis, tensor.group, fmt::join(parts, ", "));
}

std::string name_text(const std::string& name) {
  const bool bare = !name.empty() && name.back() != ':' && !is_keyword(name) && std::all_of(name.begin(), name.end(), is_bare);
  return bare ? name : quoted(name);
}

class Printer {
 public:
  Printer(const Graph& graph, const Graph* around, bool whole, int depth) : graph_(graph), around_(around), whole_(whole), indent_(size_t(depth) * 4, ' ') {}

  // From "graph" on; a graph inside another is set in braces.
  std::string text() {
    header();
    for (ValueId id : graph_.inputs) line("input " + declared(id));
    std::vector<char> told(graph_.values.size(), 0);
    for (ValueId id : graph_.inputs) told[size_t(id)] = 1;
    for (const Node& node : graph_.nodes)
      for (ValueId id : node.outputs)
        if (id != kNone) told[size_t(id)] = 1;
    for (size_t id = 0; id < graph_.values.size(); ++id) {
      const Value& value = graph_.values[id];
      if (value.constant) line("const " + label(ValueId(id)) + ": " + tensor_text(*value.constant, whole_));
      else if (value.outer) line("outer " + declared(ValueId(id)));
      else if (!told[id]) line("value " + declared(ValueId(id)));
    }
    for (const Node& node : graph_.nodes) print_node(node);
    for (ValueId id : graph_.outputs) line("output " + (id == kNone ? "_" : label(id)));
    if (around_ != nullptr) out_ += indent_.substr(2) + "}";
    return std::move(out_);
  }

 private:
  void line(const std::string& text) { out_ += indent_ + text + "\n"; }

  void header() {
    out_ += "graph";
    if (!graph_.name.empty() || around_ == nullptr) out_ += ' ' + quoted(graph_.name);
    if (around_ == nullptr || graph_.ir_version != around_->ir_version) out_ += fmt::format(" ir {}", graph_.ir_version);
    if (around_ == nullptr ? !graph_.opsets.empty() : graph_.opsets != around_->opsets) {
      std::vector<std::string> versions;
      for (const auto& [domain, version] : graph_.opsets)
        versions.push_back(domain.empty() ? std::to_string(version) : fmt::format("{}={}", name_text(domain), version));
      out_ += fmt::format(" opset {}", fmt::join(versions, ", "));
    }
    out_ += around_ == nullptr ? "\n" : " {\n";
    if (!graph_.producer.empty()) line("producer " + quoted(graph_.producer));
    if (!graph_.doc.empty()) line("doc " + quoted(graph_.doc));
    for (const auto& [key, value] : graph_.metadata) line("metadata " + quoted(key) + " = " + quoted(value));
    if (!graph_.functions.empty()) line("functions " + quoted(graph_.functions));
  }

  std::string label(ValueId id) {
    PARE_CHECK(id >= 0 && size_t(id) < graph_.values.size());
    const std::string& name = graph_.at(id).name;
    if (!name.empty()) return name_text(name);
    return fmt::format("%{}", nameless_.emplace(id, nameless_.size()).first->second);
  }

  // name: TYPE SHAPE
  std::string declared(ValueId id) {
    const Value& value = graph_.at(id);
    std::string text = label(id);
    const bool typed = value.type != Type::none || value.shape;
    if (typed || !value.other_type.empty()) text += ':';
    if (typed) text += fmt::format(" {}", type_text(value.type));
    if (value.shape) text += ' ' + extents_text(*value.shape);
    if (!value.other_type.empty()) text += " other " + quoted(value.other_type);
    return text;
  }

  void print_node(const Node& node) {
    std::vector<std::string> outputs, inputs, attributes;
    for (ValueId id : node.outputs) outputs.push_back(id == kNone ? "_" : declared(id));
    for (ValueId id : node.inputs) inputs.push_back(id == kNone ? "_" : label(id));
    for (const auto& [key, attribute] : node.attributes) attributes.push_back(name_text(key) + "=" + attribute_text(attribute));
    std::string text = fmt::format("{}= {}{}({})", outputs.empty() ? "" : fmt::format("{} ", fmt::join(outputs, ", ")), name_text(node.op_type),
                                   node.domain.empty() ? "" : '@' + name_text(node.domain), fmt::join(inputs, ", "));
    if (!attributes.empty()) text += fmt::format(" {{{}}}", fmt::join(attributes, ", "));
    if (!node.name.empty()) text += ' ' + quoted(node.name);
    line(text);
  }

  std::string graph_text(const Graph& inner) { return Printer(inner, &graph_, whole_, int(indent_.size() / 4) + 1).text(); }

  template <class T, class F>
  static std::string list_text(const char* kind, const std::vector<T>& items, F text_of) {
    if (items.empty()) return std::string(kind) + "[]";
    std::vector<std::string> texts;
    for (const T& item : items) texts.push_back(text_of(item));
    return fmt::format("[{}]", fmt::join(texts, ", "));
  }

  std::string attribute_text(const Attribute& attribute) {
    return std::visit([this](const auto& value) -> std::string {
      using T = std::decay_t<decltype(value)>;
      if constexpr (std::is_same_v<T, int64_t>) return std::to_string(value);
      else if constexpr (std::is_same_v<T, float>) return real_text(value);
      else if constexpr (std::is_same_v<T, std::string>) return quoted(value);
      else if constexpr (std::is_same_v<T, std::vector<int64_t>>) return list_text("ints", value, [](int64_t v) { return std::to_string(v); });
      else if constexpr (std::is_same_v<T, std::vector<float>>) return list_text("floats", value, real_text<float>);
      else if constexpr (std::is_same_v<T, std::vector<std::string>>) return list_text("strings", value, [](const std::string& v) { return quoted(v); });
      else if constexpr (std::is_same_v<T, TensorPtr>) return "tensor " + tensor_text(*value, whole_);
      else if constexpr (std::is_same_v<T, std::shared_ptr<Graph>>) return graph_text(*value);
      else return list_text("graphs", value, [this](const std::shared_ptr<Graph>& v) { return graph_text(*v); });
    }, attribute);
  }

  const Graph& graph_;
  const Graph* around_;
  bool whole_;
  std::string indent_, out_;
  std::unordered_map<ValueId, size_t> nameless_;
};

}  // namespace

std::string print(const Graph& graph, bool whole) { return Printer(graph, nullptr, whole, 0).text(); }

}  // namespace pare
