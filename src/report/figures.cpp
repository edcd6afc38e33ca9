#include "report/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pare {
namespace {

constexpr MetricStyle metric_styles[] = {
    {"top1", "top-1", "%", "points", "images", 100, 2, 0.005, false},
    {"top5", "top-5", "%", "points", "images", 100, 2, 0.005, false},
    {"accuracy", "accuracy", "%", "points", "samples", 100, 2, 0.005, false},
    {"agreement", "agreement", "%", "points", "samples", 100, 2, 0.005, false},
    {"map", "mAP", "%", "points", "images", 100, 2, 0.005, false},
    {"map50", "mAP@50", "%", "points", "images", 100, 2, 0.005, false},
    {"psnr_y", "PSNR (Y)", "dB", "dB", "images", 1, 2, 0.1, false},
    {"ssim", "SSIM", "", "", "images", 1, 4, 0.005, false},
    {"frechet", "Fréchet distance", "", "", "pictures", 1, 3, 0.02, true},
    // 1 % of perplexity is what good 6-bit weights cost (llama.cpp, Llama-3-8B: q6_K 6.253 against 6.233).
    {"perplexity", "perplexity", "", "", "texts", 1, 2, 0.01, true},
    {"kl_divergence", "KL divergence", "nats", "nats", "texts", 1, 4, 0.01, false},
    {"top1_agreement", "same next token", "%", "points", "texts", 100, 2, 0.005, false},
    {"accuracy_by_length", "accuracy by length", "%", "points", "questions", 100, 2, 0.005, false},
};
constexpr MetricStyle unknown_metric = {"", "", "", "", "samples", 1, 4, 0.005, true};

// Thousands in groups of three: "1234567.8" → "1,234,567.8". A leading "-" becomes the minus sign.
std::string grouped(std::string digits) {
  const bool negative = !digits.empty() && digits[0] == '-';
  if (negative) digits.erase(0, 1);
  size_t whole = digits.find_first_not_of("0123456789");
  if (whole == std::string::npos) whole = digits.size();
  for (size_t at = whole; at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  const bool zero = digits.find_first_of("123456789") == std::string::npos;
  return (negative && !zero ? "−" : "") + digits;
}

std::string not_finite(double value) {
  return std::isnan(value) ? "–" : value > 0 ? "∞" : "−∞";
}

bool beyond_reading(double value) {
  return std::abs(value) >= 1e15;
}

}  // namespace

std::string decimals_text(double value, int decimals) {
  if (!std::isfinite(value)) return not_finite(value);
  if (beyond_reading(value)) return fmt::format("{:.2e}", value);
  return grouped(fmt::format("{:.{}f}", value, decimals));
}

std::string significant_text(double value, int digits) {
  if (value == 0 || !std::isfinite(value)) return decimals_text(value, 0);
  // Round first: 9.996 has three digits as 10.0, not as 10.00.
  const double magnitude = std::floor(std::log10(std::abs(std::stod(fmt::format("{:.{}e}", value, digits - 1)))));
  return decimals_text(value, std::clamp(digits - 1 - int(magnitude), 0, 12));
}

std::string size_text(double bytes) {
  if (!std::isfinite(bytes)) return not_finite(bytes);
  const char* const units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  while (unit < 4 && bytes >= 999.5) bytes /= 1000, ++unit;
  return fmt::format("{} {}", unit == 0 ? decimals_text(bytes, 0) : significant_text(bytes), units[unit]);
}

std::string milliseconds_text(double milliseconds) {
  return significant_text(milliseconds) + " ms";
}

std::string seconds_text(double seconds) {
  if (seconds < 120) return significant_text(seconds, 2) + " s";
  return seconds < 7200 ? decimals_text(seconds / 60, 0) + " min" : significant_text(seconds / 3600, 2) + " h";
}

std::string count_text(int64_t count) {
  return grouped(std::to_string(count));
}

std::string large_count_text(double count) {
  const char* const units[] = {"", " k", " M", " G", " T"};
  int unit = 0;
  while (unit < 4 && count >= 999.5) count /= 1000, ++unit;
  return significant_text(count) + units[unit];
}

std::string factor_text(double factor) {
  const int decimals = factor < 1.195 ? 2 : factor < 9.95 ? 1 : 0;
  return decimals_text(factor, decimals) + "x";
}

std::string signed_text(double value, int decimals) {
  const std::string text = decimals_text(value, decimals);
  const bool zero = std::isfinite(value) && text.find_first_of("123456789") == std::string::npos;
  return value > 0 && !zero ? "+" + text : text;
}

std::string plural_text(int64_t count, const std::string& noun) {
  return fmt::format("{} {}{}", count_text(count), noun, count == 1 ? "" : "s");
}

const MetricStyle& metric_style(const std::string& name) {
  for (const MetricStyle& style : metric_styles) {
    if (name == style.name) return style;
  }
  return unknown_metric;
}

std::string metric_title(const MetricValue& metric) {
  const MetricStyle& style = metric_style(metric.name);
  return *style.title ? style.title : metric.name;
}

std::string metric_text(const MetricValue& metric, bool interval) {
  const MetricStyle& style = metric_style(metric.name);
  const int decimals = style.decimals - (style.scale == 100 && metric.count < 1000 ? 1 : 0);
  std::string text = decimals_text(metric.value * style.scale, decimals);
  const double half = (metric.high - metric.low) / 2 * style.scale;
  if (interval && std::isfinite(half)) text += " ± " + decimals_text(half, decimals);
  return text;
}

std::string change_text(const Row& row, const MetricValue& baseline) {
  const MetricStyle& style = metric_style(baseline.name);
  // A change is known to fewer digits than the values: one decimal of a point needs 10,000 samples to mean anything.
  const int decimals = style.scale == 100 ? (baseline.count < 10000 ? 1 : 2) : style.decimals;
  if (row.paired) {
    const double half = (row.paired->high - row.paired->low) / 2 * style.scale;
    std::string text = signed_text(row.paired->difference * style.scale, decimals);
    if (std::isfinite(half)) text += " ± " + decimals_text(half, decimals);
    return text;
  }
  if (!row.metric || row.metric->name != baseline.name) return "";
  return signed_text((row.metric->value - baseline.value) * style.scale, decimals);
}

}  // namespace pare
