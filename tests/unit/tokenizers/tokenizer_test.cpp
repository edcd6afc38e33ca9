#include "tokenizers/tokenizer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "support/places.h"

namespace pare {
namespace {

using Json = nlohmann::json;
using Ids = std::vector<int64_t>;
const std::string llm = testing::models_dir() + "/llm/";

std::string error_of(const std::string& json) {
  try {
    Tokenizer(parse_tokenizer(json, "t.json"));
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void expect_error(const Json& file, const std::string& part) {
  const std::string text = error_of(file.dump());
  EXPECT_NE(text.find(part), std::string::npos) << text;
  EXPECT_EQ(text.rfind("t.json", 0), 0u) << text;
}

Json small() {
  return {{"model",
           {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}, {"abb", 3}}}, {"merges", {"a b", "ab b"}}}}};
}

TEST(Tokenizer, MergesByRankThenFromTheLeft) {
  const Tokenizer tokenizer(parse_tokenizer(small().dump(), "t.json"));
  EXPECT_EQ(tokenizer.encode("abbab"), (Ids{3, 2}));
  EXPECT_EQ(tokenizer.encode("bbaab"), (Ids{1, 1, 0, 2}));
  EXPECT_EQ(tokenizer.encode("axb"), (Ids{2})) << "a character without a token is lost; its neighbours meet";
  EXPECT_EQ(tokenizer.encode(""), Ids());
  EXPECT_EQ(tokenizer.size(), 4);
  EXPECT_EQ(tokenizer.id_of("ab"), 2);
  EXPECT_EQ(tokenizer.id_of("x"), -1);
  EXPECT_EQ(tokenizer.token(3), "abb");
  EXPECT_EQ(tokenizer.token(-1), "");
  EXPECT_EQ(tokenizer.decode(Ids{2, 99, -5, 0}), "ab a");
}

TEST(Tokenizer, ScoresMergeAsSentencePieceDoes) {
  TokenizerParts parts;
  parts.model = "BPE";
  parts.vocabulary = {"<unk>", "a", "b", "c", "ab", "bc", "abc"};
  parts.scores = {0, 0, 0, 0, -2, -1, -3};
  parts.options = {{"unk_token", "<unk>"}};
  const Tokenizer tokenizer(parts);
  EXPECT_EQ(tokenizer.encode("abc"), (Ids{6})) << "bc first, then a with bc";
  EXPECT_EQ(tokenizer.encode("abab"), (Ids{4, 4}));
  EXPECT_EQ(tokenizer.encode("abxc"), (Ids{4, 0, 3}));
  parts.scores.pop_back();
  EXPECT_THROW(Tokenizer{parts}, Error);
}

TEST(Tokenizer, LengthCountsSpecialTokens) {
  Json file = small();
  file["post_processor"] = {{"type", "BertProcessing"}, {"sep", {"[SEP]", 8}}, {"cls", {"[CLS]", 7}}};
  file["truncation"] = {{"max_length", 4}};
  const Tokenizer tokenizer(parse_tokenizer(file.dump(), "t.json"));
  EXPECT_EQ(tokenizer.length(), 4);
  EXPECT_EQ(tokenizer.encode("aaaa", true, 4), (Ids{7, 0, 0, 8}));
  EXPECT_EQ(tokenizer.encode("aaaa", false, 3), (Ids{0, 0, 0}));
  EXPECT_EQ(tokenizer.encode("aaaa", true, 1), (Ids{8}));
  EXPECT_EQ(tokenizer.encode("aaaa"), (Ids{7, 0, 0, 0, 0, 8}));
}

TEST(Tokenizer, IllFormedBytesCountAsReplacementCharacters) {
  Json file = small();
  file["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  file["decoder"] = {{"type", "ByteLevel"}};
  const Tokenizer tokenizer(parse_tokenizer(file.dump(), "t.json"));
  for (const char* bad : {"a\xFF"
                          "b",
                          "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE4\xBD", "a\x80\x80"})
    EXPECT_NO_THROW(tokenizer.encode(bad));
  EXPECT_EQ(tokenizer.encode("a\xFF"
                             "b"),
            tokenizer.encode("a\uFFFDb"));
  EXPECT_EQ(tokenizer.encode(std::string("a\0b", 3)), (Ids{0, 1}));
}

TEST(Tokenizer, StreamsWholeCharacters) {
  if (!std::filesystem::exists(llm)) GTEST_SKIP() << "there is no " << llm;
  const Tokenizer tokenizer = Tokenizer::read(llm + "stories260K/tokenizer.json");
  TokenStream stream(tokenizer);
  std::vector<std::string> parts;
  for (const int64_t id : tokenizer.encode("Hi 😀!", false)) parts.push_back(stream.next(id));
  std::string all;
  for (const std::string& part : parts) all += part;
  EXPECT_EQ(all + stream.finish(), "Hi 😀!");
  EXPECT_EQ(std::count(parts.begin(), parts.end(), "😀"), 1) << "its four bytes are four tokens";
  stream.next(3 + 0xF0);
  EXPECT_EQ(stream.finish(), "\uFFFD");
}

TEST(Tokenizer, WikitextGivesTheGivenIds) {
  if (!std::filesystem::exists(llm)) GTEST_SKIP() << "there is no " << llm;
  const auto file = MappedFile::open(llm + "wikitext2_test_smollm2_ids.u16");
  std::vector<uint16_t> expected(file->bytes().size() / 2);
  std::memcpy(expected.data(), file->bytes().data(), file->bytes().size());
  const Tokenizer tokenizer = Tokenizer::read(llm + "smollm2_tokenizer.json");
  const std::string text = read_text(llm + "wikitext2_test.txt");
  const Ids ids = tokenizer.encode(text);
  ASSERT_EQ(ids.size(), 303272u);
  EXPECT_TRUE(std::equal(ids.begin(), ids.end(), expected.begin(), expected.end()));
  EXPECT_EQ(tokenizer.decode(ids), text);
  // What a GGUF file calls "smollm" is the same.
  TokenizerParts parts = parse_tokenizer(read_text(llm + "smollm2_tokenizer.json"), "t");
  parts.pre_tokenizer = named_pre_tokenizer("smollm");
  EXPECT_EQ(Tokenizer(parts).encode(text), ids);
}

TEST(Tokenizer, SentencePieceScoresGiveTheSameIdsAsMerges) {
  if (!std::filesystem::exists(llm)) GTEST_SKIP() << "there is no " << llm;
  TokenizerParts parts = parse_tokenizer(read_text(llm + "stories260K/tokenizer.json"), "t");
  const Tokenizer merging(parts);
  // llama2.c's tok512.bin: longest token [int32], then [float32 score][int32 length][bytes] a token.
  const std::string bin = read_text(llm + "tok512.bin");
  for (size_t at = 4; at + 8 <= bin.size();) {
    float score;
    int32_t length;
    std::memcpy(&score, &bin[at], 4);
    std::memcpy(&length, &bin[at + 4], 4);
    parts.scores.push_back(score);
    at += 8 + size_t(length);
  }
  parts.merges.clear();
  const Tokenizer scoring(parts);
  const std::string text = read_text(llm + "tinystories_sample.txt");
  EXPECT_GT(merging.encode(text).size(), 1000u);
  EXPECT_EQ(scoring.encode(text), merging.encode(text));
}

TEST(Tokenizer, BadFilesAreRefused) {
  EXPECT_NE(error_of("{").find("is not a tokenizer"), std::string::npos);
  EXPECT_NE(error_of("[]").find("is not a tokenizer"), std::string::npos);
  EXPECT_NE(error_of("{\"model\": 3}").find("is not a tokenizer"), std::string::npos);
  EXPECT_NE(error_of("{\"model\": " + std::string(100000, '[')).find("nests deeper"), std::string::npos);
  const auto with = [](const std::string& pointer, const Json& value) {
    Json file = small();
    file[Json::json_pointer(pointer)] = value;
    return file;
  };
  expect_error(with("/model/type", "Unigram"), "known: WordPiece, BPE");
  expect_error(with("/model/vocab", {{"a", 4000000000u}}), "not a number below");
  expect_error(with("/model/vocab", {{"a", -1}}), "not a number below");
  expect_error(with("/model/vocab", {{"a", 1}, {"b", 1}}), "same id, 1");
  expect_error(with("/model/vocab", {"a", "b"}), "no vocabulary");
  expect_error(with("/model/merges", {"a c"}), "\"c\" is not in the vocabulary");
  expect_error(with("/model/merges", {"abc"}), "merge 0 is not a pair");
  expect_error(with("/model/unk_token", "?"), "\"?\", is not in the vocabulary");
  expect_error(with("/normalizer", {{"type", "Precompiled"}}), "the normalizer \"Precompiled\" is not known");
  expect_error(with("/normalizer", 3), "not an object");
  expect_error(with("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}}),
               "is not a pattern");
  expect_error(with("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "Odd"}}),
               "known: Removed");
  expect_error(with("/pre_tokenizer", {{"type", "Sequence"}}), "no list \"pretokenizers\"");
  expect_error(with("/decoder", {{"type", "CTC"}}), "the decoder \"CTC\" is not known");
  expect_error(with("/decoder", {{"type", "Strip"}, {"content", " "}, {"start", -1}, {"stop", 0}}),
               "no count \"start\"");
  expect_error(with("/post_processor", {{"type", "TemplateProcessing"}, {"single", Json::array()}}),
               "no place for the text");
  expect_error(with("/added_tokens", {{{"content", "x"}}}), "added token 0 has no id");
  expect_error(with("/added_tokens", {{{"id", 7}}}), "no text \"content\"");
  EXPECT_THROW(named_pre_tokenizer("nobody's"), Error);
}

TEST(Tokenizer, APatternThatNeverEndsIsStopped) {
  Json file = small();
  file["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"behavior", "Isolated"}};
  const Tokenizer tokenizer(parse_tokenizer(file.dump(), "t.json"));
  EXPECT_THROW(tokenizer.encode(std::string(5000, 'a') + "b"), Error);
}

}  // namespace
}  // namespace pare
