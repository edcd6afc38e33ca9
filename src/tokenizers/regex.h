#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace pare {

// A Unicode regular expression (PCRE2). \s means White_Space, as in the library the patterns were written for.
class Regex {
 public:
  Regex(const std::string& pattern, const std::string& where);  // throws Error (where) where it is not one
  // Calls found(start, end) for every match from left to right, none of them empty. Throws Error where a pattern needs
  // too much work. May be called by several threads.
  void matches(std::string_view text, const std::function<void(size_t, size_t)>& found) const;
  std::string replaced(std::string_view text, std::string_view by) const;

 private:
  std::shared_ptr<void> code_;
  std::string where_;
};

std::string escaped(std::string_view text);  // the pattern that matches just this text

}  // namespace pare
