#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/chart.h"
#include "report/figures.h"
#include "report/html.h"
#include "report/names.h"

namespace pare {
namespace {

constexpr size_t columns_that_fit = 10;  // beside each other on a desktop; more scroll in their own box
constexpr size_t most_marks = 400;       // of a chart: more are a cloud, and labels cost their square

std::string head_html(const Sheet& sheet) {
  std::string html = "<thead><tr>";
  for (const Column* column : sheet.columns) {
    html += fmt::format(
        "<th scope=\"col\" data-key=\"{}\" title=\"{}\"><button type=\"button\">{}</button><small>{}</small></th>",
        column->key, escaped(column->help), escaped(column->title), escaped(sheet.unit(*column)));
  }
  return html + "</tr></thead>";
}

std::string name_html(const Sheet& sheet, size_t i, const PageLimits& limits) {
  const Row& row = sheet.row(i);
  const char* chip = i == 0                       ? "<span class=\"chip\">baseline</span>"
                     : sheet.choice.row == i      ? "<span class=\"chip pick\">recommended</span>"
                     : sheet.choice.smallest == i ? "<span class=\"chip\">smallest</span>"
                                                  : "";
  std::string detail = file_name(row.model);
  if (!row.format.empty()) detail += (detail.empty() ? "" : " · ") + row.format;
  return fmt::format("<th scope=\"row\" title=\"{}\"><b>{}</b> {}<small>{}</small></th>",
                     escaped(sheet.cells[i][0].hint, limits.text_bytes), escaped(sheet.names[i], limits.text_bytes),
                     chip, escaped(detail, 200));
}

std::string cell_html(const Cell& cell, double largest) {
  if (cell.text.empty()) return "<td class=\"none\">–</td>";
  std::string attributes;
  if (std::isfinite(cell.order)) attributes += fmt::format(" data-v=\"{:.9g}\"", cell.order);
  if (cell.tone) attributes += cell.tone > 0 ? " class=\"good\"" : " class=\"bad\"";
  if (!cell.hint.empty()) attributes += " title=\"" + escaped(cell.hint) + "\"";
  std::string text = escaped(cell.text);
  // An interval is read after its value: smaller.
  for (const char* mark : {" ± ", " ["}) {
    const size_t at = text.find(mark);
    if (at != std::string::npos) text = text.substr(0, at) + "<i>" + text.substr(at) + "</i>";
  }
  if (!cell.bar || !(largest > 0)) return fmt::format("<td{}>{}</td>", attributes, text);
  return fmt::format("<td{}>{}<s style=\"--part:{:.1f}%\"></s></td>", attributes, text,
                     std::clamp(cell.order / largest * 100, 0.0, 100.0));
}

std::string row_html(const Sheet& sheet, size_t i, const std::vector<double>& largest, const PageLimits& limits) {
  const bool failed = !sheet.row(i).error.empty();
  const char* kind = failed ? "failed" : i == 0 ? "base" : sheet.choice.row == i ? "pick" : "";
  std::string html = fmt::format("<tr data-row=\"{}\" class=\"{}\">{}", i, kind, name_html(sheet, i, limits));
  if (failed) {
    const std::string error = escaped(sheet.row(i).error, limits.text_bytes);
    html += fmt::format("<td class=\"error\" colspan=\"{}\"><span><b>failed</b> {}</span></td>",
                        std::max<size_t>(sheet.columns.size(), 2) - 1, error);
    return html + "</tr>";
  }
  for (size_t c = 1; c < sheet.columns.size(); ++c) html += cell_html(sheet.cells[i][c], largest[c]);
  return html + "</tr>";
}

std::string figure_html(const Chart& chart, const std::string& title, const std::string& caption) {
  return fmt::format("<figure><figcaption><b>{}</b> {}</figcaption>{}</figure>", escaped(title), escaped(caption),
                     chart_svg(chart));
}

bool drawable(double value) {
  return std::isfinite(value) && std::abs(value) < 1e15;
}

using Position = double (*)(const Row& row);
double bytes_of(const Row& row) {
  return double(row.size_bytes);
}
double median_of(const Row& row) {
  return row.latency ? row.latency->median_ms : 0;
}

std::string tick_size(double bytes) {
  const char* unit = bytes >= 1e9 ? "GB" : bytes >= 1e6 ? "MB" : bytes >= 1e3 ? "kB" : "B";
  const double scale = bytes >= 1e9 ? 1e9 : bytes >= 1e6 ? 1e6 : bytes >= 1e3 ? 1e3 : 1;
  return bytes == 0 ? "0" : fmt::format("{:g} {}", bytes / scale, unit);
}
std::string tick_milliseconds(double milliseconds) {
  return milliseconds == 0 ? "0" : fmt::format("{:g}", milliseconds);
}

// A paired interval is narrower and answers the reader's question: drawn around the row's value, it reaches the
// baseline's level exactly when the test cannot tell the two apart.
bool all_paired(const Sheet& sheet) {
  for (size_t i = 1; i < sheet.table.rows.size(); ++i) {
    if (judge_quality(sheet.table, i) != Verdict::unmeasured && sheet.row(i).error.empty() && !sheet.row(i).paired)
      return false;
  }
  return sheet.table.rows.size() > 1;
}

// Quality over `position`; fewer than two marks are no chart.
Chart quality_chart(const Sheet& sheet, Position position) {
  Chart chart;
  const MetricValue& metric = *sheet.baseline().metric;
  const MetricStyle& style = metric_style(metric.name);
  chart.y_title = metric_title(metric);
  chart.higher_is_better = metric.higher_is_better;
  const bool paired = all_paired(sheet);
  for (size_t i = 0; i < sheet.table.rows.size() && chart.marks.size() < most_marks; ++i) {
    const Row& row = sheet.row(i);
    if (!row.error.empty() || !row.metric || row.metric->name != metric.name) continue;
    const double x = position(row), y = row.metric->value * style.scale;
    if (!(x > 0) || !drawable(x) || !drawable(y) || (paired && i > 0 && !row.paired)) continue;
    Mark mark{i, x, y, row.metric->low * style.scale, row.metric->high * style.scale};
    if (paired) {
      mark.low = i == 0 ? NAN : (metric.value + row.paired->low) * style.scale;
      mark.high = i == 0 ? NAN : (metric.value + row.paired->high) * style.scale;
    }
    if (!drawable(mark.low) || !drawable(mark.high)) mark.low = mark.high = NAN;
    mark.label = sheet.names[i];
    mark.kind = i == 0 ? MarkKind::baseline : sheet.choice.row == i ? MarkKind::chosen : MarkKind::ordinary;
    mark.hint = fmt::format("{}\n{} {}{}\n{}", sheet.names[i], metric_title(metric), metric_text(*row.metric, true),
                            *style.unit ? std::string(" ") + style.unit : "", size_text(double(row.size_bytes)));
    if (row.latency) mark.hint += ", " + milliseconds_text(row.latency->median_ms);
    chart.marks.push_back(std::move(mark));
  }
  return chart;
}

}  // namespace

std::string table_section(const Sheet& sheet, const PageLimits& limits) {
  if (sheet.table.rows.empty()) return "";
  std::vector<double> largest(sheet.columns.size(), 0);
  for (const std::vector<Cell>& row : sheet.cells) {
    for (size_t c = 0; c < row.size(); ++c)
      largest[c] = std::max(largest[c], std::isfinite(row[c].order) ? row[c].order : 0);
  }
  std::string body;
  const size_t count = std::min(sheet.table.rows.size(), limits.rows);
  for (size_t i = 0; i < count && body.size() < hopeless_bytes; ++i) body += row_html(sheet, i, largest, limits);
  std::string html = "<section id=\"results\"><h2>Results</h2><div class=\"scroll" +
                     std::string(sheet.columns.size() <= columns_that_fit ? " fits" : "") +
                     "\" tabindex=\"0\"><table id=\"rows\">" + head_html(sheet) + "<tbody>" + body +
                     "</tbody></table></div>";
  html += "<p class=\"note\">Click a title to sort. Green and orange: a difference the intervals confirm.";
  if (count < sheet.table.rows.size()) {
    html += fmt::format(" The first {} of {} rows; the JSON holds all.", count,
                        count_text(int64_t(sheet.table.rows.size())));
  }
  return html + "</p></section>";
}

std::string charts_section(const Sheet& sheet) {
  if (sheet.table.rows.empty() || !sheet.baseline().metric) return "";
  const std::string metric = metric_title(*sheet.baseline().metric);
  const MetricStyle& style = metric_style(sheet.baseline().metric->name);
  const std::string better = sheet.baseline().metric->higher_is_better ? "up and to the left" : "down and to the left";
  Chart size = quality_chart(sheet, bytes_of), latency = quality_chart(sheet, median_of);
  size.x_title = "size on disk";
  size.x_text = tick_size;
  latency.x_title = "latency, ms";
  latency.x_text = tick_milliseconds;
  std::string figures;
  const std::string unit = *style.unit ? fmt::format("{}, {}", metric, style.unit) : metric;
  if (size.marks.size() > 1) figures += figure_html(size, "Size and quality.", unit + ", over bytes on disk.");
  if (latency.marks.size() > 1)
    figures += figure_html(latency, "Speed and quality.", unit + ", over the median latency.");
  if (figures.empty()) return "";
  const char* bars =
      all_paired(sheet)
          ? "bars are 95&nbsp;% intervals of the change: one that crosses the dotted line, the baseline’s quality, "
            "cannot be told from it"
          : "bars are 95&nbsp;% intervals, the band is the baseline’s";
  return fmt::format(
      "<section id=\"frontier\"><h2>The frontier</h2><div class=\"charts\">{}</div><p class=\"note\">Better is {}. The "
      "solid "
      "line joins the rows that no other row beats in both directions; {}. A triangle lies off the scale. Point at a "
      "mark for "
      "its figures.</p></section>",
      figures, better, bars);
}

}  // namespace pare
