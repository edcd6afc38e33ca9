// The special tokens around a text.
#include <fmt/format.h>

#include "base/error.h"
#include "tokenizers/steps.h"

namespace pare {
namespace {

int64_t id_in(const Json& value, const std::string& where) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > INT32_MAX)
    throw Error(where, "a special token's id is not one");
  return int64_t(value.get<uint64_t>());
}

// {"single": [{"SpecialToken": {"id": "[CLS]", …}}, {"Sequence": {"id": "A", …}}, …], "special_tokens": {"[CLS]":
// {"ids": [101], …}}}
Template from_template(const Json& d, const std::string& where) {
  Template result;
  bool behind = false;
  for (const Json& piece : list_of(d, "single", where)) {
    if (!piece.is_object()) throw Error(where, "a piece of the template is not an object");
    if (piece.contains("Sequence")) {
      behind = true;
      continue;
    }
    const auto token = piece.find("SpecialToken");
    if (token == piece.end() || !token->is_object())
      throw Error(where, "a piece of the template is neither a text nor a token");
    const std::string name = text_of(*token, "id", where);
    const auto table = d.find("special_tokens");
    if (table == d.end() || !table->is_object() || !table->contains(name) || !(*table)[name].is_object())
      throw Error(where, fmt::format("the template's token \"{}\" is not among its special tokens", name));
    for (const Json& id : list_of((*table)[name], "ids", where))
      (behind ? result.after : result.before).push_back(id_in(id, where));
  }
  if (!behind) throw Error(where, "the template has no place for the text");
  return result;
}

// {"sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}
Template from_pair(const Json& d, const std::string& where) {
  const auto id = [&](const char* key) {
    const Json& pair = list_of(d, key, where);
    if (pair.size() != 2) throw Error(where, std::string("\"") + key + "\" is not a token and its id");
    return id_in(pair[1], where);
  };
  return {{id("cls")}, {id("sep")}};
}

}  // namespace

Template make_template(const Json& description, const std::string& where) {
  if (description.is_null()) return {};
  const std::string type = type_of(description, where);
  if (type == "TemplateProcessing") return from_template(description, where);
  if (type == "BertProcessing" || type == "RobertaProcessing") return from_pair(description, where);
  if (type == "ByteLevel") return {};  // mends offsets, which are not kept
  if (type != "Sequence")
    throw Error(where, "the post-processor \"" + type + "\" is not known",
                "known: TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel, Sequence");
  Template all;
  for (const Json& step : list_of(description, "processors", where)) {
    const Template one = make_template(step, where);
    all.before.insert(all.before.begin(), one.before.begin(), one.before.end());
    all.after.insert(all.after.end(), one.after.begin(), one.after.end());
  }
  return all;
}

}  // namespace pare
