#pragma once
#include <charconv>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"

namespace pare {

// One option of a pass, declared once: parsing, range errors, --help, docs and search all read this record.
struct Field {
  std::string name, unit, help;
  std::string fallback;                  // the default, as text
  double least = 0, most = 0;            // for numbers; both 0: no bounds
  std::vector<std::string> choices;      // for words; empty: free text
  std::vector<std::string> search;       // values a search may try
  std::function<void(void*, const std::string&)> parse;     // throws UsageError
  std::function<std::string(const void*)> print;
};

std::string number_text(double value);   // shortest text that reads back as the same double

namespace fields_detail {
double parse_number(const Field& field, const std::string& text);        // throws UsageError outside the bounds
void check_choice(const Field& field, const std::string& text);          // throws UsageError listing the choices
bool parse_flag(const Field& field, const std::string& text);
}  // namespace fields_detail

// The fields of the struct S, whose member initialisers are the only defaults.
template <class S>
class FieldList {
 public:
  FieldList& number(const char* name, double S::*member, double least, double most, const char* unit, const char* help,
                    std::vector<std::string> search = {}) {
    Field& field = add(name, unit, help, std::move(search));
    field.least = least;
    field.most = most;
    const Field bounds = field;
    field.parse = [member, bounds](void* s, const std::string& text) { static_cast<S*>(s)->*member = fields_detail::parse_number(bounds, text); };
    field.print = [member](const void* s) { return number_text(static_cast<const S*>(s)->*member); };
    return finish(field);
  }
  FieldList& word(const char* name, std::string S::*member, std::vector<std::string> choices, const char* help,
                  std::vector<std::string> search = {}) {
    Field& field = add(name, "", help, std::move(search));
    field.choices = std::move(choices);
    const Field known = field;
    field.parse = [member, known](void* s, const std::string& text) {
      fields_detail::check_choice(known, text);
      static_cast<S*>(s)->*member = text;
    };
    field.print = [member](const void* s) { return static_cast<const S*>(s)->*member; };
    return finish(field);
  }
  FieldList& flag(const char* name, bool S::*member, const char* help, std::vector<std::string> search = {}) {
    Field& field = add(name, "", help, std::move(search));
    field.choices = {"yes", "no"};
    const Field known = field;
    field.parse = [member, known](void* s, const std::string& text) { static_cast<S*>(s)->*member = fields_detail::parse_flag(known, text); };
    field.print = [member](const void* s) { return static_cast<const S*>(s)->*member ? "yes" : "no"; };
    return finish(field);
  }
  std::vector<Field> take() { return std::move(fields_); }

 private:
  Field& add(const char* name, const char* unit, const char* help, std::vector<std::string> search) {
    fields_.push_back({name, unit, help, "", 0, 0, {}, std::move(search), {}, {}});
    return fields_.back();
  }
  FieldList& finish(Field& field) {
    const S defaults;
    field.fallback = field.print(&defaults);
    return *this;
  }
  std::vector<Field> fields_;
};

using OptionTexts = std::vector<std::pair<std::string, std::string>>;  // name → value, in the order given
// Sets the options named; throws UsageError (what: "quantize-static") for unknown names, with the nearest known one.
void parse_fields(const std::vector<Field>& fields, void* target, const OptionTexts& texts, const std::string& what);
std::string print_fields(const std::vector<Field>& fields, const void* target);  // "a=1, b=x", every option

// The candidate nearest to `word` by edit distance, "" if none is near: for hints on typos.
std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace pare
