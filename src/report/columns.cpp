#include "report/columns.h"

#include <fmt/format.h>

#include <cmath>

#include "report/figures.h"
#include "report/names.h"
#include "report/report.h"

namespace pare {
namespace {

Cell name_cell(const Sheet& sheet, size_t i) {
  const Row& row = sheet.row(i);
  return {.text = sheet.names[i], .hint = row.recipe.empty() ? row.model : row.recipe};
}

Cell size_cell(const Sheet& sheet, size_t i) {
  const int64_t bytes = sheet.row(i).size_bytes;
  if (bytes <= 0) return {};
  return {.text = size_text(double(bytes)), .hint = plural_text(bytes, "byte"), .order = double(bytes), .bar = true};
}

Cell smaller_cell(const Sheet& sheet, size_t i) {
  const double bytes = double(sheet.row(i).size_bytes), base = double(sheet.baseline().size_bytes);
  if (i == 0 || bytes <= 0 || base <= 0) return {};
  return {.text = factor_text(base / bytes),
          .hint = fmt::format("{} of the baseline's bytes", decimals_text(bytes / base * 100, 1) + " %"),
          .order = base / bytes,
          .tone = base / bytes > 1.02   ? 1
                  : base / bytes < 0.98 ? -1
                                        : 0};
}

Cell quality_cell(const Sheet& sheet, size_t i) {
  const Row& row = sheet.row(i);
  if (!row.metric) return {};
  const MetricValue& metric = *row.metric;
  const MetricStyle& style = metric_style(metric.name);
  std::string hint = metric_title(metric);
  if (std::isfinite(metric.low) && std::isfinite(metric.high)) {
    hint += fmt::format(", 95 % interval {} to {}", decimals_text(metric.low * style.scale, style.decimals),
                        decimals_text(metric.high * style.scale, style.decimals));
  }
  if (metric.count > 0) hint += fmt::format(", {} {}", count_text(metric.count), style.samples);
  for (const MetricValue& more : row.more_metrics) hint += "; " + metric_title(more) + " " + metric_text(more, true);
  std::string text = metric_text(metric, true);
  const std::optional<MetricValue>& base = sheet.baseline().metric;
  if (!base || base->name != metric.name) text = metric_title(metric) + " " + text;
  return {.text = text, .hint = hint, .order = metric.value};
}

Cell change_cell(const Sheet& sheet, size_t i) {
  const Verdict verdict = judge_quality(sheet.table, i);
  if (i == 0 || verdict == Verdict::unmeasured) return {};
  const Row& row = sheet.row(i);
  const MetricValue& base = *sheet.baseline().metric;
  Cell cell{.text = change_text(row, base)};
  cell.order = row.paired ? row.paired->difference : row.metric->value - base.value;
  cell.tone = verdict == Verdict::better ? 1 : verdict == Verdict::loss ? -1 : 0;
  if (!row.paired) {
    cell.tone = 0;
    cell.hint = "no paired test: the difference of the two values";
  } else if (row.paired->better + row.paired->worse > 0) {
    const bool counted = row.paired->test == PairedTest().test;
    cell.hint = fmt::format("{}: {}, {}: {}, {} p = {}", counted ? "only this model right" : "better on",
                            count_text(row.paired->better), counted ? "only the baseline right" : "worse on",
                            count_text(row.paired->worse), row.paired->test, significant_text(row.paired->p_value, 2));
  } else {
    cell.hint = "paired on the same samples";
  }
  return cell;
}

Cell latency_cell(const Sheet& sheet, size_t i) {
  const Row& row = sheet.row(i);
  if (!row.latency) return {};
  const Latency& latency = *row.latency;
  std::string hint =
      fmt::format("95 % of the runs within {}; {}, batch {}, {}", milliseconds_text(latency.p95_ms),
                  plural_text(latency.threads, "thread"), latency.batch, plural_text(latency.runs, "run"));
  for (const std::string& shape : row.shapes) hint += "; " + shape;
  return {.text = milliseconds_text(latency.median_ms), .hint = hint, .order = latency.median_ms, .bar = true};
}

Cell speed_cell(const Sheet& sheet, size_t i) {
  const Row& row = sheet.row(i);
  if (i == 0 || !row.latency || !(row.latency->ratio > 0)) return {};
  const Latency& latency = *row.latency;
  Cell cell{.text = factor_text(1 / latency.ratio), .order = 1 / latency.ratio};
  if (latency.ratio_low > 0 && latency.ratio_high > 0) {
    cell.text = fmt::format("{} [{}–{}]", cell.text, decimals_text(1 / latency.ratio_high, 2),
                            decimals_text(1 / latency.ratio_low, 2));
    cell.tone = latency.ratio_high < 1 ? 1 : latency.ratio_low > 1 ? -1 : 0;
  }
  cell.hint = cell.tone > 0   ? "faster than the baseline"
              : cell.tone < 0 ? "slower than the baseline"
                              : "no difference shown";
  return cell;
}

Cell rate_cell(double tokens_per_s) {
  if (!(tokens_per_s > 0)) return {};
  return {.text = significant_text(tokens_per_s), .order = tokens_per_s};
}
Cell prompt_cell(const Sheet& sheet, size_t i) {
  const Row& row = sheet.row(i);
  return row.throughput ? rate_cell(row.throughput->prompt_tokens_per_s) : Cell{};
}
Cell generate_cell(const Sheet& sheet, size_t i) {
  const Row& row = sheet.row(i);
  return row.throughput ? rate_cell(row.throughput->generate_tokens_per_s) : Cell{};
}

Cell memory_cell(const Sheet& sheet, size_t i) {
  const int64_t bytes = sheet.row(i).peak_memory_bytes;
  return bytes > 0 ? Cell{.text = size_text(double(bytes)), .order = double(bytes)} : Cell{};
}

Cell energy_cell(const Sheet& sheet, size_t i) {
  const Row& row = sheet.row(i);
  if (!row.energy_joules) return {};
  const double joules = *row.energy_joules;
  const std::string text = joules < 1 ? significant_text(joules * 1000) + " mJ" : significant_text(joules) + " J";
  return {.text = text, .hint = row.energy_note, .order = joules};
}

// Only worth a column when some row has zeros to show.
Cell nonzero_cell(const Sheet& sheet, size_t i) {
  bool pruned = false;
  for (const Row& row : sheet.table.rows) pruned |= double(row.weight_nonzero) < 0.98 * double(row.weight_count);
  const Row& row = sheet.row(i);
  if (!pruned || row.weight_count <= 0) return {};
  const double share = double(row.weight_nonzero) / double(row.weight_count);
  return {.text = decimals_text(share * 100, share < 0.1 ? 1 : 0) + " %",
          .hint = fmt::format("{} of {}", count_text(row.weight_nonzero), count_text(row.weight_count)),
          .order = share};
}

// Only worth a column when some row's shapes changed.
Cell macs_cell(const Sheet& sheet, size_t i) {
  bool changed = false;
  for (const Row& row : sheet.table.rows) changed |= row.macs > 0 && row.macs != sheet.baseline().macs;
  const int64_t macs = sheet.row(i).macs;
  return changed && macs > 0 ? Cell{.text = large_count_text(double(macs)), .order = double(macs)} : Cell{};
}

Cell seconds_cell(const Sheet& sheet, size_t i) {
  const Row& row = sheet.row(i);
  if (!row.compress_seconds) return {};
  return {.text = seconds_text(*row.compress_seconds), .order = *row.compress_seconds};
}

constexpr Column all_columns[] = {
#define COLUMN(key, title, unit, help, cell) {key, title, unit, help, cell},
#include "report/columns.inc"
#undef COLUMN
};

void replace(std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at != std::string::npos) text.replace(at, from.size(), to);
}

}  // namespace

std::span<const Column> columns() {
  return all_columns;
}

Sheet::Sheet(const Table& the_table)
    : table(the_table), names(row_names(the_table)), choice(choose_row(the_table, names)) {
  cells.resize(table.rows.size());
  for (const Column& column : all_columns) {
    std::vector<Cell> found;
    bool speaks = false;
    for (size_t i = 0; i < table.rows.size(); ++i) {
      // What a failed row still knows (its size, perhaps) is not comparable: it shows its error instead.
      const bool shown = table.rows[i].error.empty() || &column == all_columns;
      found.push_back(shown ? column.cell(*this, i) : Cell{});
      speaks |= !found.back().text.empty();
    }
    if (!speaks) continue;
    columns.push_back(&column);
    for (size_t i = 0; i < found.size(); ++i) cells[i].push_back(std::move(found[i]));
  }
}

std::string Sheet::unit(const Column& column) const {
  std::string text = column.unit;
  std::string metric, value, change = "vs baseline";
  if (!table.rows.empty() && baseline().metric) {
    const MetricStyle& style = metric_style(baseline().metric->name);
    metric = metric_title(*baseline().metric);
    if (*style.unit) value = std::string(", ") + style.unit;
    if (*style.change_unit) change = style.change_unit;
  }
  replace(text, "{metric}", metric);
  replace(text, "{value}", value);
  replace(text, "{change}", change);
  return text;
}

std::string Sheet::energy_note() const {
  for (const Row& row : table.rows) {
    if (!row.energy_note.empty()) return row.energy_note;
  }
  return "";
}

std::string columns_markdown() {
  std::string text = "| column | says |\n|---|---|\n";
  for (const Column& column : all_columns) text += fmt::format("| {} | {} |\n", column.title, column.help);
  return text;
}

}  // namespace pare
