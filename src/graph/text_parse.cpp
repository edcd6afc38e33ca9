// The text form of a graph, read. text.h shows it. Nothing is allocated that the text has not paid for.
#include <cstring>
#include <unordered_map>

#include "graph/op.h"
#include "graph/text_scanner.h"

namespace pare {
namespace {

using namespace text_form;  // NOLINT: the other half of the same form

// Types, shapes and constants.
class TensorScanner : public Scanner {
 public:
  TensorScanner(std::string_view text, std::string where, CodecLookup codecs) : Scanner(text, std::move(where)), codecs_(codecs) {}

  Type type() {
    const std::string_view text = word();
    if (take_word("none")) return Type::none;
    const auto found = type_of_text(text);
    if (!found) expected("an element type");
    advance(text.size());
    return *found;
  }

  bool starts_shape() {
    const std::string_view text = word();
    return peek() == '"' || peek() == '?' || (!text.empty() && text != "other");
  }
  Shape shape() {
    if (take_word("scalar")) return {};
    Shape result;
    do {
      Dim dim;
      const std::string_view text = word();
      if (peek() == '"') dim.name = string();
      else if (text.empty() && take('?')) dim = {};
      else dim = extent(text.substr(0, text.find('x')));
      result.push_back(std::move(dim));
    } while (take_x());
    return result;
  }

  Tensor tensor() {
    blanks();
    const size_t start = position();
    const Type element = type();
    const Dims dims = known(shape(), start);
    return take_word("as") ? encoded(element, dims, start) : Tensor(data(element, dims, start));
  }

 private:
  bool take_x() {
    if (peek() != 'x') return false;
    advance(1);
    return true;
  }
  Dim extent(std::string_view text) {
    Dim dim;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), dim.value);
    const bool number = !text.empty() && code == std::errc() && end == text.data() + text.size() && dim.value >= 0;
    if (!number) {
      if (!is_bare_extent(text)) expected("an extent: a number, a name or '?'");
      dim = {-1, std::string(text)};
    }
    advance(text.size());
    return dim;
  }

  Dims known(const Shape& shape, size_t start) const {
    auto dims = known_dims(shape);
    if (!dims) fail_at(start, "a constant has shape " + shape_text(shape) + ", expected numbers only");
    return *dims;
  }

  int64_t counted(const Dims& dims, size_t start) const {
    try {
      return count_of(dims);
    } catch (const Error& error) {
      fail_at(start, error.problem());
    }
  }

  Array data(Type type, const Dims& dims, size_t start) {
    const int64_t count = counted(dims, start);
    blanks();
    if (peek() == '#') fail_at(position(), "found a digest, expected the constant's elements", "print the graph with whole constants");
    if (take_word("base64")) return base64(type, dims, count, start);
    filled_ = take_word("all");
    if (!filled_ && peek() != '[') expected("'[', all, base64 or a digest");
    if (type == Type::string) return strings(dims, count, start);
    if (!has_numbers(type)) fail_at(start, "elements of type " + std::string(type_text(type)) + " are written in base64");
    if (type == Type::f64) return numbers<double>(type, dims, count, start, [this] { return real<double>(); });
    if (is_float(type)) return numbers<float>(type, dims, count, start, [this] { return real<float>(); });
    if (type == Type::u64) return numbers<uint64_t>(type, dims, count, start, [this] { return integer<uint64_t>(); });
    return numbers<int64_t>(type, dims, count, start, [this] { return integer<int64_t>(); });
  }

  void check_count(size_t found, int64_t count, size_t start) const {
    if (int64_t(found) != count) fail_at(start, fmt::format("found {} elements, the shape has {}", found, count));
  }

  template <class T, class F>
  Array numbers(Type type, const Dims& dims, int64_t count, size_t start, F read) {
    // What a few letters ask for stays below a limit, all such constants together.
    if (filled_ && (fillable_ -= count) < 0) fail_at(start, fmt::format("found more than {} elements that are one number", kMostFilled));
    if (filled_) return repeated(Array::of<T>({1}, {read()}).cast(type), dims);
    std::vector<T> values;
    list('[', ']', [&] { values.push_back(read()); });
    check_count(values.size(), count, start);
    return Array::of<T>(dims, values).cast(type);
  }

  Array strings(const Dims& dims, int64_t count, size_t start) {
    std::string bytes;
    size_t found = 0;
    list('[', ']', [&] {
      const std::string text = string();
      const auto length = uint32_t(text.size());
      bytes.append(reinterpret_cast<const char*>(&length), 4).append(text);
      ++found;
    });
    check_count(found, count, start);
    auto owner = std::make_shared<const std::string>(std::move(bytes));
    return Array(Type::string, dims, owner, reinterpret_cast<const std::byte*>(owner->data()), owner->size());
  }

  Array base64(Type type, const Dims& dims, int64_t count, size_t start) {
    if (type_bits(type) == 0) fail_at(start, "elements of type " + std::string(type_text(type)) + " are not written in base64");
    std::string bytes;
    blanks();
    const size_t at = position();
    if (!decode_base64(raw_string(), bytes)) fail_at(at, "this text is not base64");
    const size_t wanted = (size_t(count) * size_t(type_bits(type)) + 7) / 8;
    if (bytes.size() != wanted) fail_at(at, fmt::format("found {} bytes, the shape has {}", bytes.size(), wanted));
    Array array(type, dims);
    if (wanted > 0) std::memcpy(array.mutable_bytes(), bytes.data(), wanted);
    return array;
  }

  Tensor encoded(Type type, const Dims& dims, size_t start) {
    Tensor tensor;
    tensor.type = type;
    tensor.dims = dims;
    counted(dims, start);
    const size_t at = position();
    const std::string name = need_word("a codec");
    tensor.codec = codecs_ == nullptr ? nullptr : codecs_(name);
    if (tensor.codec == nullptr) fail_at(at, "found codec " + quoted(name) + (codecs_ == nullptr ? ", no codecs were handed in" : ", which is not known"));
    tensor.axis = setting<int>("axis");
    tensor.group = setting<int64_t>("group");
    list('{', '}', [&] {
      const size_t part = position();
      const Type element = this->type();
      const Dims extents = known(shape(), part);
      tensor.parts.push_back(data(element, extents, part));
    });
    return tensor;
  }

  template <class T>
  T setting(std::string_view name) {
    if (!take_word(name)) return 0;
    need('=');
    return integer<T>();
  }

  CodecLookup codecs_;
  bool filled_ = false;             // the elements at hand are one number, said once
  int64_t fillable_ = kMostFilled;  // elements that still may be
};

// Integers have neither point nor exponent.
bool is_real(std::string_view word) {
  return word.find_first_of(".eE") != std::string_view::npos || word.ends_with("inf") || word.ends_with("nan");
}
bool starts_number(std::string_view word) {
  return !word.empty() && ((word[0] >= '0' && word[0] <= '9') || word[0] == '-' || word[0] == '+' || word == "inf" || word == "nan");
}

// One graph; graphs inside its attributes are read by parsers of their own over the same scanner.
class GraphParser {
 public:
  GraphParser(TensorScanner& scanner, int depth) : scan_(scanner), depth_(depth) {}

  // After the word "graph".
  Graph read(const Graph* around) {
    if (depth_ > kDeepest) scan_.fail_at(scan_.position(), fmt::format("graphs lie more than {} deep in each other", kDeepest));
    header(around);
    if (around != nullptr) scan_.need('{');
    for (scan_.blank_lines(); around != nullptr ? !scan_.take('}') : !scan_.at_end(); scan_.blank_lines()) {
      line();
      scan_.blanks();
      if (around == nullptr || scan_.peek() != '}') scan_.end_of_line();
      if (scan_.at_end() && around != nullptr) scan_.expected("'}'");
    }
    for (size_t id = 0; id < defined_.size(); ++id)
      if (!defined_[id]) scan_.fail_at(first_use_[id], "refers to '" + graph_.values[id].name + "', which no line defines");
    return std::move(graph_);
  }

 private:
  void header(const Graph* around) {
    if (around != nullptr) {
      graph_.ir_version = around->ir_version;
      graph_.opsets = around->opsets;
    }
    scan_.blanks();
    if (scan_.peek() == '"') graph_.name = scan_.string();
    if (scan_.take_word("ir")) graph_.ir_version = scan_.integer<int64_t>("the IR version");
    if (!scan_.take_word("opset")) return;
    graph_.opsets.clear();
    do {
      const std::string_view word = scan_.word();
      const bool plain = !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
      const size_t after = scan_.position() + word.size();
      if (plain && scan_.at(after) != '=') {
        graph_.opsets[""] = scan_.integer<int64_t>("a version");
      } else {
        const std::string domain = name("a domain");
        scan_.need('=');
        graph_.opsets[domain] = scan_.integer<int64_t>("a version");
      }
    } while (scan_.take(','));
  }

  void line() {
    if (scan_.take_word("producer")) {
      graph_.producer = scan_.string();
    } else if (scan_.take_word("doc")) {
      graph_.doc = scan_.string();
    } else if (scan_.take_word("functions")) {
      graph_.functions = scan_.string();
    } else if (scan_.take_word("metadata")) {
      const std::string key = scan_.string();
      scan_.need('=');
      graph_.metadata[key] = scan_.string();
    } else if (scan_.take_word("input")) {
      graph_.inputs.push_back(declaration());
    } else if (scan_.take_word("outer")) {
      graph_.at(declaration()).outer = true;
    } else if (scan_.take_word("value")) {
      declaration();
    } else if (scan_.take_word("const")) {
      constant();
    } else if (scan_.take_word("output")) {
      graph_.outputs.push_back(reference());
    } else {
      node();
    }
  }

  std::string name(const std::string& wanted) {
    scan_.blanks();
    return scan_.peek() == '"' ? scan_.string() : scan_.need_word(wanted);
  }

  // The value of that name, made at its first mention.
  ValueId mention() {
    scan_.blanks();
    const size_t at = scan_.position();
    const bool nameless = scan_.take('%');
    const std::string text = nameless ? scan_.need_word("the number of a value") : name("a value's name");
    const auto [it, fresh] = (nameless ? nameless_ : named_).emplace(text, ValueId(graph_.values.size()));
    if (fresh) {
      graph_.add_value(nameless ? "" : text);
      defined_.push_back(0);
      first_use_.push_back(at);
    }
    return it->second;
  }
  ValueId reference() { return scan_.take_word("_") ? kNone : mention(); }

  ValueId define() {
    scan_.blanks();
    const size_t at = scan_.position();
    const ValueId id = mention();
    if (defined_[size_t(id)]) scan_.fail_at(at, "'" + graph_.at(id).name + "' is defined a second time");
    defined_[size_t(id)] = 1;
    return id;
  }

  // name: TYPE SHAPE other "…", all but the name may be absent
  ValueId declaration() {
    const ValueId id = define();
    if (!scan_.take(':')) return id;
    if (scan_.word() != "other") {
      const Type type = scan_.type();
      const bool shaped = scan_.starts_shape();
      std::optional<Shape> shape;
      if (shaped) shape = scan_.shape();
      graph_.at(id).type = type;
      graph_.at(id).shape = std::move(shape);
    }
    if (scan_.take_word("other")) graph_.at(id).other_type = scan_.string();
    return id;
  }

  void constant() {
    const ValueId id = define();
    scan_.need(':');
    Tensor tensor = scan_.tensor();
    Value& value = graph_.at(id);
    value.type = tensor.type;
    value.shape = shape_of(tensor.dims);
    value.constant = std::make_shared<const Tensor>(std::move(tensor));
  }

  void node() {
    Node node;
    scan_.blanks();
    if (scan_.peek() != '=') {
      do node.outputs.push_back(scan_.take_word("_") ? kNone : declaration());
      while (scan_.take(','));
    }
    scan_.need('=');
    node.op_type = name("an operator");
    if (scan_.take('@')) node.domain = name("a domain");
    scan_.list('(', ')', [&] { node.inputs.push_back(reference()); });
    scan_.blanks();
    if (scan_.peek() == '{') scan_.list('{', '}', [&] { attribute(node); });
    scan_.blanks();
    if (scan_.peek() == '"') node.name = scan_.string();
    node.op = find_op(node.op_type, node.domain);
    graph_.nodes.push_back(std::move(node));
  }

  void attribute(Node& node) {
    scan_.blanks();
    const size_t at = scan_.position();
    const std::string key = name("an attribute");
    scan_.need('=');
    if (!node.attributes.emplace(key, attribute_value()).second) scan_.fail_at(at, "attribute " + quoted(key) + " is given twice");
  }

  std::shared_ptr<Graph> inner() { return std::make_shared<Graph>(GraphParser(scan_, depth_ + 1).read(&graph_)); }

  template <class T>
  Attribute empty_list() {
    scan_.need('[');
    scan_.need(']');
    return T();
  }

  Attribute attribute_value() {
    scan_.blanks();
    if (scan_.peek() == '"') return scan_.string();
    if (scan_.peek() == '[') return list_value();
    const std::string_view word = scan_.word();
    if (starts_number(word)) return is_real(word) ? Attribute(scan_.real<float>()) : Attribute(scan_.integer<int64_t>());
    if (scan_.take_word("tensor")) return std::make_shared<const Tensor>(scan_.tensor());
    if (scan_.take_word("graph")) return inner();
    if (scan_.take_word("ints")) return empty_list<std::vector<int64_t>>();
    if (scan_.take_word("floats")) return empty_list<std::vector<float>>();
    if (scan_.take_word("strings")) return empty_list<std::vector<std::string>>();
    if (scan_.take_word("graphs")) return empty_list<std::vector<std::shared_ptr<Graph>>>();
    scan_.expected("an attribute's value");
  }

  Attribute list_value() {
    std::vector<int64_t> integers;
    std::vector<float> reals;
    std::vector<std::string> texts;
    std::vector<std::shared_ptr<Graph>> graphs;
    const size_t at = scan_.position();
    scan_.list('[', ']', [&] {
      scan_.blanks();
      if (scan_.peek() == '"') texts.push_back(scan_.string());
      else if (scan_.take_word("graph")) graphs.push_back(inner());
      else if (is_real(scan_.word())) reals.push_back(scan_.real<float>());
      else integers.push_back(scan_.integer<int64_t>("a number, a quoted text or a graph"));
    });
    const int kinds = !integers.empty() + !reals.empty() + !texts.empty() + !graphs.empty();
    if (kinds == 0) scan_.fail_at(at, "found an empty list, expected its kind before it: ints[], floats[], strings[] or graphs[]");
    if (kinds > 1) scan_.fail_at(at, "found a list of several kinds, expected one kind");
    if (!integers.empty()) return integers;
    if (!reals.empty()) return reals;
    if (!texts.empty()) return texts;
    return graphs;
  }

  TensorScanner& scan_;
  int depth_;
  Graph graph_;
  std::unordered_map<std::string, ValueId> named_, nameless_;
  std::vector<char> defined_;
  std::vector<size_t> first_use_;
};

}  // namespace

Graph parse(std::string_view text, const std::string& where, CodecLookup codecs) {
  TensorScanner scanner(text, where, codecs);
  scanner.blank_lines();
  if (!scanner.take_word("graph")) scanner.expected("graph");
  return GraphParser(scanner, 0).read(nullptr);
}

}  // namespace pare
