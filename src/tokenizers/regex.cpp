#include "tokenizers/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"

namespace pare {
namespace {

// White_Space: PCRE2's own \s counts U+180E too.
constexpr const char* kSpaces =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

std::string with_spaces(const std::string& pattern) {
  std::string result;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i], next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (c == '\\' && next == 's') {
      result += in_class ? kSpaces : std::string("[") + kSpaces + "]";
      ++i;
    } else if (c == '\\' && next == 'S' && !in_class) {
      result += std::string("[^") + kSpaces + "]";
      ++i;
    } else if (c == '\\' && next != '\0') {
      result += c;
      result += next;
      ++i;
    } else {
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      result += c;
    }
  }
  return result;
}

std::string message_of(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

constexpr size_t kLongestPattern = 1 << 16;
constexpr uint32_t kMostSteps = 10'000'000;  // PCRE2's own default: a pattern that backtracks more is a trap

struct MatchFree {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct ContextFree {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

}  // namespace

Regex::Regex(const std::string& pattern, const std::string& where) : where_(where) {
  if (pattern.size() > kLongestPattern) throw Error(where, "a pattern of " + std::to_string(pattern.size()) + " bytes");
  const std::string adapted = with_spaces(pattern);
  int code = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(adapted.data()), adapted.size(),
                                       PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, nullptr);
  if (compiled == nullptr) throw Error(where, "\"" + pattern + "\" is not a pattern: " + message_of(code));
  code_ = std::shared_ptr<void>(compiled, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  // refused where there is no JIT: then it interprets
}

void Regex::matches(std::string_view text, const std::function<void(size_t, size_t)>& found) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, MatchFree> data(pcre2_match_data_create(1, nullptr));
  const std::unique_ptr<pcre2_match_context, ContextFree> context(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), kMostSteps);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  for (size_t at = 0; at < text.size();) {
    int result = pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, data.get(), context.get());
    if (result == PCRE2_ERROR_JIT_STACKLIMIT)  // the interpreter's memory is the heap
      result =
          pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data.get(), context.get());
    if (result == PCRE2_ERROR_NOMATCH) return;
    if (result < 0) throw Error(where_, "the pattern cannot be matched: " + message_of(result));
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data.get());
    if (range[1] <= range[0]) {  // empty: on to the next character
      at = std::max(at, size_t(range[0])) + 1;
      while (at < text.size() && (uint8_t(text[at]) & 0xC0) == 0x80) ++at;
      continue;
    }
    found(range[0], range[1]);
    at = range[1];
  }
}

std::string Regex::replaced(std::string_view text, std::string_view by) const {
  std::string result;
  size_t done = 0;
  matches(text, [&](size_t start, size_t end) {
    result.append(text.substr(done, start - done)).append(by);
    done = end;
  });
  return result.append(text.substr(done));
}

std::string escaped(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (uint8_t(c) < 0x80 && !isalnum(uint8_t(c))) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace pare
