#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "graph/op.h"
#include "language/decoder.h"
#include "language/sampling.h"
#include "language/text_model.h"

namespace pare {
namespace {

TEST(Sampling, TemperatureZeroTakesTheMostProbable) {
  Sampler sampler({});
  EXPECT_EQ(sampler.choose(std::vector<float>{0.5f, 3.f, -1.f, 2.9f}), 1);
}

TEST(Sampling, FrequenciesFollowTheScores) {
  const std::vector<float> scores{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const auto frequencies = [&](SamplingOptions options) {
    Sampler sampler(options);
    std::vector<double> counts(3);
    for (int i = 0; i < 20000; ++i) counts[size_t(sampler.choose(scores))] += 1.0 / 20000;
    return counts;
  };
  const auto all = frequencies({1, 0, 1, 7});
  EXPECT_NEAR(all[0], 0.5, 0.02);
  EXPECT_NEAR(all[2], 0.2, 0.02);
  const auto two = frequencies({1, 2, 1, 7});
  EXPECT_NEAR(two[0], 0.5 / 0.8, 0.02);
  EXPECT_EQ(two[2], 0);
  const auto nucleus = frequencies({1, 0, 0.7, 7});   // 0.5 is less than 0.7, 0.5 + 0.3 reaches it
  EXPECT_EQ(nucleus[2], 0);
  EXPECT_GT(nucleus[1], 0.3);
  const auto cold = frequencies({0.5, 0, 1, 7});      // p²: 0.25, 0.09, 0.04
  EXPECT_NEAR(cold[0], 0.25 / 0.38, 0.02);
}

TEST(Sampling, TheSameSeedGivesTheSameTokens) {
  std::vector<float> scores(100);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = float(std::sin(double(i)));
  Sampler a({1, 0, 1, 5}), b({1, 0, 1, 5}), c({1, 0, 1, 6});
  int different = 0;
  for (int i = 0; i < 50; ++i) {
    const int64_t token = a.choose(scores);
    EXPECT_EQ(token, b.choose(scores));
    different += token != c.choose(scores);
  }
  EXPECT_GT(different, 10);
}

TEST(Chat, ChatMlWithTheTemplatesOwnSystemMessage) {
  const std::string chatml = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + ...";
  EXPECT_EQ(chat_text(chatml, {{"user", "Hi"}}), "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(chat_text(chatml, {{"system", "Be brief."}, {"user", "Hi"}}), "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(Chat, OtherForms) {
  EXPECT_EQ(chat_text("... <|start_header_id|> ...", {{"user", "Hi"}}), "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
  EXPECT_EQ(chat_text("[INST]", {{"system", "S"}, {"user", "Hi"}}), "[INST] <<SYS>>\nS\n<</SYS>>\n\nHi [/INST]");
  EXPECT_THROW(chat_text("", {{"user", "Hi"}}), Error);
  EXPECT_THROW(chat_text("unheard of", {{"user", "Hi"}}), Error);
}

TEST(TextModel, DamagedMetadataIsAnError) {
  Graph graph;
  graph.metadata["gguf"] = "[[1, 2]]";
  EXPECT_THROW(text_model_of(graph, "test"), Error);
  graph.metadata["gguf"] = R"([["tokenizer.ggml.tokens", {"[str]": ["a"]}], ["tokenizer.ggml.model", {"str": "unheard of"}]])";
  EXPECT_THROW(text_model_of(graph, "test"), Error);
  graph.metadata["gguf"] = R"([["tokenizer.ggml.tokens", {"[u32]": [1]}], ["tokenizer.ggml.model", {"str": "gpt2"}]])";
  EXPECT_THROW(text_model_of(graph, "test"), Error);
}

TEST(Decoder, GraphsOfAnotherFormAreRefused) {
  Graph graph;
  graph.inputs = {graph.add_value("x", Type::f32, shape_of({1}))};
  graph.outputs = graph.inputs;
  EXPECT_THROW(Decoder(graph, 16, 1, "test"), Error);
}

}  // namespace
}  // namespace pare
