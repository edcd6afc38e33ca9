// The graph of a model as the bytes of a pack file's graph section.
#include "formats/pack/pack_graph.h"

#include <algorithm>
#include <unordered_map>

#include "formats/pack/bytes.h"
#include "formats/pack/pack.h"

namespace pare {
namespace {

constexpr size_t kShared = 4096;  // arrays of fewer bytes share a block: a block of their own costs more than it saves

class Packer {
 public:
  PackedGraph pack(const Graph& graph) {
    ByteWriter body;
    write(body, graph);
    ByteWriter tensors;
    tensors.number(tensor_count_);
    tensors.raw(tensors_.bytes());
    packed_.tensors = std::move(tensors.bytes());
    packed_.graph = std::move(body.bytes());
    share_blocks();
    return std::move(packed_);
  }

 private:
  void text(ByteWriter& out, const std::string& value) {
    const auto [it, fresh] = texts_.emplace(value, packed_.texts.size());
    if (fresh) packed_.texts.push_back(value);
    out.number(it->second);
  }

  size_t array(const Array& array) {
    const uint64_t key = pack_checksum({array.bytes(), array.size_bytes()}, 1099511628211u * uint64_t(array.type()) + array.size_bytes());
    auto& alike = arrays_[key];
    for (size_t index : alike)
      if (packed_.arrays[index].same_as(array)) return index;
    alike.push_back(packed_.arrays.size());
    packed_.arrays.push_back(array);
    return packed_.arrays.size() - 1;
  }

  size_t tensor(const TensorPtr& tensor) {
    const auto [it, fresh] = known_.emplace(tensor.get(), tensor_count_);
    if (!fresh) return it->second;
    ++tensor_count_;
    if (tensor->plain()) {
      tensors_.number(0);
      tensors_.number(array(tensor->parts.at(0)));
      return it->second;
    }
    ByteWriter codec;
    text(codec, tensor->codec->name);
    ByteReader number(std::as_bytes(std::span(codec.bytes())), "");
    tensors_.number(1 + number.number());
    tensors_.byte(uint8_t(tensor->type));
    extents(tensors_, tensor->dims);
    tensors_.integer(tensor->axis);
    tensors_.integer(tensor->group);
    tensors_.number(tensor->parts.size());
    for (const Array& part : tensor->parts) tensors_.number(array(part));
    return it->second;
  }

  static void extents(ByteWriter& out, const Dims& dims) {
    out.number(dims.size());
    for (int64_t extent : dims) out.number(uint64_t(extent));
  }

  void ids(ByteWriter& out, const std::vector<ValueId>& values) {
    out.number(values.size());
    for (ValueId id : values) out.number(uint64_t(id + 1));
  }

  void write(ByteWriter& out, const Graph& graph) {
    text(out, graph.name);
    out.integer(graph.ir_version);
    out.number(graph.opsets.size());
    for (const auto& [domain, version] : graph.opsets) {
      text(out, domain);
      out.integer(version);
    }
    text(out, graph.producer);
    text(out, graph.doc);
    out.number(graph.metadata.size());
    for (const auto& [key, value] : graph.metadata) {
      text(out, key);
      text(out, value);
    }
    text(out, graph.functions);
    out.number(graph.values.size());
    for (const Value& value : graph.values) write(out, value);
    out.number(graph.nodes.size());
    for (const Node& node : graph.nodes) write(out, node);
    ids(out, graph.inputs);
    ids(out, graph.outputs);
  }

  // flags: 1 constant, 2 outer, 4 shape, 8 other type. A constant's type and shape are its tensor's.
  void write(ByteWriter& out, const Value& value) {
    const bool constant = value.constant != nullptr, shape = !constant && value.shape.has_value();
    text(out, value.name);
    out.byte(uint8_t(int(constant) | int(value.outer) << 1 | int(shape) << 2 | int(!value.other_type.empty()) << 3));
    if (constant) out.number(tensor(value.constant));
    else out.byte(uint8_t(value.type));
    if (shape) {
      out.number(value.shape->size());
      for (const Dim& dim : *value.shape) {
        out.integer(dim.value);
        if (!dim.known()) text(out, dim.name);
      }
    }
    if (!value.other_type.empty()) text(out, value.other_type);
  }

  void write(ByteWriter& out, const Node& node) {
    text(out, node.name);
    text(out, node.op_type);
    text(out, node.domain);
    ids(out, node.inputs);
    ids(out, node.outputs);
    out.number(node.attributes.size());
    for (const auto& [key, value] : node.attributes) {
      text(out, key);
      out.byte(uint8_t(value.index()));
      std::visit([&](const auto& one) { write(out, one); }, value);
    }
  }

  void write(ByteWriter& out, int64_t value) { out.integer(value); }
  void write(ByteWriter& out, float value) { out.real(value); }
  void write(ByteWriter& out, const std::string& value) { text(out, value); }
  void write(ByteWriter& out, const TensorPtr& value) { out.number(tensor(value)); }
  void write(ByteWriter& out, const std::shared_ptr<Graph>& value) { write(out, *value); }
  template <class T>
  void write(ByteWriter& out, const std::vector<T>& values) {
    out.number(values.size());
    for (const T& value : values) write(out, value);
  }

  void share_blocks() {
    std::unordered_map<int, size_t> shared;
    for (size_t i = 0; i < packed_.arrays.size(); ++i) {
      const Array& one = packed_.arrays[i];
      // Strings have no element width; bits below a byte are seen as bytes.
      const uint8_t width = one.type() == Type::string ? 1 : uint8_t(std::clamp(type_bits(one.type()) / 8, 1, 8));
      size_t block = packed_.blocks.size();
      if (one.size_bytes() < kShared) block = shared.emplace(int(one.type()), block).first->second;
      if (block == packed_.blocks.size()) packed_.blocks.push_back({width, false, 0, 0, {}});
      packed_.blocks[block].arrays.push_back(i);
      packed_.block_of.push_back(block);
    }
  }

  PackedGraph packed_;
  ByteWriter tensors_;
  size_t tensor_count_ = 0;
  std::unordered_map<std::string, size_t> texts_;
  std::unordered_map<uint64_t, std::vector<size_t>> arrays_;
  std::unordered_map<const Tensor*, size_t> known_;
};

}  // namespace

PackedGraph pack_graph(const Graph& graph) { return Packer().pack(graph); }

std::string graph_section(const PackedGraph& packed) {
  ByteWriter out;
  out.number(packed.texts.size());
  for (const std::string& text : packed.texts) out.number(text.size());
  for (const std::string& text : packed.texts) out.raw(text);
  out.number(packed.blocks.size());
  for (const PackBlock& block : packed.blocks) {
    out.byte(block.width);
    out.byte(block.plain);
    out.number(block.coded_bytes);
    out.fixed32(block.checksum);
  }
  out.number(packed.arrays.size());
  for (size_t i = 0; i < packed.arrays.size(); ++i) {
    const Array& array = packed.arrays[i];
    out.byte(uint8_t(array.type()));
    out.number(array.dims().size());
    for (int64_t extent : array.dims()) out.number(uint64_t(extent));
    if (array.type() == Type::string) out.number(array.size_bytes());
    out.number(packed.block_of[i]);
  }
  out.raw(packed.tensors);
  out.raw(packed.graph);
  return std::move(out.bytes());
}

}  // namespace pare
