#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace pare {

// The rows of a file of separated values (RFC 4180): fields may stand in quotes, then they may hold the delimiter, line
// ends and doubled quotes.
class CsvRows {
 public:
  CsvRows(std::string_view text, char delimiter, std::string where);
  // The next row's fields; false at the end. Empty lines are passed over. Throws Error (where:line).
  bool next(std::vector<std::string>& fields);
  int64_t line() const { return row_line_; }  // where the last row began, from 1

 private:
  std::string quoted();
  std::string_view text_;
  size_t at_ = 0;
  char delimiter_;
  int64_t line_ = 1, row_line_ = 1;
  std::string where_;
};

}  // namespace pare
