#pragma once
#include <cstdint>
#include <string>

#include "base/row.h"

namespace pare {

// How figures are written, in the terminal and on the page alike. U+2212 is the minus sign.
std::string significant_text(double value, int digits = 3);       // "0.421", "15.7", "1,230"
std::string size_text(double bytes);                              // "512 B", "282 kB", "1.10 MB" (decimal units)
std::string milliseconds_text(double milliseconds);               // "0.421 ms"
std::string seconds_text(double seconds);                         // "1.7 s", "12 min"
std::string count_text(int64_t count);                            // "1,017"
std::string large_count_text(double count);                       // "40.6 M"
std::string factor_text(double factor);                           // "1.05x", "3.9x", "12x"
std::string signed_text(double value, int decimals);              // "+0.3", "−0.1", "0.0" (never "−0.0")
std::string decimals_text(double value, int decimals);            // "1,234.50", "−0.1"
std::string plural_text(int64_t count, const std::string& noun);  // "1 row", "3 rows"

// What a metric is called and how it is written.
struct MetricStyle {
  const char *name, *title;
  const char *unit, *change_unit;  // of the value ("%") and of a change ("points"); empty: none
  const char* samples;             // what is counted: "images"
  double scale;                    // 100 writes fractions as percent
  int decimals;                    // of the value; fractions have one fewer below 1,000 samples
  double allowed_loss;             // a loss up to this is small enough to recommend, in the metric's own unit …
  bool relative;                   // … or as a fraction of the baseline's value
};
const MetricStyle& metric_style(const std::string& name);

std::string metric_title(const MetricValue& metric);                // "top-1"; the name itself where we know none
std::string metric_text(const MetricValue& metric, bool interval);  // "91.64 ± 1.71"
// "−0.1 ± 0.6"; without a paired test "−0.1". Neither has a unit.
std::string change_text(const Row& row, const MetricValue& baseline);

}  // namespace pare
