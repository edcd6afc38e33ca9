#include <fmt/format.h>

#include <algorithm>

#include "report/columns.h"
#include "report/figures.h"
#include "report/report.h"

namespace pare {
namespace {

constexpr size_t gap = 2;          // spaces between columns
constexpr size_t least_name = 24;  // the name column shrinks to this before others are left out
constexpr size_t widest_name = 44;

// ANSI SGR codes.
constexpr const char *bold = "1", *faint = "2", *red = "31", *green = "32";

bool starts_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}

// Characters, one terminal cell each: right for all that the report itself writes.
size_t width_of(const std::string& text) {
  return size_t(std::count_if(text.begin(), text.end(), starts_character));
}

// Text from a file may hold anything: without control characters it cannot steer the terminal.
std::string printable(const std::string& text) {
  std::string out = valid_utf8(text);
  for (size_t i = 0; i < out.size(); ++i) {
    const auto byte = static_cast<unsigned char>(out[i]);
    if (byte < 0x20 || byte == 0x7f) out[i] = ' ';
    // U+0080 … U+009F, the C1 controls: some terminals take U+009B for ESC [.
    if (byte == 0xc2 && i + 1 < out.size() && static_cast<unsigned char>(out[i + 1]) < 0xa0) out.replace(i, 2, "  ");
  }
  return out;
}

std::string shortened(const std::string& text, size_t width) {
  if (width_of(text) <= width) return text;
  std::string out;
  size_t characters = 0;
  for (const char c : text) {
    if (starts_character(c) && ++characters >= width) break;
    out += c;
  }
  return out + "…";
}

class Painter {
 public:
  Painter(const Sheet& sheet, size_t width, bool colour) : sheet_(sheet), width_(width), colour_(colour) {}
  std::string paint();

 private:
  std::string coloured(const std::string& text, const char* code) const {
    return colour_ && *code ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
  }
  std::string padded(const std::string& text, size_t column, const char* code) const {
    const std::string spaces(widths_[column] - std::min(widths_[column], width_of(text)), ' ');
    return column == 0 ? coloured(text, code) + spaces : spaces + coloured(text, code);
  }
  void fit();
  size_t total() const;
  std::string head() const;
  std::string line(size_t row) const;
  std::string notes() const;
  std::string name(size_t row) const { return shortened(printable(sheet_.names[row]), widths_[0]); }

  const Sheet& sheet_;
  size_t width_;
  bool colour_;
  std::vector<size_t> widths_;  // of the columns kept
};

size_t Painter::total() const {
  size_t sum = 0;
  for (const size_t width : widths_) sum += width + gap;
  return sum - gap;
}

void Painter::fit() {
  for (size_t c = 0; c < sheet_.columns.size(); ++c) {
    size_t width = std::max(width_of(sheet_.columns[c]->title), width_of(printable(sheet_.unit(*sheet_.columns[c]))));
    for (const std::vector<Cell>& row : sheet_.cells) width = std::max(width, width_of(printable(row[c].text)));
    widths_.push_back(width);
  }
  widths_[0] = std::min(widths_[0], widest_name);
  if (width_ == 0) return;
  const auto shrink_name = [&] {
    const size_t excess = total() > width_ ? total() - width_ : 0;
    widths_[0] -= std::min(excess, widths_[0] - std::min(widths_[0], least_name));
  };
  const size_t widest = widths_[0];
  shrink_name();
  while (total() > width_ && widths_.size() > 2) {
    widths_.pop_back();
    widths_[0] = widest;
    shrink_name();
  }
}

std::string Painter::head() const {
  std::string titles, units;
  for (size_t c = 0; c < widths_.size(); ++c) {
    const std::string space(c ? gap : 0, ' ');
    titles += space + padded(sheet_.columns[c]->title, c, bold);
    units += space + padded(printable(sheet_.unit(*sheet_.columns[c])), c, faint);
  }
  return titles + "\n" + units + "\n";
}

std::string Painter::line(size_t row) const {
  if (!sheet_.row(row).error.empty()) {
    const std::string error = printable(sheet_.row(row).error);
    const size_t room = width_ > widths_[0] + gap + 8 ? width_ - widths_[0] - gap - 8 : width_ ? 24 : 1000;
    return padded(name(row), 0, red) + std::string(gap, ' ') + coloured("failed: " + shortened(error, room), red) +
           "\n";
  }
  std::string text;
  for (size_t c = 0; c < widths_.size(); ++c) {
    const Cell& cell = sheet_.cells[row][c];
    const char* code = cell.tone > 0 ? green : cell.tone < 0 ? red : "";
    if (c == 0) {
      text += padded(name(row), c, sheet_.choice.row == row ? bold : row == 0 ? faint : "");
    } else {
      text += std::string(gap, ' ') + padded(cell.text.empty() ? "–" : printable(cell.text), c, code);
    }
  }
  return text + "\n";
}

std::string Painter::notes() const {
  std::string text;
  if (widths_.size() < sheet_.columns.size()) {
    std::string titles;
    for (size_t c = widths_.size(); c < sheet_.columns.size(); ++c) {
      titles += (titles.empty() ? "" : ", ") + std::string(sheet_.columns[c]->title);
    }
    text += "Not shown for lack of width: " + titles + ".\n";
  }
  const auto energy = [](const Column* column) { return column->key == std::string("energy"); };
  if (std::none_of(sheet_.columns.begin(), sheet_.columns.end(), energy) && !sheet_.energy_note().empty()) {
    text += "Energy not measured: " + printable(sheet_.energy_note()) + "\n";
  }
  if (!sheet_.table.data.empty()) text += "Data: " + printable(sheet_.table.data) + "\n";
  return text;
}

std::string Painter::paint() {
  fit();
  std::string text = head();
  for (size_t i = 0; i < sheet_.table.rows.size(); ++i) text += line(i);
  const std::string foot = notes();
  return foot.empty() ? text : text + "\n" + foot;
}

}  // namespace

std::string text_table(const Table& table, int width, bool colour) {
  if (table.rows.empty()) return "no rows\n";
  const Sheet sheet(table);
  return Painter(sheet, size_t(std::max(width, 0)), colour).paint();
}

}  // namespace pare
