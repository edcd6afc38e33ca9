#include "report/recommend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures.h"
#include "report/names.h"
#include "report/report.h"

namespace pare {
namespace {

constexpr double same_size = 0.02;    // sizes this close are called the same
constexpr double same_speed = 0.01;   // times this close are called the same, however sure the difference
constexpr double coarse_test = 0.02;  // a paired interval this wide (a fraction, each side) earns a warning

bool is_safe(Verdict verdict) {
  return verdict == Verdict::same || verdict == Verdict::better || verdict == Verdict::small_loss;
}

bool has_speed(const Row& row) {
  return row.latency && std::isfinite(row.latency->ratio) && row.latency->ratio > 0;
}
bool surely_faster(const Row& row) {
  return has_speed(row) && row.latency->ratio_high < 1 && row.latency->ratio < 1 - same_speed;
}
bool surely_slower(const Row& row) {
  return has_speed(row) && row.latency->ratio_low > 1 && row.latency->ratio > 1 + same_speed;
}

// What changes when `factor` = baseline / row: "3.5x smaller", "1.1x larger".
std::string factor_words(double factor, const char* better, const char* worse) {
  return factor >= 1 ? factor_text(factor) + " " + better : factor_text(1 / factor) + " " + worse;
}

// Builds the sentences about one table.
class Adviser {
 public:
  Adviser(const Table& table, const std::vector<std::string>& names) : table_(table), names_(names) {}
  Choice choose();

 private:
  const Row& row(size_t i) const { return table_.rows[i]; }
  const Row& baseline() const { return table_.rows[0]; }
  bool smaller(size_t i) const {
    return row(i).size_bytes > 0 && double(row(i).size_bytes) < double(baseline().size_bytes) * (1 - same_size);
  }

  void sort_rows();
  size_t fastest_of(const std::vector<size_t>& rows) const;
  size_t smallest_of(const std::vector<size_t>& rows) const;
  void decide(Choice& choice) const;
  void name_smallest(Choice& choice) const;
  void add_reservations(Choice& choice) const;
  std::string keep_baseline() const;
  std::string describe(size_t i) const;
  std::string size_words(size_t i) const;
  std::string speed_words(size_t i) const;
  std::string quality_words(size_t i) const;
  std::string names_of(const std::vector<size_t>& rows, const std::vector<std::string>& remarks) const;

  const Table& table_;
  const std::vector<std::string>& names_;
  bool quality_measured_ = false, latency_measured_ = false;
  std::vector<size_t> sound_, safe_, failed_;  // without error; of these acceptable quality; with error
};

void Adviser::sort_rows() {
  for (size_t i = 1; i < table_.rows.size(); ++i) {
    (row(i).error.empty() ? sound_ : failed_).push_back(i);
  }
  for (const size_t i : sound_) {
    quality_measured_ |= judge_quality(table_, i) != Verdict::unmeasured;
    latency_measured_ |= has_speed(row(i));
  }
  for (const size_t i : sound_) {
    if (!quality_measured_ || is_safe(judge_quality(table_, i))) safe_.push_back(i);
  }
}

size_t Adviser::smallest_of(const std::vector<size_t>& rows) const {
  return *std::min_element(rows.begin(), rows.end(), [&](size_t a, size_t b) {
    const auto size = [&](size_t i) { return row(i).size_bytes > 0 ? row(i).size_bytes : INT64_MAX; };
    return size(a) < size(b);
  });
}

// Rows whose ratio lies inside the fastest row's interval tie with it: of these the smallest.
size_t Adviser::fastest_of(const std::vector<size_t>& rows) const {
  const auto ratio = [&](size_t i) { return row(i).latency->ratio; };
  const size_t best =
      *std::min_element(rows.begin(), rows.end(), [&](size_t a, size_t b) { return ratio(a) < ratio(b); });
  std::vector<size_t> ties;
  for (const size_t i : rows) {
    if (ratio(i) <= row(best).latency->ratio_high || i == best) ties.push_back(i);
  }
  return smallest_of(ties);
}

std::string Adviser::size_words(size_t i) const {
  if (row(i).size_bytes <= 0 || baseline().size_bytes <= 0) return "size unknown";
  const double factor = double(baseline().size_bytes) / double(row(i).size_bytes);
  if (std::abs(1 - 1 / factor) <= same_size) return "the same size";
  return factor_words(factor, "smaller", "larger");
}

std::string Adviser::speed_words(size_t i) const {
  if (!has_speed(row(i))) return "";
  const Latency& latency = *row(i).latency;
  if (surely_faster(row(i)) || surely_slower(row(i))) return factor_words(1 / latency.ratio, "faster", "slower");
  if (latency.ratio_high < 1 || latency.ratio_low > 1) return fmt::format("as fast, within {:.0f} %", same_speed * 100);
  return fmt::format("not measurably faster or slower ({}, 95 % interval {} to {} includes 1)",
                     factor_text(1 / latency.ratio), decimals_text(1 / latency.ratio_high, 2),
                     decimals_text(1 / latency.ratio_low, 2));
}

std::string Adviser::quality_words(size_t i) const {
  const Verdict verdict = judge_quality(table_, i);
  if (verdict == Verdict::unmeasured) return "quality not measured";
  const MetricValue& metric = *baseline().metric;
  const MetricStyle& style = metric_style(metric.name);
  std::string text = metric_title(metric) + " " + change_text(row(i), metric);
  if (*style.change_unit) text += std::string(" ") + style.change_unit;
  const std::string on = metric.count > 0 ? fmt::format(" on {} {}", count_text(metric.count), style.samples) : "";
  if (verdict == Verdict::same) return text + " (not distinguishable from the baseline" + on + ")";
  if (!row(i).paired) return text + " (no paired test" + (on.empty() ? "" : "," + on) + ")";
  if (verdict == Verdict::better) return text + " (better than the baseline" + on + ")";
  return text + (verdict == Verdict::small_loss ? " (a small but real loss" : " (a real loss") + on + ")";
}

std::string Adviser::describe(size_t i) const {
  std::string text = names_[i] + " is " + size_words(i);
  const std::string speed = speed_words(i);
  if (!speed.empty()) text += ", " + speed;
  return text + ", " + quality_words(i);
}

std::string Adviser::keep_baseline() const {
  if (sound_.empty()) return "Keep the baseline: every other row failed.";
  if (!safe_.empty()) {
    const bool one = safe_.size() == 1;
    return fmt::format("Keep the baseline: {} {} smaller or measurably faster.",
                       one ? names_[safe_[0]] : fmt::format("none of {} rows", safe_.size()), one ? "is not" : "is");
  }
  // Everything loses: name the row that loses least.
  const auto loss = [&](size_t i) {
    const double change = row(i).paired ? row(i).paired->difference : row(i).metric->value - baseline().metric->value;
    return baseline().metric->higher_is_better ? -change : change;
  };
  std::vector<size_t> lossy;
  for (const size_t i : sound_) {
    if (judge_quality(table_, i) == Verdict::loss) lossy.push_back(i);
  }
  const size_t best =
      *std::min_element(lossy.begin(), lossy.end(), [&](size_t a, size_t b) { return loss(a) < loss(b); });
  return "Keep the baseline: every row loses too much quality. The closest, " + describe(best) + ".";
}

void Adviser::decide(Choice& choice) const {
  std::vector<size_t> faster, as_fast, slower;
  for (const size_t i : safe_) {
    if (surely_faster(row(i)))
      faster.push_back(i);
    else if (smaller(i))
      (surely_slower(row(i)) ? slower : as_fast).push_back(i);
  }
  if (!faster.empty())
    choice.row = fastest_of(faster);
  else if (!as_fast.empty())
    choice.row = smallest_of(as_fast);
  else if (!slower.empty())
    choice.row = smallest_of(slower);
  if (!choice.row) {
    choice.lines.push_back(keep_baseline());
    return;
  }
  choice.lines.push_back(describe(*choice.row) + ".");
  if (faster.empty() && latency_measured_) {
    const char* why = sound_.size() == 1 ? "It is not measurably faster than the baseline: it saves size only."
                      : safe_.size() == sound_.size()
                          ? "No row is measurably faster than the baseline: this one saves size only."
                          : "No row that keeps the quality is measurably faster than the "
                            "baseline: this one saves size only.";
    choice.lines.push_back(why);
  }
}

void Adviser::name_smallest(Choice& choice) const {
  if (!choice.row) return;
  const size_t smallest = smallest_of(safe_);
  const double chosen_bytes = double(row(*choice.row).size_bytes), bytes = double(row(smallest).size_bytes);
  if (smallest == *choice.row || !smaller(smallest) || bytes >= chosen_bytes * (1 - same_size)) return;
  choice.smallest = smallest;
  choice.lines.push_back(fmt::format("The smallest {} is {}.", quality_measured_ ? "that keeps the quality" : "row",
                                     describe(smallest).replace(names_[smallest].size(), 3, ":")));
}

// "a (2.1x), b" for the first few rows.
std::string Adviser::names_of(const std::vector<size_t>& rows, const std::vector<std::string>& remarks) const {
  constexpr size_t most = 4;
  std::string text;
  for (size_t k = 0; k < std::min(rows.size(), most); ++k) {
    text += (k ? ", " : "") + names_[rows[k]];
    if (!remarks[k].empty()) text += " (" + remarks[k] + ")";
  }
  if (rows.size() > most) text += fmt::format(" and {} more", rows.size() - most);
  return text;
}

// The start of the first line of a message, cut between characters.
std::string excerpt(const std::string& message) {
  constexpr size_t most = 120;
  std::string line = valid_utf8(message.substr(0, message.find('\n')));
  while (line.ends_with('.')) line.pop_back();  // the sentence brings its own
  if (line.size() <= most) return line;
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xc0) == 0x80) --end;
  return line.substr(0, end) + "…";
}

void Adviser::add_reservations(Choice& choice) const {
  std::vector<size_t> slower, lossy, unknown;
  std::vector<std::string> factors, losses, reasons;
  for (const size_t i : sound_) {
    if (surely_slower(row(i)) && choice.row != i) {
      slower.push_back(i);
      factors.push_back(factor_text(row(i).latency->ratio));
    }
    const Verdict verdict = judge_quality(table_, i);
    if (verdict == Verdict::loss && choice.row) {
      lossy.push_back(i);
      losses.push_back(change_text(row(i), *baseline().metric));
    }
    if (verdict == Verdict::unmeasured && quality_measured_) unknown.push_back(i);
  }
  for (const size_t i : failed_) reasons.push_back(excerpt(row(i).error));
  if (!quality_measured_ && !sound_.empty()) {
    choice.lines.push_back("Quality was not measured: give --data and check it before you use any of these.");
  }
  if (!latency_measured_ && !sound_.empty()) choice.lines.push_back("Latency was not measured.");
  if (!lossy.empty()) choice.lines.push_back("Too much quality lost: " + names_of(lossy, losses) + ".");
  if (!slower.empty()) choice.lines.push_back("Slower than the baseline: " + names_of(slower, factors) + ".");
  if (!unknown.empty()) {
    choice.lines.push_back("Quality not comparable: " + names_of(unknown, std::vector<std::string>(unknown.size())) +
                           ".");
  }
  if (!failed_.empty()) {
    choice.lines.push_back(fmt::format("{} of {} failed: {}.", failed_.size(),
                                       plural_text(int64_t(table_.rows.size()), "row"), names_of(failed_, reasons)));
  }
  const bool tested =
      choice.row && row(*choice.row).paired && judge_quality(table_, *choice.row) != Verdict::unmeasured;
  if (tested && metric_style(baseline().metric->name).scale == 100) {
    const double unseen = (row(*choice.row).paired->high - row(*choice.row).paired->low) / 2;
    if (unseen > coarse_test) {
      choice.lines.push_back(fmt::format("The test is coarse: {} {} cannot show a loss below {} points. Use more.",
                                         count_text(baseline().metric->count),
                                         metric_style(baseline().metric->name).samples,
                                         decimals_text(unseen * 100, 1)));
    }
  }
}

Choice Adviser::choose() {
  Choice choice;
  if (table_.rows.empty()) {
    choice.lines.push_back("Nothing was measured.");
    return choice;
  }
  if (!baseline().error.empty()) {
    choice.lines.push_back("The baseline failed, so nothing can be compared: " + excerpt(baseline().error) + ".");
    return choice;
  }
  if (table_.rows.size() == 1) {
    choice.lines.push_back("Only the baseline was measured.");
    return choice;
  }
  sort_rows();
  decide(choice);
  name_smallest(choice);
  add_reservations(choice);
  return choice;
}

}  // namespace

Verdict judge_quality(const Table& table, size_t i) {
  const Row& base = table.rows[0];
  const Row& row = table.rows[i];
  if (!base.metric || !row.metric || base.metric->name != row.metric->name) return Verdict::unmeasured;
  const double change = row.paired ? row.paired->difference : row.metric->value - base.metric->value;
  if (!std::isfinite(change)) return Verdict::unmeasured;
  if (row.paired && row.paired->low <= 0 && row.paired->high >= 0) return Verdict::same;
  const double loss = base.metric->higher_is_better ? -change : change;
  if (loss == 0) return Verdict::same;
  if (loss < 0) return Verdict::better;
  const MetricStyle& style = metric_style(base.metric->name);
  const double allowed = style.allowed_loss * (style.relative ? std::abs(base.metric->value) : 1);
  // 0.9164 − 0.9114 is 0.0050000000000000044: a loss of exactly the allowed points is allowed.
  return loss <= allowed * (1 + 1e-9) ? Verdict::small_loss : Verdict::loss;
}

Choice choose_row(const Table& table, const std::vector<std::string>& names) {
  return Adviser(table, names).choose();
}

std::string recommend(const Table& table) {
  std::string text;
  for (const std::string& line : choose_row(table, row_names(table)).lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

}  // namespace pare
