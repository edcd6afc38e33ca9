// The text form of every real model reads back as itself.
#include <gtest/gtest.h>

#include <filesystem>

#include "codecs/codecs.h"
#include "formats/format.h"
#include "support/places.h"

namespace pare {
namespace {

TEST(TextOfModels, ReadsBackAsItself) {
  namespace fs = std::filesystem;
  if (!fs::exists(testing::models_dir())) GTEST_SKIP() << testing::models_dir() << " is absent";
  int models = 0;
  for (const auto& entry : fs::recursive_directory_iterator(testing::models_dir())) {
    if (entry.path().extension() != ".onnx") continue;
    SCOPED_TRACE(entry.path());
    const Graph graph = read_model(entry.path());
    const std::string text = print(graph, true);
    const Graph again = parse(text, entry.path().filename(), find_codec);
    EXPECT_NO_THROW(verify(again));
    EXPECT_TRUE(print(again, true) == text);
    EXPECT_TRUE(print(again) == print(graph));
    EXPECT_EQ(count_macs(again), count_macs(graph));
    ++models;
  }
  if (models == 0) GTEST_SKIP() << "no models";
}

}  // namespace
}  // namespace pare
