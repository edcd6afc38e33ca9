#include "data/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "data/reader.h"

namespace pare {
namespace {

const std::vector<std::string> kinds = {"ids", "mask", "types", "positions"};  // in the order of TextOptions::Input

std::vector<std::pair<std::string, TextOptions::Input>> read_inputs(const Section& section) {
  std::vector<std::pair<std::string, TextOptions::Input>> inputs;
  bool has_ids = false;
  for (const std::string& name : section.keys()) {
    inputs.emplace_back(name, TextOptions::Input(section.choice(name, kinds)));
    has_ids |= inputs.back().second == TextOptions::Input::ids;
  }
  if (!has_ids)
    section.fail("", "no input takes the token ids",
                 "for example: inputs = { tokens = \"ids\", attention = \"mask\" }");
  return inputs;
}

}  // namespace

TextOptions TextOptions::read(const std::optional<Section>& section) {
  TextOptions options;
  if (!section) return options;
  section->allow({"tokenizer", "length", "padding", "pad_id", "inputs"});
  if (section->has("tokenizer")) {
    options.tokenizer = std::make_shared<const Tokenizer>(Tokenizer::read(section->file("tokenizer")));
    if (options.tokenizer->length() > 0) options.length = options.tokenizer->length();
    options.pad_id = options.tokenizer->pad_id();
  }
  options.length = section->integer("length", options.length, 1, 1 << 20);
  options.padding = section->boolean("padding", options.padding);
  options.pad_id = section->integer("pad_id", options.pad_id, 0, INT32_MAX);
  if (section->has("inputs")) options.inputs = read_inputs(*section->section("inputs"));
  return options;
}

std::vector<std::string> TextOptions::input_names() const {
  std::vector<std::string> names;
  for (const auto& [name, kind] : inputs) names.push_back(name);
  return names;
}

Padding TextOptions::filling() const {
  Padding filling;
  if (!padding) return filling;
  filling.most = length;
  for (const auto& [name, kind] : inputs) filling.values.push_back(kind == Input::ids ? pad_id : 0);
  return filling;
}

void TokenSamples::add(const std::vector<int64_t>& ids, int64_t label, const std::string& where, int64_t given) {
  if (ids.empty()) throw Error(where, "the text has no token", "leave empty texts out");
  for (size_t i = 0; i < std::min(ids.size(), size_t(options_.length)); ++i) {
    if (ids[i] < 0 || ids[i] > INT32_MAX) throw Error(where, fmt::format("{} is not a token id", ids[i]));
    ids_.push_back(int32_t(ids[i]));
  }
  starts_.push_back(ids_.size());
  labels_.push_back(label);
  given_.push_back(given);
}

void TokenSamples::add(const std::string& text, int64_t label, const std::string& where) {
  PARE_CHECK(options_.tokenizer != nullptr);
  add(options_.tokenizer->encode(text, true, options_.length), label, where);
}

void TokenSamples::describe(const Truth::Choice& choice) {
  choices_.resize(labels_.size());
  choices_.back() = choice;
}

Truth TokenSamples::truth(int64_t index) const {
  PARE_CHECK(index >= 0 && index < size());
  Truth truth;
  if (size_t(index) < choices_.size()) truth.choice = choices_[size_t(index)];
  return truth;
}

int64_t TokenSamples::length(int64_t index) const {
  PARE_CHECK(index >= 0 && index < size());
  return int64_t(starts_[size_t(index) + 1] - starts_[size_t(index)]);
}

Sample TokenSamples::get(int64_t index) const {
  const int64_t tokens = length(index);
  const int32_t* ids = ids_.data() + starts_[size_t(index)];
  Sample sample{{}, labels_[size_t(index)], given_[size_t(index)]};
  for (const auto& [name, kind] : options_.inputs) {
    Array array(Type::i64, {1, tokens});  // zeros
    auto values = array.mutable_values<int64_t>();
    if (kind == TextOptions::Input::ids) std::copy_n(ids, tokens, values.begin());
    if (kind == TextOptions::Input::mask) std::fill(values.begin(), values.end(), 1);
    if (kind == TextOptions::Input::positions)
      for (int64_t i = 0; i < tokens; ++i) values[size_t(i)] = i;
    sample.inputs.push_back(std::move(array));
  }
  return sample;
}

void need_tokenizer(const TextOptions& options, const Section& section) {
  if (options.tokenizer == nullptr)
    section.fail("text", "texts need a tokenizer",
                 "[text] tokenizer = \"tokenizer.json\", the file that came with the model");
}

int64_t label_of(const std::string& text, const std::vector<std::string>& classes, const std::string& where) {
  if (const auto at = std::find(classes.begin(), classes.end(), text); at != classes.end()) return at - classes.begin();
  int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error(where, fmt::format("\"{}\" is not the name of a class", text),
                classes.empty()
                    ? "name the classes in the order of the model's outputs: [classes] file = \"labels.txt\""
                    : fmt::format("did you mean \"{}\"?", nearest(text, classes)));
  check_label(number, classes.empty() ? INT32_MAX : int64_t(classes.size()), where);
  return number;
}

}  // namespace pare
