#include <fmt/format.h>

#include "base/error.h"
#include "data/json_lines.h"
#include "data/reader.h"
#include "data/text.h"

// One JSON object a line, of which two keys are read: the text or its token ids, and its label; or an instruction and
// its answer.
namespace pare {
namespace {

struct Keys {
  std::string text, ids, label;      // text is empty where ids are read
  std::string prompt, answer, form;  // of instructions; empty: there are none
};

constexpr std::string_view kPrompt = "{prompt}", kAnswer = "{answer}";

std::vector<int64_t> ids_of(const Json& object, const std::string& key, const std::string& where) {
  const Json& list = json_member(object, key, where);
  bool whole = list.is_array();
  std::vector<int64_t> ids;
  for (size_t i = 0; whole && i < list.size(); ++i) {
    whole = list[i].is_number_integer();
    if (whole)
      ids.push_back(list[i].is_number_unsigned() && list[i].get<uint64_t>() > INT64_MAX ? -1 : list[i].get<int64_t>());
  }
  if (!whole) throw Error(where, fmt::format("\"{}\" is not a list of whole numbers", key));
  return ids;
}

// The text between `{…}` marks of a form, each mark in its place.
std::string filled(std::string form, std::string_view mark, const std::string& text) {
  if (const size_t at = form.find(mark); at != std::string::npos) form.replace(at, mark.size(), text);
  return form;
}

// What stands in front of the answer is given; the answer and what ends it are asked for.
void add_instruction(const Json& object, const Keys& keys, const SplitRequest& request, const std::string& where,
                     TokenSamples& samples) {
  const size_t cut = keys.form.find(kAnswer);
  const std::string front = filled(keys.form.substr(0, cut), kPrompt, json_text(object, keys.prompt, where));
  const Tokenizer& tokenizer = *request.text.tokenizer;
  std::vector<int64_t> ids = tokenizer.encode(front);
  const auto given = int64_t(ids.size());
  const std::vector<int64_t> answer =
      tokenizer.encode(filled(keys.form.substr(cut), kAnswer, json_text(object, keys.answer, where)), false);
  ids.insert(ids.end(), answer.begin(), answer.end());
  if (answer.empty())
    throw Error(where, fmt::format("\"{}\" is empty", keys.answer), "leave lines without an answer out");
  if (given >= request.text.length)
    throw Error(where, fmt::format("the instruction has {} tokens, no room is left for its answer", given),
                fmt::format("raise [text] length (now {}), or leave long ones out", request.text.length));
  samples.add(ids, -1, where, given);
}

int64_t label_in(const Json& object, const std::string& key, const SplitRequest& request, const std::string& where) {
  if (const auto at = object.find(key); !request.needs_labels && (at == object.end() || at->is_null())) return -1;
  const Json& label = json_member(object, key, where);
  if (label.is_string()) return label_of(label.get<std::string>(), request.classes, where);
  if (!label.is_number_integer()) throw Error(where, fmt::format("\"{}\" is neither a whole number nor a text", key));
  const int64_t number = label.is_number_unsigned() && label.get<uint64_t>() > INT64_MAX ? -1 : label.get<int64_t>();
  check_label(number, request.classes.empty() ? INT32_MAX : int64_t(request.classes.size()), where);
  return number;
}

}  // namespace

Split read_jsonl(const SplitRequest& request) {
  const Section& section = request.section;
  if (section.has("text") && section.has("ids"))
    section.fail("ids", "the text and its ids are given, one of them is enough", "remove one of the two");
  if (section.has("prompt") != section.has("answer"))
    section.fail(section.has("prompt") ? "prompt" : "answer", "an instruction has a prompt and an answer",
                 "name both keys: prompt = \"instruction\", answer = \"output\"");
  const Keys keys{section.text("text", ""),       section.text("ids", "input_ids"),
                  section.text("label", "label"), section.text("prompt", ""),
                  section.text("answer", ""),     section.text("form", "{prompt}{answer}")};
  if (keys.form.find(kPrompt) > keys.form.find(kAnswer) || keys.form.find(kAnswer) == std::string::npos)
    section.fail("form", "holds no {prompt} followed by {answer}",
                 "for example: form = \"Question: {prompt}\\nAnswer: {answer}\\n\"");
  if (!keys.text.empty() || !keys.prompt.empty()) need_tokenizer(request.text, section);
  auto samples = std::make_shared<TokenSamples>(request.text);
  for (const std::string& path : section.files("files"))
    read_json_lines(path, [&](const Json& object, const std::string& where) {
      if (!keys.prompt.empty()) return add_instruction(object, keys, request, where, *samples);
      const int64_t label = label_in(object, keys.label, request, where);
      if (keys.text.empty())
        samples->add(ids_of(object, keys.ids, where), label, where);
      else
        samples->add(json_text(object, keys.text, where), label, where);
    });
  return text_split(request, samples);
}

}  // namespace pare
