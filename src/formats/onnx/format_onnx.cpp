#include "formats/format.h"
#include "formats/onnx/onnx.h"
#include "formats/onnx/wire.h"

#include "base/files.h"

namespace pare {
namespace {

bool detect(const std::string&, std::span<const std::byte> head) { return looks_like_onnx(head); }

std::vector<std::string> side_files(const std::string& path) { return external_locations(MappedFile::open(path)->bytes()); }

}  // namespace

extern const Format format_onnx;
const Format format_onnx{"onnx", ".onnx", "ONNX models, opset 1 to 26; written so that ONNX Runtime and OpenVINO load them",
                         detect, read_onnx, write_onnx, side_files};

}  // namespace pare
