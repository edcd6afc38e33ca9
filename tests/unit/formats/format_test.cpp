// Which format a file is in, and what is said of files that are in none.
#include <filesystem>
#include <fstream>

#include "golden.h"

namespace pare {
namespace {

using namespace std::string_literals;

struct Lookalike {
  const char* name;
  std::string head;
  const char* says;
};

class LookalikeFile : public ::testing::TestWithParam<Lookalike> {};

TEST_P(LookalikeFile, IsNamed) {
  const TemporaryFolder folder;
  const std::string path = folder / "model";
  std::ofstream(path, std::ios::binary) << GetParam().head;
  try {
    format_of_file(path);
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(GetParam().says), std::string::npos) << error.what();
    EXPECT_NE(error.fix().find("onnx (.onnx)"), std::string::npos) << error.fix();
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, LookalikeFile,
                         ::testing::Values(Lookalike{"Zip", "PK\x03\x04rest of it", "zip"}, Lookalike{"Pickle", "\x80\x02}q\0(X"s, "pickle"},
                                           Lookalike{"TfLite", "\x1c\0\0\0TFL3\x14\0"s, "TensorFlow Lite"},
                                           Lookalike{"LfsPointer", "version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"},
                                           Lookalike{"Hdf5", "\x89HDF\r\n\x1a\n", "HDF5"}, Lookalike{"Html", "<!DOCTYPE html>", "web page"},
                                           Lookalike{"OpenVino", "<?xml version=\"1.0\"?>\n<net name=", "OpenVINO"},
                                           Lookalike{"Ort", "\x18\0\0\0ORTM"s, ".ort"}, Lookalike{"Empty", "", "empty"},
                                           Lookalike{"Text", "hello, I am no model", "68 65 6c 6c 6f"}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Formats, OnnxIsFoundByContentNotByName) {
  const TemporaryFolder folder;
  const std::string path = folder / "weights.bin";
  std::filesystem::copy_file(fixture("float16_weights"), path);
  EXPECT_STREQ(format_of_file(path).name, "onnx");
  EXPECT_EQ(read_model(path).outputs.size(), 2u);
}

TEST(Formats, WritingGoesByExtension) {
  EXPECT_STREQ(format_to_write("a/b.onnx").name, "onnx");
  EXPECT_THROW(format_to_write("a/b.pt"), Error);
  EXPECT_THROW(format_to_write("a/b"), Error);
}

TEST(Formats, ArtifactBytesCountTheDataBeside) {
  const std::string path = fixture("external");
  const auto size = [](const std::string& p) { return int64_t(std::filesystem::file_size(p)); };
  EXPECT_EQ(artifact_bytes(path), size(path) + size(testing::source_dir() + "/tests/golden/onnx/external.bin"));
  EXPECT_EQ(artifact_bytes(fixture("int4_weights")), size(fixture("int4_weights")));
}

}  // namespace
}  // namespace pare
