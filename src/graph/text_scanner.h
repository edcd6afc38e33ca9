#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.h"
#include "graph/text.h"

namespace pare::text_form {

// Characters and words, with positions for errors.
class Scanner {
 public:
  Scanner(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

  [[noreturn]] void fail_at(size_t at, const std::string& problem, const std::string& fix = "") const {
    at = std::min(at, text_.size());
    const auto line = std::count(text_.begin(), text_.begin() + long(at), '\n') + 1;
    const size_t before = at == 0 ? std::string_view::npos : text_.rfind('\n', at - 1);
    throw Error(fmt::format("{}:{}:{}", where_, line, before == std::string_view::npos ? at + 1 : at - before), problem, fix);
  }
  [[noreturn]] void expected(const std::string& wanted) const {
    std::string found = pos_ >= text_.size() ? "the end of the text" : text_[pos_] == '\n' ? "the end of the line" : "";
    if (found.empty()) {
      const size_t end = std::min(text_.find_first_of(" \n,)]}", pos_ + 1), pos_ + 24);
      found = quoted(text_.substr(pos_, end - pos_));
    }
    fail_at(pos_, "found " + found + ", expected " + wanted);
  }

  size_t position() const { return pos_; }
  void advance(size_t count) { pos_ = std::min(pos_ + count, text_.size()); }
  bool at_end() const { return pos_ >= text_.size(); }
  char at(size_t position) const { return position < text_.size() ? text_[position] : '\0'; }
  char peek() const { return at_end() ? '\0' : text_[pos_]; }
  void blanks() {
    while (!at_end() && (text_[pos_] == ' ' || text_[pos_] == '\t' || text_[pos_] == '\r')) ++pos_;
  }
  void blank_lines() {
    for (blanks(); peek() == '\n'; blanks()) ++pos_;
  }
  bool take(char c) {
    blanks();
    if (peek() != c || at_end()) return false;
    ++pos_;
    return true;
  }
  void need(char c) {
    if (!take(c)) expected(fmt::format("'{}'", c));
  }
  void end_of_line() {
    blanks();
    if (!at_end() && peek() != '\n') expected("the end of the line");
  }
  // The bare word ahead, not consumed; colons at its end belong to what follows.
  std::string_view word() {
    blanks();
    size_t end = pos_;
    while (end < text_.size() && is_bare(text_[end])) ++end;
    while (end > pos_ && text_[end - 1] == ':') --end;
    return text_.substr(pos_, end - pos_);
  }
  bool take_word(std::string_view wanted) {
    if (word() != wanted) return false;
    pos_ += wanted.size();
    return true;
  }
  std::string need_word(const std::string& wanted) {
    const std::string found(word());
    if (found.empty()) expected(wanted);
    pos_ += found.size();
    return found;
  }

  std::string string(const std::string& wanted = "a quoted text") {
    blanks();
    if (peek() != '"') expected(wanted);
    const size_t start = pos_++;
    std::string out;
    for (;; ++pos_) {
      if (at_end() || text_[pos_] == '\n') fail_at(start, "this quoted text has no end on its line");
      if (text_[pos_] == '"') break;
      if (text_[pos_] == '\\') escape(out);
      else out += text_[pos_];
    }
    ++pos_;
    return out;
  }

  // base64 runs to megabytes: no copy, no escapes.
  std::string_view raw_string() {
    blanks();
    if (peek() != '"') expected("a quoted text");
    const size_t end = text_.find('"', pos_ + 1);
    if (end == std::string_view::npos) fail_at(pos_, "this quoted text has no end");
    const std::string_view inside = text_.substr(pos_ + 1, end - pos_ - 1);
    pos_ = end + 1;
    return inside;
  }

  template <class T>
  T integer(const std::string& wanted = "an integer") {
    const std::string_view text = word();
    T value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || code != std::errc() || end != text.data() + text.size()) expected(wanted);
    pos_ += text.size();
    return value;
  }

  template <class T>
  T real() {
    const std::string text(word());
    const char* end = text.c_str();
    T value = 0;
    if constexpr (std::is_same_v<T, float>) value = std::strtof(text.c_str(), const_cast<char**>(&end));
    else value = std::strtod(text.c_str(), const_cast<char**>(&end));
    if (text.empty() || end != text.c_str() + text.size()) expected("a number");
    pos_ += text.size();
    return value;
  }

  // [item, item, …]; `item` reads one.
  template <class F>
  void list(char open, char close, F item) {
    need(open);
    blank_lines();
    if (take(close)) return;
    do {
      blank_lines();
      item();
      blank_lines();
    } while (take(','));
    need(close);
  }

 private:
  void escape(std::string& out) {
    const char c = ++pos_ < text_.size() ? text_[pos_] : '\0';
    unsigned value = 0;
    if (c == 'n') out += '\n';
    else if (c == 't') out += '\t';
    else if (c == '"' || c == '\\') out += c;
    else if (c == 'x' && pos_ + 2 < text_.size() &&
             std::from_chars(text_.data() + pos_ + 1, text_.data() + pos_ + 3, value, 16).ptr == text_.data() + pos_ + 3) {
      out += char(value);
      pos_ += 2;
    } else {
      fail_at(pos_ - 1, "found an escape other than \\\" \\\\ \\n \\t \\xHH");
    }
  }

  std::string_view text_;
  std::string where_;
  size_t pos_ = 0;
};

}  // namespace pare::text_form
