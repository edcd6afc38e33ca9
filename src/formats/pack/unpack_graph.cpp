// The graph of a model from the bytes of a pack file's graph section; nothing in them is believed before it is checked.
#include <set>

#include "codecs/codecs.h"
#include "formats/pack/bytes.h"
#include "formats/pack/coding.h"
#include "formats/pack/pack_graph.h"
#include "graph/op.h"

namespace pare {
namespace {

constexpr int kDeepest = 32;  // graphs inside graphs, as in the text form

Type read_type(ByteReader& in, bool none_allowed) {
  const uint8_t number = in.byte();
  if (number == 0 && none_allowed) return Type::none;
  const auto type = type_of_number(number);
  if (!type || *type == Type::none) in.fail("names element type " + std::to_string(number) + ", which this version of pare does not know");
  return *type;
}

Dims read_dims(ByteReader& in) {
  Dims dims(in.count());
  for (int64_t& extent : dims) {
    const uint64_t value = in.number();
    if (value > uint64_t(INT64_MAX)) in.fail("an extent is negative");
    extent = int64_t(value);
  }
  count_of(dims, in.where());
  return dims;
}

// One of `count` things, by its place.
size_t place(ByteReader& in, size_t count, const char* what, uint64_t index) {
  if (index >= count) in.fail("refers to " + std::string(what) + " " + std::to_string(index) + " of " + std::to_string(count));
  return size_t(index);
}
size_t place(ByteReader& in, size_t count, const char* what) { return place(in, count, what, in.number()); }

}  // namespace

struct PackGraphReader::State {
  State(std::span<const std::byte> section, const std::string& where) : in(section, where), texts_left(kAlwaysAllowed + 64 * section.size()) {
    read_texts();
    read_blocks();
    read_arrays();
  }

  void read_texts() {
    std::vector<uint64_t> lengths(in.count());
    for (uint64_t& length : lengths) length = in.number();
    for (uint64_t length : lengths) texts.push_back(in.text(length));
  }

  void read_blocks() {
    blocks.resize(in.count(7));
    for (PackBlock& block : blocks) {
      block.width = in.byte();
      if (block.width < 1 || block.width > 8) in.fail("has elements of " + std::to_string(block.width) + " bytes, expected 1 to 8");
      const uint8_t plain = in.byte();
      if (plain > 1) in.fail("stores a block in way " + std::to_string(plain) + ", this version of pare knows 0 and 1");
      block.plain = plain == 1;
      block.coded_bytes = in.number();
      block.checksum = in.fixed32();
    }
  }

  void read_arrays() {
    arrays.resize(in.count(3));
    for (size_t i = 0; i < arrays.size(); ++i) {
      PackArray& array = arrays[i];
      array.type = read_type(in, false);
      array.dims = read_dims(in);
      array.bytes = array.type == Type::string ? in.number() : (uint64_t(count_of(array.dims)) * uint64_t(type_bits(array.type)) + 7) / 8;
      blocks[place(in, blocks.size(), "block")].arrays.push_back(i);
    }
  }

  void read_tensors(const std::vector<Array>& from) {
    tensors.resize(in.count(2));
    for (TensorPtr& tensor : tensors) {
      const uint64_t codec = in.number();
      if (codec == 0) {
        tensor = std::make_shared<const Tensor>(from[place(in, from.size(), "array")]);
        continue;
      }
      Tensor encoded;
      const std::string& name = texts[place(in, texts.size(), "text", codec - 1)];
      encoded.codec = find_codec(name);
      if (encoded.codec == nullptr)
        throw Error(in.where(), "stores weights as '" + name + "', which this version of pare does not know", "use the version of pare that wrote the file");
      encoded.type = read_type(in, false);
      encoded.dims = read_dims(in);
      const int64_t axis = in.integer();
      if (axis < -1 || axis > int64_t(encoded.dims.size())) in.fail("has scales along axis " + std::to_string(axis) + " of " + dims_text(encoded.dims));
      encoded.axis = int(axis);
      encoded.group = in.integer();
      for (size_t left = in.count(); left > 0; --left) encoded.parts.push_back(from[place(in, from.size(), "array")]);
      check_tensor(encoded, in.where());
      tensor = std::make_shared<const Tensor>(std::move(encoded));
    }
  }

  // Names are short and texts that are long stand once: a file that has them copied again and again is no model.
  const std::string& text() {
    const std::string& found = texts[place(in, texts.size(), "text")];
    if (found.size() > texts_left) in.fail("repeats long texts so often that they fill the memory");
    texts_left -= found.size();
    return found;
  }

  std::vector<ValueId> ids(const Graph& graph, bool optional) {
    std::vector<ValueId> result(in.count());
    for (ValueId& id : result) {
      const uint64_t value = in.number();
      if (value == 0 && !optional) in.fail("leaves out an input or output of the graph");
      id = value == 0 ? kNone : ValueId(place(in, graph.values.size(), "value", value - 1));
    }
    return result;
  }

  Graph read_graph(int depth) {
    if (depth > kDeepest) in.fail("has graphs inside graphs more than " + std::to_string(kDeepest) + " deep");
    Graph graph;
    graph.name = text();
    graph.ir_version = in.integer();
    for (size_t left = in.count(2); left > 0; --left) {
      const std::string& domain = text();
      const int64_t version = in.integer();
      if (version < 1 || version > 1000) in.fail("operator set version " + std::to_string(version) + " does not exist");
      graph.opsets[domain] = version;
    }
    graph.producer = text();
    graph.doc = text();
    for (size_t left = in.count(2); left > 0; --left) {
      const std::string& key = text();
      graph.metadata[key] = text();
    }
    graph.functions = text();
    for (size_t left = in.count(3); left > 0; --left) graph.values.push_back(read_value());
    for (size_t left = in.count(6); left > 0; --left) graph.nodes.push_back(read_node(graph, depth));
    graph.inputs = ids(graph, false);
    graph.outputs = ids(graph, false);
    return graph;
  }

  Value read_value() {
    Value value;
    value.name = text();
    const uint8_t flags = in.byte();
    if (flags > 15) in.fail("has a value with flags " + std::to_string(flags) + ", this version of pare knows 1, 2, 4 and 8");
    value.outer = (flags & 2) != 0;
    if ((flags & 1) != 0) {
      value.constant = tensors[place(in, tensors.size(), "tensor")];
      value.type = value.constant->type;
      value.shape = shape_of(value.constant->dims);
    } else {
      value.type = read_type(in, true);
    }
    if ((flags & 4) != 0) {
      Shape shape(in.count());
      for (Dim& dim : shape) {
        dim.value = in.integer();
        if (dim.value < -1) in.fail("has an extent of " + std::to_string(dim.value));
        if (!dim.known()) dim.name = text();
      }
      if (value.constant == nullptr) value.shape = std::move(shape);
    }
    if ((flags & 8) != 0) value.other_type = text();
    return value;
  }

  Node read_node(const Graph& graph, int depth) {
    Node node;
    node.name = text();
    node.op_type = text();
    node.domain = text();
    node.op = find_op(node.op_type, node.domain);
    node.inputs = ids(graph, true);
    node.outputs = ids(graph, true);
    for (size_t left = in.count(3); left > 0; --left) {
      const std::string& key = text();
      node.attributes[key] = read_attribute(depth);
    }
    return node;
  }

  template <class T, class Read>
  std::vector<T> list(size_t bytes, const Read& read) {
    std::vector<T> result;
    for (size_t left = in.count(bytes); left > 0; --left) result.push_back(read());
    return result;
  }

  // Tagged by the place of the kind in the Attribute variant.
  Attribute read_attribute(int depth) {
    const auto inner = [&] { return std::make_shared<Graph>(read_graph(depth + 1)); };
    switch (const uint8_t kind = in.byte()) {
      case 0: return in.integer();
      case 1: return in.real();
      case 2: return text();
      case 3: return list<int64_t>(1, [&] { return in.integer(); });
      case 4: return list<float>(4, [&] { return in.real(); });
      case 5: return list<std::string>(1, [&] { return text(); });
      case 6: return tensors[place(in, tensors.size(), "tensor")];
      case 7: return inner();
      case 8: return list<std::shared_ptr<Graph>>(1, inner);
      default: in.fail("has an attribute of kind " + std::to_string(kind) + ", this version of pare knows 0 to 8");
    }
  }

  ByteReader in;
  size_t texts_left;
  std::vector<std::string> texts;
  std::vector<PackBlock> blocks;
  std::vector<PackArray> arrays;
  std::vector<TensorPtr> tensors;
};

PackGraphReader::PackGraphReader(std::span<const std::byte> section, const std::string& where)
    : state_(std::make_unique<State>(section, where)) {}
PackGraphReader::~PackGraphReader() = default;
const std::vector<PackBlock>& PackGraphReader::blocks() const { return state_->blocks; }
const std::vector<PackArray>& PackGraphReader::arrays() const { return state_->arrays; }

Graph PackGraphReader::read(const std::vector<Array>& arrays) {
  state_->read_tensors(arrays);
  Graph graph = state_->read_graph(0);
  if (state_->in.left() > 0) state_->in.fail("has " + std::to_string(state_->in.left()) + " bytes too many behind its graph");
  return graph;
}

}  // namespace pare
