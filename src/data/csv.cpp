#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "data/bytes.h"
#include "data/csv_file.h"
#include "data/reader.h"
#include "data/text.h"

namespace pare {

CsvRows::CsvRows(std::string_view text, char delimiter, std::string where)
    : text_(text), delimiter_(delimiter), where_(std::move(where)) {
  if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);  // some programs mark UTF-8 so
}

// From behind the opening quote to behind the closing one.
std::string CsvRows::quoted() {
  const int64_t opened = line_;
  std::string field;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '"') {
      if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') {
        ++at_;
        return field;
      }
      ++at_;
    }
    line_ += c == '\n';
    field += c;
  }
  throw Error(fmt::format("{}:{}", where_, opened), "a quote that opens here is never closed",
              "a quote within a quoted field is doubled: \"say \"\"yes\"\"\"");
}

bool CsvRows::next(std::vector<std::string>& fields) {
  while (at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r')) line_ += text_[at_++] == '\n';
  if (at_ >= text_.size()) return false;
  row_line_ = line_;
  fields.clear();
  for (;;) {
    std::string field;
    if (at_ < text_.size() && text_[at_] == '"') {
      ++at_;
      field = quoted();
    }
    // What follows a closing quote is taken as it stands, as other readers do.
    size_t end = at_;
    while (end < text_.size() && text_[end] != delimiter_ && text_[end] != '\n') ++end;
    field += text_.substr(at_, end - at_);
    const bool more = end < text_.size() && text_[end] == delimiter_;
    if (!more && !field.empty() && field.back() == '\r') field.pop_back();
    fields.push_back(std::move(field));
    at_ = end + (end < text_.size());
    if (more) continue;
    line_ += end < text_.size();
    return true;
  }
}

namespace {

char delimiter_of(const Section& section) {
  const std::string text = section.text("delimiter", ",");
  if (text.size() != 1 || text == "\"" || text == "\n" || text == "\r")
    section.fail("delimiter", fmt::format("\"{}\" is not one character that separates", text),
                 "delimiter = \"\\t\" for tabs");
  return text[0];
}

// The column a key names: by its title, or by its number from 0 in a file without titles.
size_t column_of(const Section& section, const std::string& key, const std::vector<std::string>& titles,
                 bool has_titles) {
  if (!has_titles) {
    const int64_t column = section.integer(key, -1, 0, 1 << 20);
    if (column < 0) section.fail(key, "missing", fmt::format("without titles columns are numbers from 0: {} = 0", key));
    return size_t(column);
  }
  const std::string name = section.text(key, key);
  const auto at = std::find(titles.begin(), titles.end(), name);
  if (at == titles.end())
    section.fail(key, fmt::format("there is no column \"{}\"", name),
                 fmt::format("the first line has: {}; without such a line: header = false and {} = 0",
                             fmt::join(titles, ", "), key));
  return size_t(at - titles.begin());
}

void read_rows(const std::string& path, const SplitRequest& request, TokenSamples& samples) {
  const Section& section = request.section;
  const Bytes file = map_bytes(path);
  CsvRows rows({reinterpret_cast<const char*>(file.view.data()), file.view.size()}, delimiter_of(section), path);
  const bool header = section.boolean("header", true), labels = request.needs_labels || section.has("label");
  std::vector<std::string> fields;
  if (header && !rows.next(fields)) section.fail("files", path + " is empty");
  const size_t text = column_of(section, "text", fields, header),
               label = labels ? column_of(section, "label", fields, header) : text;
  while (rows.next(fields)) {
    const std::string where = fmt::format("{}:{}", path, rows.line());
    if (std::max(text, label) >= fields.size())
      throw Error(where,
                  fmt::format("the row has {} fields, column {} is missing", fields.size(), std::max(text, label)),
                  "a text that holds the delimiter stands in quotes");
    samples.add(fields[text], labels ? label_of(fields[label], request.classes, where) : -1, where);
  }
}

}  // namespace

Split read_csv(const SplitRequest& request) {
  need_tokenizer(request.text, request.section);
  auto samples = std::make_shared<TokenSamples>(request.text);
  for (const std::string& path : request.section.files("files")) read_rows(path, request, *samples);
  return text_split(request, samples);
}

}  // namespace pare
