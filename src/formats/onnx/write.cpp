// Writes without holding the weights a second time: the small messages are built, the tensors' bytes go straight from
// their arrays to the file, into the model's message or into the data file beside it.
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "formats/format.h"
#include "formats/onnx/build.h"
#include "formats/onnx/onnx.h"
#include "formats/onnx/prepare.h"

namespace pare {
namespace {

using google::protobuf::io::CodedOutputStream;

// Tags of length-delimited fields: ModelProto.graph, GraphProto.initializer, TensorProto.raw_data.
constexpr uint32_t kGraphTag = 7 << 3 | 2, kInitializerTag = 5 << 3 | 2, kRawDataTag = 9 << 3 | 2;
constexpr int64_t kMessageLimit = int64_t(2000) << 20;  // protobuf readers stop at 2^31 − 1 bytes
constexpr int64_t kStaysInside = 1024;                  // bytes: shape arithmetic and scales belong in the model itself

// One initializer on its way to the file.
struct TensorPiece {
  std::string head;      // the TensorProto without raw_data, serialized
  Array array;
  bool inside = true;    // raw_data follows the head
  uint64_t offset = 0;   // in the data file, where it lies there

  uint64_t raw_size() const { return inside && array.type() != Type::string ? array.size_bytes() : 0; }
  bool has_raw() const { return inside && array.type() != Type::string; }
  uint64_t size() const {
    return head.size() + (has_raw() ? 1 + CodedOutputStream::VarintSize64(raw_size()) + raw_size() : 0);
  }
};

// Runtimes map the data file: large tensors start on a page, small ones on a cache line.
uint64_t aligned(uint64_t offset, const Array& array) {
  const uint64_t unit = array.size_bytes() >= 65536 ? 4096 : 64;
  return (offset + unit - 1) / unit * unit;
}

void add_entry(onnx::TensorProto& tensor, const char* key, const std::string& value) {
  auto& entry = *tensor.add_external_data();
  entry.set_key(key);
  entry.set_value(value);
}

std::vector<TensorPiece> cut_pieces(const Graph& graph, const std::string& data_name, int64_t external_above) {
  int64_t total = 0;
  const std::vector<ValueId> ids = initializers_of(graph);
  for (ValueId id : ids) total += int64_t(graph.at(id).constant->array().size_bytes());
  const bool outside = total > std::min(external_above, kMessageLimit);
  std::vector<TensorPiece> pieces;
  uint64_t end = 0;
  for (ValueId id : ids) {
    TensorPiece piece;
    piece.array = graph.at(id).constant->array();
    onnx::TensorProto head = build_tensor(graph.at(id).name, piece.array, false);
    if (outside && piece.array.type() != Type::string && int64_t(piece.array.size_bytes()) >= kStaysInside) {
      piece.inside = false;
      piece.offset = aligned(end, piece.array);
      end = piece.offset + piece.array.size_bytes();
      head.set_data_location(onnx::TensorProto::EXTERNAL);
      add_entry(head, "location", data_name);
      add_entry(head, "offset", std::to_string(piece.offset));
      add_entry(head, "length", std::to_string(piece.array.size_bytes()));
    }
    piece.head = head.SerializeAsString();
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

void write_data(const std::vector<TensorPiece>& pieces, const std::string& path) {
  write_file(path, [&](std::ostream& out) {
    uint64_t at = 0;
    for (const TensorPiece& piece : pieces) {
      if (piece.inside) continue;
      for (; at < piece.offset; ++at) out.put(0);
      out.write(reinterpret_cast<const char*>(piece.array.bytes()), std::streamsize(piece.array.size_bytes()));
      at += piece.array.size_bytes();
    }
  });
}

std::string model_head(const Graph& graph) {
  onnx::ModelProto model;
  if (!graph.functions.empty()) model.ParseFromString(graph.functions);
  model.set_ir_version(graph.ir_version);
  model.set_producer_name("pare");
  for (const auto& [domain, version] : graph.opsets) {
    auto& opset = *model.add_opset_import();
    if (!domain.empty()) opset.set_domain(domain);
    opset.set_version(version);
  }
  for (const auto& [key, value] : graph.metadata) {
    auto& entry = *model.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  return model.SerializeAsString();
}

void write_raw(CodedOutputStream& out, const std::byte* bytes, uint64_t size) {
  constexpr uint64_t kMost = uint64_t(1) << 30;  // WriteRaw takes an int
  for (uint64_t at = 0; at < size; at += kMost) out.WriteRaw(bytes + at, int(std::min(kMost, size - at)));
}

}  // namespace

void write_onnx(const Graph& graph, const std::string& path, const WriteOptions& options) {
  const Graph file = prepare_onnx(graph);
  const std::string data_path = path + ".data";
  const auto pieces = cut_pieces(file, std::filesystem::path(data_path).filename().string(), options.external_above);
  const std::string head = model_head(file), body = build_graph(file, false).SerializeAsString();
  uint64_t graph_size = body.size();
  for (const TensorPiece& piece : pieces) graph_size += 1 + CodedOutputStream::VarintSize64(piece.size()) + piece.size();
  if (head.size() + graph_size > uint64_t(INT32_MAX))
    throw Error(path, fmt::format("the model's nodes and subgraphs alone take {} bytes, ONNX files end at 2 GiB", graph_size));
  // The data first: a model that is there always finds its data.
  if (std::any_of(pieces.begin(), pieces.end(), [](const TensorPiece& piece) { return !piece.inside; })) write_data(pieces, data_path);
  write_file(path, [&](std::ostream& stream) {
    google::protobuf::io::OstreamOutputStream buffer(&stream);
    CodedOutputStream out(&buffer);
    out.WriteString(head);
    out.WriteTag(kGraphTag);
    out.WriteVarint64(graph_size);
    out.WriteString(body);
    for (const TensorPiece& piece : pieces) {
      out.WriteTag(kInitializerTag);
      out.WriteVarint64(piece.size());
      out.WriteString(piece.head);
      if (!piece.has_raw()) continue;
      out.WriteTag(kRawDataTag);
      out.WriteVarint64(piece.raw_size());
      write_raw(out, piece.array.bytes(), piece.raw_size());
    }
  });
}

}  // namespace pare
