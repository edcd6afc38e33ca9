#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <climits>
#include <filesystem>

#include "formats/onnx/graph_reader.h"
#include "formats/onnx/lift.h"
#include "formats/onnx/onnx.h"
#include "formats/onnx/wire.h"

namespace pare {
namespace {

void parse_model(onnx::ModelProto& model, std::span<const std::byte> bytes, const std::string& where) {
  if (bytes.empty()) throw Error(where, "the file is empty, expected an ONNX model", "export or download the model again");
  if (bytes.size() > size_t(INT_MAX))
    throw Error(where, fmt::format("the file has {} bytes, ONNX files end at 2 GiB", bytes.size()),
                "save the model with external data: onnx.save(model, path, save_as_external_data=True)");
  google::protobuf::io::ArrayInputStream stream(bytes.data(), int(bytes.size()));
  google::protobuf::io::CodedInputStream input(&stream);
  input.SetTotalBytesLimit(INT_MAX);
  if (model.ParseFromCodedStream(&input) && input.ConsumedEntireMessage()) return;
  const std::string why = what_is_broken(bytes);
  throw Error(where, why.empty() ? "the file is no ONNX model, or damaged inside" : "the file is cut short or damaged: " + why,
              "export or download the model again");
}

std::map<std::string, int64_t> read_opsets(const onnx::ModelProto& model, const std::string& where) {
  std::map<std::string, int64_t> opsets;
  for (const auto& opset : model.opset_import()) {
    const std::string domain = opset.domain() == "ai.onnx" ? "" : opset.domain();
    // The newest is in the twenties; a thousand leaves room and still refuses garbage.
    if (opset.version() < 1 || opset.version() > 1000)
      throw Error(where, fmt::format("operator set version {} of '{}' does not exist", opset.version(), domain.empty() ? "ai.onnx" : domain),
                  "export or download the model again");
    opsets[domain] = opset.version();
  }
  if (opsets.empty()) opsets[""] = 1;  // IR versions 1 and 2 had no operator sets
  return opsets;
}

std::string keep_functions(onnx::ModelProto& model) {
  if (model.functions_size() == 0) return "";
  onnx::ModelProto only;
  only.mutable_functions()->Swap(model.mutable_functions());
  return only.SerializeAsString();
}

Graph read_source(std::span<const std::byte> bytes, OnnxSource source) {
  const std::string& where = source.where;
  onnx::ModelProto model;
  if (auto lifted = lift_weights(bytes)) {
    parse_model(model, std::as_bytes(std::span(lifted->message)), where);
    source.initializers = std::move(lifted->data);
  } else {
    parse_model(model, bytes, where);
  }
  if (!model.has_graph())
    throw Error(where, "the file holds no graph, expected an ONNX model", "export the model to ONNX again");
  Graph graph = GraphReader(source, read_opsets(model, where)).read(*model.mutable_graph());
  graph.ir_version = model.ir_version();
  graph.producer = model.producer_name();
  graph.doc = model.doc_string();
  for (const auto& entry : model.metadata_props()) graph.metadata[entry.key()] = entry.value();
  graph.functions = keep_functions(model);
  try {
    raise_opset(graph, kLeastOpset);
    fold_codecs(graph);
  } catch (const Error& error) {
    throw Error(where + (error.where().empty() ? "" : ": " + error.where()), error.problem(), error.fix());
  }
  order_values(graph);
  return graph;
}

}  // namespace

Graph read_onnx_bytes(std::span<const std::byte> bytes, const std::string& where, const std::string& folder) {
  return read_source(bytes, {where, folder, {}, nullptr, {}});
}

Graph read_onnx(const std::string& path) {
  const auto file = MappedFile::open(path);
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return read_source(file->bytes(), {path, folder.empty() ? "." : folder.string(), {}, file, {}});
}

Array read_onnx_tensor(const std::string& path) {
  const auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  onnx::TensorProto tensor;
  if (bytes.size() > size_t(INT_MAX) || !tensor.ParseFromArray(bytes.data(), int(bytes.size())))
    throw Error(path, "the file is no ONNX tensor, or damaged", "write it again: numpy_helper.from_array(...).SerializeToString()");
  OnnxSource source{path, "", {}, nullptr, {}};
  return read_tensor(tensor, source, path);
}

}  // namespace pare
