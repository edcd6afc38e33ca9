// Ids and texts of random Unicode against those of the Hugging Face library, recorded by tools/record_tokens.py.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "support/places.h"
#include "tokenizers/tokenizer.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
const fs::path goldens = fs::path(testing::source_dir()) / "tests/golden/tokenizers";

Tokenizer tokenizer_of(const nlohmann::json& golden) {
  if (golden.contains("tokenizer")) return Tokenizer(parse_tokenizer(golden["tokenizer"].dump(), "golden"));
  return Tokenizer::read(testing::models_dir() + "/" + golden["file"].get<std::string>());
}

void compare(const nlohmann::json& golden) {
  const Tokenizer tokenizer = tokenizer_of(golden);
  for (const auto& one : golden["cases"]) {
    const auto text = one[0].get<std::string>();
    const auto ids = one[1].get<std::vector<int64_t>>();
    EXPECT_EQ(tokenizer.encode(text), ids) << one[0];
    EXPECT_EQ(tokenizer.encode(text, false), one[2].get<std::vector<int64_t>>()) << one[0];
    const std::string plain = tokenizer.decode(ids);
    EXPECT_EQ(plain, one[3].get<std::string>()) << one[0];
    EXPECT_EQ(tokenizer.decode(ids, false), one[4].get<std::string>()) << one[0];
    TokenStream stream(tokenizer);
    std::string streamed;
    for (const int64_t id : ids) streamed += stream.next(id);
    EXPECT_EQ(streamed + stream.finish(), plain) << one[0];
  }
}

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, IdsAndTextsAreTheSame) {
  const auto golden = nlohmann::json::parse(read_text((goldens / (GetParam() + ".json")).string()));
  if (golden.contains("file") && !fs::exists(fs::path(testing::models_dir()) / golden["file"].get<std::string>()))
    GTEST_SKIP() << "there is no " << golden["file"];
  compare(golden);
}

std::vector<std::string> names() {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(goldens)) found.push_back(entry.path().stem().string());
  std::sort(found.begin(), found.end());
  return found;
}

INSTANTIATE_TEST_SUITE_P(Recorded, Golden, ::testing::ValuesIn(names()), [](const auto& one) { return one.param; });

}  // namespace
}  // namespace pare
