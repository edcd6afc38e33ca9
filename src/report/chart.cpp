#include "report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures.h"
#include "report/html.h"

namespace pare {
namespace {

// The drawing's own units; the page scales it. Letters are 12 units high: at 350 px, a phone's width, they are 9 px.
constexpr double width = 480, height = 348;
constexpr Box plot{52, 14, width - 52 - 14, height - 14 - 50};
constexpr double letter_width = 6.9, letter_height = 15;  // of a wide sans serif at 12 units
constexpr double mark_size = 12;
constexpr size_t most_letters = 24, most_labels = 24;

bool starts_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}
size_t letters(const std::string& text) {
  return size_t(std::count_if(text.begin(), text.end(), starts_character));
}

std::string short_label(const std::string& text) {
  if (letters(text) <= most_letters) return text;
  std::string out;
  size_t count = 0;
  for (const char c : text) {
    if (starts_character(c) && ++count >= most_letters) break;
    out += c;
  }
  return out + "…";
}

class Drawing {
 public:
  explicit Drawing(const Chart& chart) : chart_(chart), far_(chart.marks.size(), false) {}
  std::string svg();

 private:
  void find_far_marks();
  void fit();
  void draw_axes();
  void draw_baseline_band();
  void draw_front();
  void draw_marks();
  void draw_labels();
  double x_of(const Mark& mark) const { return x_.at(mark.x); }
  double y_of(size_t i) const { return far_[i] ? far_y() : y_.at(chart_.marks[i].y); }
  // Marks far off sit on the axis' bad end.
  double far_y() const { return chart_.higher_is_better ? plot.y + plot.height - 7 : plot.y + 7; }
  bool has_bar(const Mark& mark) const {
    return std::isfinite(mark.low) && std::isfinite(mark.high) && mark.high > mark.low;
  }
  template <class... T>
  void add(fmt::format_string<T...> format, T&&... values) {
    out_ += fmt::format(format, std::forward<T>(values)...);
  }

  const Chart& chart_;
  std::vector<bool> far_;
  Scale x_, y_;
  std::string out_;
};

// One collapsed model would squeeze all others into a line: the worst mark leaves the scale while it is farther from
// the next one than 2.5 times all the rest, error bars included, spans.
void Drawing::find_far_marks() {
  std::vector<size_t> order(chart_.marks.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const double sign = chart_.higher_is_better ? 1 : -1;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return sign * chart_.marks[a].y < sign * chart_.marks[b].y;  // worst first
  });
  for (size_t k = 0; k + 2 < order.size(); ++k) {
    double low = INFINITY, high = -INFINITY;
    for (size_t j = k + 1; j < order.size(); ++j) {
      const Mark& mark = chart_.marks[order[j]];
      low = std::min({low, mark.y, has_bar(mark) ? mark.low : mark.y});
      high = std::max({high, mark.y, has_bar(mark) ? mark.high : mark.y});
    }
    const double away = std::abs(chart_.marks[order[k]].y - chart_.marks[order[k + 1]].y);
    if (high <= low || away <= 2.5 * (high - low)) break;
    far_[order[k]] = true;
  }
}

void Drawing::fit() {
  find_far_marks();
  std::vector<double> xs, ys;
  for (size_t i = 0; i < chart_.marks.size(); ++i) {
    const Mark& mark = chart_.marks[i];
    xs.push_back(mark.x);
    if (far_[i]) continue;
    ys.push_back(mark.y);
    if (has_bar(mark)) ys.insert(ys.end(), {mark.low, mark.high});
  }
  const bool any_far = std::find(far_.begin(), far_.end(), true) != far_.end();
  const double room = any_far ? 26 : 0;  // a lane at the bad end for marks off the scale
  x_ = position_scale(xs, plot.x, plot.x + plot.width);
  y_ = chart_.higher_is_better ? fitted_scale(ys, plot.y + plot.height - room, plot.y)
                               : fitted_scale(ys, plot.y + plot.height, plot.y + room);
}

void Drawing::draw_axes() {
  const double bottom = plot.y + plot.height;
  const std::vector<double> rows = y_.ticks(6);
  const double step = rows.size() > 1 ? rows[1] - rows[0] : 1;
  int decimals = 0;
  while (decimals < 6 && std::abs(step * std::pow(10, decimals) - std::round(step * std::pow(10, decimals))) > 1e-6)
    ++decimals;
  for (const double tick : rows) {
    const double y = y_.at(tick);
    add("<path class=\"grid\" d=\"M{:.1f} {:.1f}h{:.1f}\"/>", plot.x, y, plot.width);
    add("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", plot.x - 8, y + 4,
        decimals_text(tick, decimals));
  }
  double last = -INFINITY;
  for (const double tick : x_.ticks(5)) {
    const std::string text = chart_.x_text(tick);
    const double x = x_.at(tick), half = double(letters(text)) * letter_width / 2;
    if (x - half < last + 8 || x + half > width) continue;  // would touch its neighbour or the edge
    last = x + half;
    add("<path class=\"axis\" d=\"M{:.1f} {:.1f}v5\"/>", x, bottom);
    add("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", x, bottom + 19, text);
  }
  add("<path class=\"axis\" d=\"M{:.1f} {:.1f}h{:.1f}\"/>", plot.x, bottom, plot.width);
  add("<text class=\"axis-title\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{} →</text>", plot.x + plot.width,
      bottom + 40, escaped(chart_.x_title));
}

// The range in which a row cannot be told from the baseline by eye.
void Drawing::draw_baseline_band() {
  for (const Mark& mark : chart_.marks) {
    if (mark.kind != MarkKind::baseline) continue;
    add("<path class=\"level\" d=\"M{:.1f} {:.1f}h{:.1f}\"/>", plot.x, y_.at(mark.y), plot.width);
    if (!has_bar(mark)) continue;
    const double top = std::max(plot.y, std::min(y_.at(mark.high), y_.at(mark.low)));
    const double bottom = std::min(plot.y + plot.height, std::max(y_.at(mark.high), y_.at(mark.low)));
    add("<rect class=\"band\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>", plot.x, top, plot.width,
        std::max(0.0, bottom - top));
  }
}

// Rows that no other row beats in both directions, joined by steps.
void Drawing::draw_front() {
  std::vector<size_t> order;
  for (size_t i = 0; i < chart_.marks.size(); ++i) {
    if (!far_[i]) order.push_back(i);
  }
  const double sign = chart_.higher_is_better ? 1 : -1;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const Mark &p = chart_.marks[a], &q = chart_.marks[b];
    return p.x != q.x ? p.x < q.x : sign * p.y > sign * q.y;
  });
  std::string path;
  double best = -INFINITY;
  for (const size_t i : order) {
    const Mark& mark = chart_.marks[i];
    if (sign * mark.y <= best) continue;
    best = sign * mark.y;
    if (path.empty())
      path = fmt::format("M{:.1f} {:.1f}", x_of(mark), y_of(i));
    else
      path += fmt::format("H{:.1f}V{:.1f}", x_of(mark), y_of(i));
  }
  add("<path class=\"front\" d=\"{}\"/>", path);
}

void Drawing::draw_marks() {
  for (size_t i = 0; i < chart_.marks.size(); ++i) {
    const Mark& mark = chart_.marks[i];
    const double x = x_of(mark), y = y_of(i);
    const char* kind = mark.kind == MarkKind::baseline ? " base" : mark.kind == MarkKind::chosen ? " chosen" : "";
    add("<g class=\"mark{}\" data-row=\"{}\"><title>{}</title>", kind, mark.row, escaped(mark.hint));
    if (far_[i]) {
      const double tip = chart_.higher_is_better ? 6 : -6;
      add("<path class=\"dot\" d=\"M{:.1f} {:.1f}h12l-6 {:.1f}z\"/>", x - 6, y - tip / 2, tip * 1.5);
    } else {
      if (has_bar(mark)) {
        add("<path class=\"bar\" d=\"M{0:.1f} {1:.1f}V{2:.1f}M{3:.1f} {1:.1f}h6M{3:.1f} {2:.1f}h6\"/>", x,
            y_.at(mark.low), y_.at(mark.high), x - 3);
      }
      if (mark.kind == MarkKind::baseline)
        add("<path class=\"dot\" d=\"M{:.1f} {:.1f}l6 6-6 6-6-6z\"/>", x, y - 6);
      else
        add("<circle class=\"dot\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>", x, y,
            mark.kind == MarkKind::chosen ? 7 : 5);
    }
    out_ += "</g>";
  }
}

void Drawing::draw_labels() {
  std::vector<size_t> order;  // who comes first gets the best place
  for (const MarkKind kind : {MarkKind::chosen, MarkKind::baseline, MarkKind::ordinary}) {
    for (size_t i = 0; i < chart_.marks.size(); ++i) {
      // A search with hundreds of rows labels what matters; all others tell their names when pointed at.
      const bool crowded = chart_.marks.size() > most_labels && kind == MarkKind::ordinary;
      if (chart_.marks[i].kind == kind && !crowded) order.push_back(i);
    }
  }
  std::vector<Box> points, lines, dots;
  std::vector<double> widths;
  std::vector<std::string> texts;
  for (size_t i = 0; i < chart_.marks.size(); ++i) {
    const Mark& mark = chart_.marks[i];
    const double x = x_of(mark);
    dots.push_back({x - mark_size / 2, y_of(i) - mark_size / 2, mark_size, mark_size});
    if (far_[i] || !has_bar(mark)) continue;
    const double top = std::min(y_.at(mark.low), y_.at(mark.high)),
                 bottom = std::max(y_.at(mark.low), y_.at(mark.high));
    lines.push_back({x - 3, top, 6, bottom - top});
  }
  for (const size_t i : order) {
    points.push_back(dots[i]);
    texts.push_back(short_label(chart_.marks[i].label) + (far_[i] ? " " + significant_text(chart_.marks[i].y) : ""));
    widths.push_back(double(letters(texts.back())) * letter_width + 4);
  }
  const std::vector<Label> labels = place_labels(points, widths, letter_height, plot, dots, lines);
  for (size_t k = 0; k < labels.size(); ++k) {
    const Box& box = labels[k].box;
    if (labels[k].moved) {
      const double x = points[k].x + mark_size / 2, y = points[k].y + mark_size / 2;
      add("<path class=\"leader\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>", x, y, std::clamp(x, box.x, box.x + box.width),
          std::clamp(y, box.y, box.y + box.height));
    }
    add("<text class=\"label{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>",
        chart_.marks[order[k]].kind == MarkKind::chosen ? " chosen" : "", box.x + box.width / 2,
        box.y + letter_height - 4, escaped(texts[k]));
  }
}

std::string Drawing::svg() {
  fit();
  add("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{} against {}\">", width, height, escaped(chart_.y_title),
      escaped(chart_.x_title));
  draw_baseline_band();
  draw_axes();
  draw_front();
  draw_marks();
  draw_labels();
  return out_ + "</svg>";
}

}  // namespace

std::string chart_svg(const Chart& chart) {
  return chart.marks.empty() ? "" : Drawing(chart).svg();
}

}  // namespace pare
