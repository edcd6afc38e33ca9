#pragma once
#include <string>
#include <vector>

namespace pare {

enum class MarkKind { baseline, ordinary, chosen };

struct Mark {
  size_t row = 0;  // of the table: the page lights up both together
  double x = 0, y = 0;
  double low = 0, high = 0;  // y's 95 % interval; NaN: none
  std::string label, hint;
  MarkKind kind = MarkKind::ordinary;
};

// Points with error bars, smaller x is better.
struct Chart {
  std::string x_title, y_title;
  std::string (*x_text)(double value) = nullptr;  // writes a tick, "200 kB"
  bool higher_is_better = true;                   // of y
  std::vector<Mark> marks;
};

// An inline SVG whose colours come from the page's style.
std::string chart_svg(const Chart& chart);

// One axis: values to pixels.
struct Scale {
  double low = 0, high = 1;  // values at the ends
  double from = 0, to = 1;   // pixels at the ends
  bool logarithmic = false;
  double at(double value) const;
  std::vector<double> ticks(int about) const;
};
// `values` are finite. From zero when that costs little room, logarithmic when they span more than a factor of 8.
Scale position_scale(const std::vector<double>& values, double from, double to);
// Fitted to the values, with some air.
Scale fitted_scale(const std::vector<double>& values, double from, double to);

struct Box {
  double x = 0, y = 0, width = 0, height = 0;
};
double overlap(const Box& a, const Box& b);  // area

struct Label {
  Box box;
  bool moved = false;  // far from its point: wants a line to it
};
// Places a label of `widths[i]` near every point, in order: where it covers least of other labels and of `dots`, then
// of `lines` (which stay legible below a label).
std::vector<Label> place_labels(const std::vector<Box>& points, const std::vector<double>& widths, double height,
                                const Box& plot, const std::vector<Box>& dots, const std::vector<Box>& lines);

}  // namespace pare
