#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "base/files.h"
#include "command.h"
#include "formats/format.h"
#include "language/decoder.h"
#include "language/sampling.h"
#include "language/text_model.h"
#include "measure/measure.h"
#include "output.h"

namespace pare {
namespace {

struct Arguments {
  std::string model, adapter, prompt, system;
  int64_t tokens = 128, context = 0;
  bool chat = false, keep_on = false;
  std::string cache = "float16";
  SamplingOptions sampling;
};

const std::map<std::string, KeyValues> kCaches = {
    {"float16", KeyValues::f16}, {"float32", KeyValues::f32}, {"int8", KeyValues::i8}};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Generated {
  std::string text;
  int64_t prompt_tokens = 0, tokens = 0;
  double load_seconds = 0;  // of opening and packing the model
  double first_seconds = 0, prompt_seconds = 0,
         seconds = 0;    // to the first token, of reading, of all tokens behind the first
  bool stopped = false;  // the model ended the text itself
};

std::vector<int64_t> prompt_ids(const Arguments& arguments, const TextModel& model) {
  const Tokenizer& tokenizer = *model.tokenizer;
  if (!arguments.chat) return tokenizer.encode(arguments.prompt);
  std::vector<ChatMessage> messages;
  if (!arguments.system.empty()) messages.push_back({"system", arguments.system});
  messages.push_back({"user", arguments.prompt});
  return tokenizer.encode(chat_text(model.chat_template, messages));
}

Generated generate(const Arguments& arguments, const TextModel& model, Decoder& decoder, std::vector<int64_t> ids,
                   bool print) {
  Generated result;
  result.prompt_tokens = int64_t(ids.size());
  TokenStream stream(*model.tokenizer);
  Sampler sampler(arguments.sampling);
  const auto give = [&](const std::string& text) {
    result.text += text;
    if (!print) return;
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  };
  const double start = now();
  std::span<const float> scores = decoder.read(ids);
  result.prompt_seconds = now() - start;
  while (result.tokens < arguments.tokens && !interrupted()) {
    const int64_t id = sampler.choose(scores);
    if (result.tokens++ == 0) result.first_seconds = now() - start;
    if (!arguments.keep_on && std::find(model.stops.begin(), model.stops.end(), id) != model.stops.end()) {
      result.stopped = true;
      break;
    }
    give(stream.next(id));
    if (result.tokens == arguments.tokens || decoder.past() == decoder.capacity()) break;
    scores = decoder.read({&id, 1});
  }
  give(stream.finish());
  result.seconds = now() - start - result.first_seconds;
  return result;
}

nlohmann::json json_of(const Arguments& arguments, const Generated& result, const Shared& shared) {
  const double later = double(result.tokens - 1);
  return {{"model", arguments.model},
          {"text", result.text},
          {"prompt_tokens", result.prompt_tokens},
          {"tokens", result.tokens},
          {"stopped_by_model", result.stopped},
          {"throughput",
           {{"prompt_tokens_per_s", double(result.prompt_tokens) / result.prompt_seconds},
            {"generate_tokens_per_s", later > 0 ? nlohmann::json(later / result.seconds) : nlohmann::json()}}},
          {"load_s", result.load_seconds},
          {"time_to_first_token_s", result.first_seconds},
          {"peak_memory_bytes", peak_memory_bytes()},
          {"threads", shared.threads}};
}

int run(const Arguments& arguments, const Shared& shared) {
  const double start = now();
  Graph graph =
      read_model(arguments.adapter.empty() ? arguments.model : arguments.model + "+" + arguments.adapter);
  const TextModel model = text_model_of(graph, arguments.model);
  graph.metadata.clear();  // the tokenizer's text is not needed any more
  if (!model.tokenizer) throw Error(arguments.model, "has no tokenizer", "keep tokenizer.json beside the weights");
  const std::vector<int64_t> ids = prompt_ids(arguments, model);
  if (ids.empty())
    throw UsageError("--prompt", "is empty, and the model's texts have no beginning of their own", "give a prompt");
  const int64_t capacity = arguments.context > 0 ? arguments.context : int64_t(ids.size()) + arguments.tokens;
  Decoder decoder(std::move(graph), capacity, shared.threads, arguments.model, kCaches.at(arguments.cache));
  decoder.prepare(int64_t(ids.size()));
  const double load_seconds = now() - start;
  const bool print = shared.json != "-" && !shared.quiet;
  if (print && !arguments.chat) std::fputs(arguments.prompt.c_str(), stdout);
  Generated result = generate(arguments, model, decoder, ids, print);
  result.load_seconds = load_seconds;
  if (print) std::fputs("\n", stdout);
  give_json(shared, json_of(arguments, result, shared));
  if (print)
    fmt::print(stderr,
               "loaded in {:.2f} s; {} prompt tokens in {:.3f} s ({:.0f} tokens/s), {} tokens at {:.1f} tokens/s, "
               "first after {:.3f} s, {} thread{}\n",
               result.load_seconds, result.prompt_tokens, result.prompt_seconds,
               double(result.prompt_tokens) / result.prompt_seconds, result.tokens,
               double(result.tokens - 1) / result.seconds, result.first_seconds, shared.threads,
               shared.threads == 1 ? "" : "s");
  return interrupted() ? kStoppedByUser : 0;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "a GGUF file, or a folder with config.json and safetensors")->required();
  app.add_option(
         "--adapter", arguments->adapter,
         "low-rank adapters to put beside the layers: PEFT's folder or a GGUF file; other commands take MODEL+ADAPTER")
      ->type_name("FILE");
  app.add_option("--prompt", arguments->prompt, "the text to continue, or with --chat what you say");
  app.add_flag("--chat", arguments->chat, "write the prompt as the model's chat template does");
  app.add_option("--system", arguments->system, "with --chat: the system message; default: the template's own")
      ->needs("--chat");
  app.add_option("--tokens", arguments->tokens, "tokens to write at most")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->capture_default_str();
  app.add_option("--context", arguments->context, "tokens to remember; default: the prompt's and --tokens")
      ->check(CLI::Range(int64_t(2), int64_t(1) << 22));
  app.add_option("--cache", arguments->cache,
                 "how keys and values of the text so far are kept: float16, float32, or int8, which takes half of "
                 "float16's memory")
      ->check(CLI::IsMember({"float16", "float32", "int8"}))
      ->capture_default_str();
  app.add_flag("--keep-on", arguments->keep_on,
               "write all of --tokens, also behind the end that the model gives its text: for timing");
  app.add_option("--temperature", arguments->sampling.temperature,
                 "0: always the most probable token; 1: as probable as the model says")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  app.add_option("--top-k", arguments->sampling.top_k, "choose among so many most probable tokens; 0: all")
      ->check(CLI::Range(int64_t(0), int64_t(1) << 22))
      ->capture_default_str();
  app.add_option("--top-p", arguments->sampling.top_p, "choose among the most probable tokens that make up this share")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  return [arguments, &shared] {
    arguments->sampling.seed = shared.seed;
    return run(*arguments, shared);
  };
}

}  // namespace

extern const Command command_generate;
const Command command_generate = {"generate", "Writes text with a language model, token by token.",
                                  "pare generate model.gguf --prompt \"Once upon a time\" --tokens 100", declare};

}  // namespace pare
