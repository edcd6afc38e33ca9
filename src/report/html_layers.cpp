#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "report/figures.h"
#include "report/html.h"
#include "report/names.h"

namespace pare {
namespace {

constexpr double best_sqnr_db = 60;  // a full bar: beyond, nobody sees the error

struct Order {
  std::vector<size_t> shown;  // in the model's order
  size_t left_out = 0;
};

// The layers worth showing where not all fit: half of them the noisiest, half the slowest.
Order layers_to_show(const std::vector<LayerRow>& layers, size_t most) {
  std::vector<size_t> all(layers.size());
  std::iota(all.begin(), all.end(), 0);
  if (all.size() <= most) return {all, 0};
  std::vector<size_t> noisy = all, slow = all, shown;
  std::stable_sort(noisy.begin(), noisy.end(),
                   [&](size_t a, size_t b) { return layers[a].sqnr_db < layers[b].sqnr_db; });
  std::stable_sort(slow.begin(), slow.end(),
                   [&](size_t a, size_t b) { return layers[a].milliseconds > layers[b].milliseconds; });
  std::vector<bool> chosen(layers.size(), false);
  for (size_t k = 0; k < most; ++k) chosen[k % 2 ? slow[k / 2] : noisy[k / 2]] = true;
  for (const size_t i : all) {
    if (chosen[i]) shown.push_back(i);
  }
  return {shown, all.size() - shown.size()};
}

std::string layer_html(const LayerRow& layer, double slowest, const PageLimits& limits) {
  const auto part = [&](double ms) { return std::clamp(slowest > 0 ? ms / slowest * 100 : 0, 0.0, 100.0); };
  const bool slower = layer.baseline_ms > 0 && layer.milliseconds > layer.baseline_ms * 1.02;
  const bool faster = layer.milliseconds > 0 && layer.milliseconds < layer.baseline_ms * 0.98;
  std::string html =
      fmt::format("<tr><th scope=\"row\">{}<small>{}</small></th>", escaped(layer.name, 160), escaped(layer.op, 60));
  if (layer.milliseconds > 0) {
    html += fmt::format(
        "<td class=\"time\"><s style=\"--part:{:.1f}%\" class=\"was\"></s><s style=\"--part:{:.1f}%\"></s></td>"
        "<td class=\"{}\">{}<small>{}</small></td>",
        part(layer.baseline_ms), part(layer.milliseconds),
        slower   ? "bad"
        : faster ? "good"
                 : "",
        significant_text(layer.milliseconds),
        layer.baseline_ms > 0 ? factor_text(layer.baseline_ms / layer.milliseconds) : "");
  } else {
    html += "<td class=\"none\"></td><td class=\"none\">–</td>";
  }
  const bool exact = std::isinf(layer.sqnr_db) && layer.sqnr_db > 0;
  if (std::isnan(layer.sqnr_db))
    html += "<td class=\"none\">–</td>";
  else
    html += fmt::format("<td>{}<s style=\"--part:{:.1f}%\" class=\"sqnr\"></s></td>",
                        exact ? "exact" : decimals_text(layer.sqnr_db, 1),
                        exact ? 100.0 : std::clamp(layer.sqnr_db / best_sqnr_db * 100, 0.0, 100.0));
  html += std::isfinite(layer.output_sqnr_db) ? fmt::format("<td>{}</td>", decimals_text(layer.output_sqnr_db, 1))
                                              : "<td class=\"none\">–</td>";
  html += layer.weight_bytes > 0 ? fmt::format("<td>{}</td>", size_text(double(layer.weight_bytes)))
                                 : "<td class=\"none\">–</td>";
  return html + fmt::format("<td class=\"say\">{}<small>{}</small></td></tr>", escaped(layer.implementation, 160),
                            escaped(layer.mend.empty() ? layer.note : layer.note + (layer.note.empty() ? "" : "; ") + "mended by " + layer.mend, limits.text_bytes));
}

std::string summary_of(const std::vector<LayerRow>& layers) {
  size_t slower = 0, worst = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    slower += layers[i].baseline_ms > 0 && layers[i].milliseconds > layers[i].baseline_ms * 1.02;
    if (layers[i].sqnr_db < layers[worst].sqnr_db) worst = i;
  }
  std::string text = plural_text(int64_t(layers.size()), "layer");
  if (std::isfinite(layers[worst].sqnr_db)) {
    text += fmt::format(", noisiest {} ({} dB)", layers[worst].name, decimals_text(layers[worst].sqnr_db, 1));
  }
  if (slower > 0) text += fmt::format(", {} slower than the baseline’s", slower);
  return text;
}

std::string row_layers(const Sheet& sheet, size_t i, const PageLimits& limits) {
  const Row& row = sheet.row(i);
  double slowest = 0;
  for (const LayerRow& layer : row.layers) slowest = std::max({slowest, layer.milliseconds, layer.baseline_ms});
  const Order order = layers_to_show(row.layers, limits.layers_per_row);
  std::string html =
      fmt::format("<details{}><summary><b>{}</b> <span>{}</span></summary>", sheet.choice.row == i ? " open" : "",
                  escaped(sheet.names[i], limits.text_bytes), escaped(summary_of(row.layers), 400));
  html +=
      "<div class=\"scroll\" tabindex=\"0\"><table class=\"layers\"><thead><tr><th>Layer</th><th class=\"time\">Time "
      "<small>"
      "<span class=\"key was\"></span>baseline <span class=\"key\"></span>this</small></th><th>ms "
      "<small>speed</small></th>"
      "<th>SQNR <small>dB</small></th><th>Output <small>dB, it alone</small></th><th>Weights</th><th class=\"say\">Runs as "
      "<small>why</small></th></tr></thead><tbody>";
  for (const size_t k : order.shown) {
    if (html.size() < hopeless_bytes) html += layer_html(row.layers[k], slowest, limits);
  }
  html += "</tbody></table></div>";
  if (order.left_out > 0) {
    html += fmt::format("<p class=\"note\">The noisiest and the slowest {} of {} layers; the JSON holds all.</p>",
                        order.shown.size(), row.layers.size());
  }
  return html + "</details>";
}

// For a POSIX shell: inside single quotes only the quote itself is special.
std::string shell_quoted(const std::string& text) {
  const bool plain = !text.empty() &&
                     text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+:@%-") ==
                         std::string::npos;
  if (plain && text[0] != '-') return text;
  std::string out = text[0] == '-' ? "./'" : "'";  // a file called -o is no option
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string command_of(const Sheet& sheet, size_t i) {
  const Row& row = sheet.row(i);
  std::string recipe = shell_quoted(row.recipe);
  if (recipe[0] != '\'') recipe = "'" + recipe + "'";
  std::string output = file_name(row.model);
  if (output.empty() || row.model == sheet.baseline().model) output = "small-" + file_name(sheet.baseline().model);
  const bool described = sheet.table.data.ends_with(".toml") && sheet.table.data.find('\n') == std::string::npos;
  return fmt::format("pare compress {} --recipe {}{} -o {}", shell_quoted(sheet.baseline().model), recipe,
                     described ? " --data " + shell_quoted(sheet.table.data) : "", shell_quoted(output));
}

}  // namespace

std::string layers_section(const Sheet& sheet, const PageLimits& limits) {
  std::string rows;
  for (size_t i = 1; i < std::min(sheet.table.rows.size(), limits.rows) && rows.size() < hopeless_bytes; ++i) {
    const Row& row = sheet.row(i);
    if (row.error.empty() && !row.layers.empty() && limits.layers_per_row > 0) rows += row_layers(sheet, i, limits);
  }
  if (rows.empty()) return "";
  return "<section id=\"layers\"><h2>Layer by layer</h2><p>How far each layer’s output is from the baseline’s (SQNR: "
         "above 40 dB is "
         "close, below 15 dB is noise; 6 dB are one bit) and how long it runs.</p>" +
         rows + "</section>";
}

std::string recipes_section(const Sheet& sheet, const PageLimits& limits) {
  std::string items;
  for (size_t i = 1; i < std::min(sheet.table.rows.size(), limits.rows) && items.size() < hopeless_bytes; ++i) {
    const Row& row = sheet.row(i);
    if (row.recipe.empty()) continue;
    std::string notes;
    for (size_t k = 0; k < std::min<size_t>(row.notes.size(), 12); ++k)
      notes += "<li>" + escaped(row.notes[k], limits.text_bytes) + "</li>";
    if (row.notes.size() > 12) notes += fmt::format("<li>and {} more in the JSON</li>", row.notes.size() - 12);
    const std::string command = command_of(sheet, i);
    // A command that was cut would reproduce something else: no button then.
    const bool whole = command.size() <= limits.text_bytes;
    items += fmt::format("<article><h3>{}</h3><div class=\"command\"><code>{}</code>{}</div>{}</article>",
                         escaped(sheet.names[i], limits.text_bytes), escaped(command, limits.text_bytes),
                         whole ? "<button type=\"button\" class=\"copy\">Copy</button>" : "",
                         notes.empty() ? "" : "<ul class=\"remarks\">" + notes + "</ul>");
  }
  if (items.empty()) return "";
  return "<section id=\"reproduce\"><h2>How to reproduce</h2><p>A recipe spells out every option, and what was chosen "
         "by measuring. On the "
         "same data with the same seed, instruction set and threads it makes the same bytes again.</p>" +
         items + "</section>";
}

}  // namespace pare
