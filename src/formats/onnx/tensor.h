#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/array.h"
#include "base/files.h"
#include "formats/onnx/onnx.pb.h"

namespace pare {

// The file a model comes from, and the files beside it that hold its external data, each mapped once.
struct OnnxSource {
  std::string where;    // its name in errors
  std::string folder;   // empty: external data is refused
  std::map<std::string, std::shared_ptr<const MappedFile>> beside;
  std::shared_ptr<const MappedFile> file;                 // null: the model is in memory, and nothing may point into it
  std::vector<std::span<const std::byte>> initializers;   // raw data that was lifted out of the message, see lift.h
};

// The elements of `tensor`, checked against its extents and the bytes that exist before anything is allocated. Frees the
// message's own copy of the bytes, so that a model is in memory once. `lifted`: its raw data where the message has it no
// more. `where`: "model.onnx: initializer 'w'".
Array read_tensor(onnx::TensorProto& tensor, OnnxSource& source, const std::string& where,
                  std::span<const std::byte> lifted = {});
Array read_sparse(onnx::SparseTensorProto& tensor, OnnxSource& source, const std::string& where);

// Strings as an Array holds them: [uint32 length][bytes], one after the other.
Array string_array(Dims dims, const std::vector<std::string>& strings);
std::vector<std::string> strings_of(const Array& array);

}  // namespace pare
