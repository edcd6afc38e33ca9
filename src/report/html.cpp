#include "report/html.h"

#include <fmt/format.h>

#include "report/figures.h"
#include "report/report.h"

namespace pare {
namespace {

constexpr size_t most_page_bytes = 980'000;

// From everything to the least that is still a report.
constexpr PageLimits limits_in_order[] = {
    {2000, 2000, 2000, 3}, {2000, 60, 1000, 3}, {1000, 20, 500, 2}, {500, 10, 300, 1}, {300, 0, 200, 0}, {100, 0, 120, 0},
};

std::string machine_word(const nlohmann::json& machine, const char* key) {
  const auto found = machine.is_object() ? machine.find(key) : machine.end();
  return machine.is_object() && found != machine.end() && found->is_string() ? found->get<std::string>() : "";
}

// Three figures of the recommended row, large.
std::string key_figures(const Sheet& sheet) {
  if (!sheet.choice.row) return "";
  const Row& row = sheet.row(*sheet.choice.row);
  const Row& base = sheet.baseline();
  std::string items;
  const auto add = [&](const std::string& figure, const std::string& what, const std::string& more) {
    items += fmt::format("<div><dt>{}</dt><dd><b>{}</b><span>{}</span></dd></div>", escaped(what), escaped(figure),
                         escaped(more));
  };
  if (row.size_bytes > 0 && base.size_bytes > 0) {
    const double factor = double(base.size_bytes) / double(row.size_bytes);
    add(factor_text(factor >= 1 ? factor : 1 / factor), factor >= 1 ? "smaller" : "larger",
        size_text(double(base.size_bytes)) + " → " + size_text(double(row.size_bytes)));
  }
  if (row.latency && row.latency->ratio > 0 && base.latency) {
    const double factor = 1 / row.latency->ratio;
    const bool shown = row.latency->ratio_high < 1 || row.latency->ratio_low > 1;
    add(factor_text(factor >= 1 || !shown ? factor : 1 / factor),
        !shown        ? "speed: no difference shown"
        : factor >= 1 ? "faster"
                      : "slower",
        milliseconds_text(base.latency->median_ms) + " → " + milliseconds_text(row.latency->median_ms));
  }
  if (judge_quality(sheet.table, *sheet.choice.row) != Verdict::unmeasured) {
    const MetricStyle& style = metric_style(base.metric->name);
    std::string what = metric_title(*base.metric);
    if (*style.change_unit) what += std::string(", ") + style.change_unit;
    add(change_text(row, *base.metric), what,
        metric_text(*base.metric, false) + " → " + metric_text(*row.metric, false));
  }
  return items.empty() ? "" : "<dl class=\"figures\">" + items + "</dl>";
}

std::string page_head(const Sheet& sheet) {
  const std::string title = sheet.table.title.empty() ? "Compression report" : sheet.table.title;
  std::string lines = sheet.table.recommendation;
  if (lines.empty()) {
    for (const std::string& line : sheet.choice.lines) lines += (lines.empty() ? "" : "\n") + line;
  }
  const size_t end = lines.find('\n');
  std::string html = fmt::format("<header><p class=\"kicker\">pare report{}{}</p><h1>{}</h1><p class=\"lede\">{}</p>",
                                 machine_word(sheet.table.machine, "date").empty() ? "" : " · ",
                                 escaped(machine_word(sheet.table.machine, "date"), 60), escaped(title, 300),
                                 escaped(lines.substr(0, end)));
  html += key_figures(sheet);
  if (end == std::string::npos) return html + "</header>";
  html += "<ul class=\"remarks\">";
  for (size_t at = end; at != std::string::npos;) {
    const size_t next = lines.find('\n', at + 1);
    const std::string line = lines.substr(at + 1, next == std::string::npos ? next : next - at - 1);
    if (!line.empty()) html += "<li>" + escaped(line) + "</li>";
    at = next;
  }
  return html + "</ul></header>";
}

std::string page(const Sheet& sheet, const PageLimits& limits) {
  const std::string title = sheet.table.title.empty() ? "Compression report" : sheet.table.title;
  std::string html =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<meta name=\"color-scheme\" content=\"light dark\">"
      // Nothing may be fetched from anywhere, whatever the rows hold.
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src 'unsafe-inline';"
      "script-src 'unsafe-inline';img-src data:\"><link rel=\"icon\" href=\"data:,\">";
  html += "<title>" + escaped(title, 300) + " – pare</title><style>" + page_style + "</style></head><body><main>";
  html += page_head(sheet) + table_section(sheet, limits) + charts_section(sheet) + pruning_section(sheet) + examples_section(sheet, limits) + layers_section(sheet, limits) +
          recipes_section(sheet, limits) + about_section(sheet);
  return html + "</main><script>" + page_script + "</script></body></html>\n";
}

}  // namespace

std::string escaped(const std::string& text, size_t most) {
  std::string cut = text;
  if (cut.size() > most) {
    size_t end = most;
    while (end > 0 && (static_cast<unsigned char>(cut[end]) & 0xc0) == 0x80) --end;  // not inside a character
    cut = text.substr(0, end) + "… (" + plural_text(int64_t(text.size() - end), "byte") + " more in the JSON)";
  }
  std::string out;
  for (const char c : valid_utf8(cut)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f)
          out += c;
        else if (c == '\n' || c == '\t')
          out += c;
    }
  }
  return out;
}

std::string html_page(const Table& table) {
  const Sheet sheet(table);
  std::string html;
  for (const PageLimits& limits : limits_in_order) {
    html = page(sheet, limits);
    if (html.size() <= most_page_bytes) break;
  }
  return html;
}

}  // namespace pare
