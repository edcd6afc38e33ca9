// Quality, size and latency over sparsity: three drawings of the same curves.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/chart.h"
#include "report/figures.h"
#include "report/html.h"
#include "report/pruning.h"
#include "report/report.h"

namespace pare {
namespace {

constexpr double width = 480, height = 320;
constexpr Box plot{52, 14, width - 52 - 14, height - 14 - 50};
constexpr size_t most_curves = 6;  // as many as line styles can tell apart

using Read = std::optional<double> (*)(const PrunedPoint& point);

struct Panel {
  std::string title, text, unit;
  Read read;
  double scale;                     // of the values, for people
  std::optional<double> level;      // a dotted line: as good as dense
  std::optional<double> (*marked)(const PruningCurve& curve);
  const char* mark;                 // what is marked
};

std::optional<double> value_at(const PruningCurve& curve, Read read, double sparsity) {
  const PrunedPoint* before = nullptr;
  for (const PrunedPoint& point : curve.points) {
    const auto value = read(point);
    if (!value) continue;
    if (point.sparsity >= sparsity) {
      if (before == nullptr || point.sparsity == before->sparsity) return value;
      const double part = (sparsity - before->sparsity) / (point.sparsity - before->sparsity);
      return *read(*before) + part * (*value - *read(*before));
    }
    before = &point;
  }
  return std::nullopt;
}

std::string axes(const Scale& x, const Scale& y) {
  std::string out;
  const std::vector<double> rows = y.ticks(6);
  const double step = rows.size() > 1 ? rows[1] - rows[0] : 1;
  const int decimals = std::clamp(int(std::ceil(-std::log10(step) - 1e-9)), 0, 6);
  for (const double tick : rows)
    out += fmt::format("<path class=\"grid\" d=\"M{:.1f} {:.1f}h{:.1f}\"/><text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", plot.x, y.at(tick),
                       plot.width, plot.x - 8, y.at(tick) + 4, decimals_text(tick, decimals));
  const double bottom = plot.y + plot.height;
  for (const double tick : {0.0, 20.0, 40.0, 60.0, 80.0, 100.0})
    out += fmt::format("<path class=\"axis\" d=\"M{:.1f} {:.1f}v5\"/><text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:.0f}</text>", x.at(tick), bottom,
                       x.at(tick), bottom + 19, tick);
  return out + fmt::format("<path class=\"axis\" d=\"M{:.1f} {:.1f}h{:.1f}\"/><text class=\"axis-title\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">zeros, % of all "
                           "weights →</text>",
                           plot.x, bottom, plot.width, plot.x + plot.width, bottom + 40);
}

std::string curve_svg(const PruningCurve& curve, size_t style, const Panel& panel, const Sheet& sheet, const Scale& x, const Scale& y) {
  std::string path, marks;
  for (const PrunedPoint& point : curve.points) {
    const auto value = panel.read(point);
    if (!value) continue;
    const double px = x.at(100 * point.sparsity), py = y.at(panel.scale * *value);
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", px, py);
    marks += fmt::format("<g class=\"mark s{}{}\" data-row=\"{}\"><title>{}: {:.1f} % zeros, {} {}</title><circle class=\"dot\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/></g>",
                         style, point.row == curve.dense ? " base" : "", point.row, escaped(sheet.names[point.row], 100), 100 * point.sparsity,
                         significant_text(panel.scale * *value), escaped(panel.unit), px, py);
  }
  std::string out = fmt::format("<path class=\"curve s{}\" d=\"{}\"/>", style, path) + marks;
  const auto at = panel.marked(curve);
  const auto value = at ? value_at(curve, panel.read, *at) : std::nullopt;
  if (!value) return out;
  const double px = x.at(100 * *at), py = y.at(panel.scale * *value);
  out += fmt::format("<circle class=\"ring\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"9\"><title>{}: {}, {:.0f} %</title></circle>", px, py, escaped(curve.name, 100), panel.mark, 100 * *at);
  return out;
}

std::string panel_html(const Panel& panel, const std::vector<PruningCurve>& curves, const Sheet& sheet) {
  std::vector<double> values;
  for (const PruningCurve& curve : curves)
    for (const PrunedPoint& point : curve.points)
      if (const auto value = panel.read(point); value && std::isfinite(*value)) values.push_back(panel.scale * *value);
  if (values.size() < 4) return "";
  if (panel.level) values.push_back(*panel.level);
  const Scale x{0, 100, plot.x, plot.x + plot.width, false}, y = fitted_scale(values, plot.y + plot.height, plot.y);
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">", width, height, escaped(panel.title + " " + panel.text));
  svg += axes(x, y);
  if (panel.level) svg += fmt::format("<path class=\"level\" d=\"M{:.1f} {:.1f}h{:.1f}\"/>", plot.x, y.at(*panel.level), plot.width);
  for (size_t i = 0; i < curves.size(); ++i) svg += curve_svg(curves[i], i, panel, sheet, x, y);
  return fmt::format("<figure><figcaption><b>{}</b> {}</figcaption>{}</svg></figure>", escaped(panel.title), escaped(panel.text), svg);
}

std::string legend(const std::vector<PruningCurve>& curves) {
  std::string items;
  for (size_t i = 0; i < curves.size(); ++i)
    items += fmt::format("<li><svg viewBox=\"0 0 34 8\" aria-hidden=\"true\"><path class=\"curve s{}\" d=\"M1 4h32\"/></svg>{}</li>", i, escaped(curves[i].name, 120));
  return "<ul class=\"legend\">" + items + "</ul>";
}

std::optional<double> knee_of(const PruningCurve& curve) { return curve.knee; }
std::optional<double> break_even_of(const PruningCurve& curve) { return curve.break_even; }
std::optional<double> nothing_of(const PruningCurve&) { return std::nullopt; }

}  // namespace

std::string pruning_section(const Sheet& sheet) {
  std::vector<PruningCurve> curves = pruning_curves(sheet.table);
  if (curves.empty()) return "";
  const std::vector<std::string> words = pruning_words(sheet.table);
  std::string remarks;
  for (const std::string& line : words) remarks += "<li>" + escaped(line) + "</li>";
  const bool cut = curves.size() > most_curves;
  if (cut) curves.resize(most_curves);
  std::string figures;
  if (sheet.baseline().metric) {
    const MetricStyle& style = metric_style(sheet.baseline().metric->name);
    const std::string metric = metric_title(*sheet.baseline().metric);
    figures += panel_html({"Quality.", metric + (*style.unit ? std::string(", ") + style.unit : "") + "; a ring marks the knee.", style.unit,
                           [](const PrunedPoint& p) { return p.quality; }, style.scale, style.scale * sheet.baseline().metric->value, knee_of, "knee"},
                          curves, sheet);
  }
  figures += panel_html({"Latency.", "as a multiple of the same recipe without pruning; a ring marks the break-even.", "of dense", [](const PrunedPoint& p) { return p.time; }, 1, 1.0,
                         break_even_of, "break-even"},
                        curves, sheet);
  figures += panel_html({"Size.", "% of the same recipe without pruning.", "% of dense", [](const PrunedPoint& p) { return p.size; }, 100, 100.0, nothing_of, ""}, curves, sheet);
  return fmt::format("<section id=\"pruning\"><h2>How far to prune</h2><ul class=\"remarks\">{}</ul>{}<div class=\"charts\">{}</div><p class=\"note\">The dotted line is the "
                     "model without pruning. {}Point at a mark for its figures.</p></section>",
                     remarks, legend(curves), figures, cut ? fmt::format("Only the first {} curves are drawn. ", most_curves) : "");
}

}  // namespace pare
