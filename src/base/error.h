#pragma once
#include <exception>
#include <string>
#include <utility>

namespace pare {

// What went wrong with something a person gave us. Thrown anywhere above the kernels, caught once in main.
// `where`: file and offset, or node; `what`: what was found and what was expected; `fix`: what to do about it.
class Error : public std::exception {
 public:
  Error(std::string where, std::string what, std::string fix = "")
      : where_(std::move(where)), what_(std::move(what)), fix_(std::move(fix)) {
    text_ = where_.empty() ? what_ : where_ + ": " + what_;
    if (!fix_.empty()) text_ += "\n  " + fix_;
  }
  const char* what() const noexcept override { return text_.c_str(); }
  const std::string& where() const { return where_; }
  const std::string& problem() const { return what_; }
  const std::string& fix() const { return fix_; }

 private:
  std::string where_, what_, fix_, text_;
};

// The command line is at fault (exit status 2) rather than the input (1).
class UsageError : public Error {
 public:
  using Error::Error;
};

[[noreturn]] void check_failed(const char* expression, const char* file, int line);

// For our own bugs only: nothing a user gives may reach a failing CHECK.
#define PARE_CHECK(x) ((x) ? void(0) : ::pare::check_failed(#x, __FILE__, __LINE__))

}  // namespace pare
