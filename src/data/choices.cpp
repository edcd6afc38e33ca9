#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/bytes.h"
#include "data/json_lines.h"
#include "data/reader.h"
#include "data/text.h"

// Questions with answers to choose from, a JSON object a line. Each question gives a sample an answer: the question's
// tokens, which are only read, and the answer's.
namespace pare {
namespace {

struct Keys {
  std::string prompt, choices, answer, separator;
};

// 2, "2" and "C" are the third answer.
int64_t answer_in(const Json& object, const std::string& key, int64_t count, const std::string& where) {
  const Json& answer = json_member(object, key, where);
  int64_t number = -1;
  if (answer.is_number_integer())
    number = answer.is_number_unsigned() && answer.get<uint64_t>() > INT32_MAX ? -1 : answer.get<int64_t>();
  if (answer.is_string()) {
    const std::string text = answer.get<std::string>();
    if (text.size() == 1 && text[0] >= 'A' && text[0] <= 'Z')
      number = text[0] - 'A';
    else
      number = label_of(text, {}, where);
  }
  if (number < 0 || number >= count)
    throw Error(where, fmt::format("\"{}\" is {}, which is none of the {} answers", key, answer.dump(), count),
                "write its number, from 0, or its letter, from A");
  return number;
}

std::vector<std::string> choices_in(const Json& object, const std::string& key, const std::string& where) {
  const Json& list = json_member(object, key, where);
  const bool texts = list.is_array() && list.size() >= 2 &&
                     std::all_of(list.begin(), list.end(), [](const Json& text) { return text.is_string(); });
  if (!texts) throw Error(where, fmt::format("\"{}\" is not a list of two texts or more", key));
  return list.get<std::vector<std::string>>();
}

// The question's tokens end where those of question and answer together go on differently: spaces belong to what
// follows them, as models learn it.
void add_question(const std::string& prompt, const std::string& separator, const std::string& choice,
                  const TextOptions& options, Truth::Choice about, const std::string& where, TokenSamples& samples) {
  const std::string question = prompt.substr(0, prompt.find_last_not_of(" \t\n") + 1),
                    between = prompt.substr(question.size());
  const auto before = int64_t(options.tokenizer->encode(question).size());
  const std::vector<int64_t> ids =
      options.tokenizer->encode(question + (between.empty() ? separator : between) + choice);
  if (int64_t(ids.size()) > options.length)
    throw Error(where, fmt::format("question and answer are {} tokens, more than {}", ids.size(), options.length),
                "raise [text] length");
  if (before >= int64_t(ids.size()))
    throw Error(where, "an answer adds no token to its question", "leave empty answers out");
  samples.add(ids, -1, where, before);
  samples.describe(about);
}

}  // namespace

Split read_choices(const SplitRequest& request) {
  const Section& section = request.section;
  need_tokenizer(request.text, section);
  const Keys keys{section.text("prompt", "prompt"), section.text("choices", "choices"),
                  section.text("answer", "answer"), section.text("separator", " ")};
  const int64_t most = section.integer("questions", INT64_MAX, 1, INT64_MAX);
  auto samples = std::make_shared<TokenSamples>(request.text);
  int64_t question = 0;
  for (const std::string& path : section.files("files"))
    read_json_lines(path, [&](const Json& object, const std::string& where) {
      if (question >= most) return;
      const std::string prompt = json_text(object, keys.prompt, where);
      const std::vector<std::string> choices = choices_in(object, keys.choices, where);
      const int64_t right = answer_in(object, keys.answer, int64_t(choices.size()), where);
      for (size_t c = 0; c < choices.size(); ++c)
        add_question(prompt, keys.separator, choices[c], request.text,
                     {question, int64_t(choices[c].size()), int64_t(c) == right}, where, *samples);
      ++question;
    });
  Split split = text_split(request, samples);
  split.truth = TruthKind::choice;
  return split;
}

}  // namespace pare
