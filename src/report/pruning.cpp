// How quality, size and latency follow sparsity, from rows that differ in nothing else.
#include "report/pruning.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <regex>

#include "report/figures.h"
#include "report/recommend.h"
#include "report/report.h"

namespace pare {
namespace {

const std::string pruning = "prune-weights";

// The recipe's passes, each with its options.
std::vector<std::string> passes_of(const std::string& recipe) {
  std::vector<std::string> passes;
  std::string one;
  int depth = 0;
  for (const char c : recipe + ",") {
    depth += int(c == '{') - int(c == '}');
    if (c == ',' && depth == 0) {
      const size_t first = one.find_first_not_of(' ');
      if (first != std::string::npos) passes.push_back(one.substr(first));
      one.clear();
    } else {
      one += c;
    }
  }
  return passes;
}

bool prunes(const std::string& pass) {
  return pass == pruning || pass.starts_with(pruning + "{");
}

// The recipe without its pruning, or with all of it but the sparsity.
std::string without_pruning(const std::string& recipe) {
  std::string rest;
  for (const std::string& pass : passes_of(recipe))
    if (!prunes(pass)) rest += (rest.empty() ? "" : ", ") + pass;
  return rest;
}
std::string without_sparsity(const std::string& recipe) {
  static const std::regex sparsity("sparsity=[0-9.eE+-]+"), of_each("pattern=[0-9]+:[0-9]+");  // N:M says the sparsity too
  std::string rest;
  for (const std::string& pass : passes_of(recipe))
    rest += (rest.empty() ? "" : ", ") + (prunes(pass) ? std::regex_replace(std::regex_replace(pass, sparsity, "sparsity="), of_each, "pattern=N:M") : pass);
  return rest;
}

double sparsity_of(const Row& row) {
  return row.weight_count > 0 ? 1 - double(row.weight_nonzero) / double(row.weight_count) : 0;
}

// What the passes are called, and of pruning's options those that tell the curves apart.
std::string curve_name(const std::string& recipe) {
  static const std::regex option("(score|pattern|scope)=([^,}]+)");
  std::string name;
  for (const std::string& pass : passes_of(recipe)) {
    name += (name.empty() ? "" : " + ") + pass.substr(0, pass.find('{'));
    if (!prunes(pass)) continue;
    for (auto found = std::sregex_iterator(pass.begin(), pass.end(), option); found != std::sregex_iterator(); ++found) {
      const std::string value = (*found)[2];
      if (value != "magnitude" && value != "unstructured" && value != "layer") name += " " + value;
    }
  }
  return name;
}

PrunedPoint point_of(const Table& table, size_t i, size_t dense) {
  const Row &row = table.rows[i], &beside = table.rows[dense];
  PrunedPoint point{i, sparsity_of(row), {}, {}, {}, {}, {}, false};
  if (row.metric) {
    point.quality = row.metric->value;
    point.low = row.metric->low;
    point.high = row.metric->high;
  }
  if (row.size_bytes > 0 && beside.size_bytes > 0) point.size = double(row.size_bytes) / double(beside.size_bytes);
  if (row.latency && beside.latency && beside.latency->ratio > 0) {
    point.time = row.latency->ratio / beside.latency->ratio;
    point.faster = i != dense && row.latency->ratio_high < (dense == 0 ? 1 : beside.latency->ratio_low);
  }
  return point;
}

void find_free(const Table& table, PruningCurve& curve) {
  for (const PrunedPoint& point : curve.points) {
    if (point.row == curve.dense) continue;
    const Verdict verdict = judge_quality(table, point.row);
    if (verdict == Verdict::unmeasured) return;
    if (!curve.free_up_to) curve.free_up_to = 0;
    if (verdict != Verdict::same && verdict != Verdict::better) return;
    curve.free_up_to = point.sparsity;
  }
}

void find_knee(PruningCurve& curve, bool higher_is_better) {
  const PrunedPoint &first = curve.points.front(), &last = curve.points.back();
  if (!first.quality || !last.quality || last.sparsity <= first.sparsity) return;
  const double sign = higher_is_better ? 1 : -1, fall = sign * (*first.quality - *last.quality);
  if (fall <= 0) return;
  double most = 0.1;  // of the fall: a curve that is nearly a line has no knee
  for (const PrunedPoint& point : curve.points) {
    if (!point.quality) continue;
    const double along = (point.sparsity - first.sparsity) / (last.sparsity - first.sparsity);
    const double above = sign * (*point.quality - *last.quality) / fall - (1 - along);
    if (above <= most) continue;
    most = above;
    curve.knee = point.sparsity;
  }
}

void find_break_even(PruningCurve& curve) {
  const PrunedPoint* before = nullptr;  // the last that is not faster
  for (const PrunedPoint& point : curve.points) {
    if (!point.time) continue;
    if (!point.faster) {
      before = &point;
      curve.break_even.reset();
    } else if (!curve.break_even) {
      const bool crosses = before != nullptr && *before->time > 1;
      const double part = crosses ? (*before->time - 1) / (*before->time - *point.time) : 1;
      curve.break_even = before == nullptr ? point.sparsity : before->sparsity + part * (point.sparsity - before->sparsity);
    }
  }
}

std::string percent(double sparsity) { return fmt::format("{:.0f} %", 100 * sparsity); }

}  // namespace

std::vector<PruningCurve> pruning_curves(const Table& table) {
  std::map<std::string, std::vector<size_t>> groups;
  std::vector<std::string> order;
  for (size_t i = 1; i < table.rows.size(); ++i) {
    const Row& row = table.rows[i];
    if (!row.error.empty() || row.weight_count == 0 || row.recipe.find(pruning) == std::string::npos) continue;
    const std::string key = without_sparsity(row.recipe);
    if (groups[key].empty()) order.push_back(key);
    groups[key].push_back(i);
  }
  std::vector<PruningCurve> curves;
  for (const std::string& key : order) {
    const std::vector<size_t>& rows = groups[key];
    PruningCurve curve;
    curve.name = curve_name(key);
    const std::string rest = without_pruning(key);
    for (size_t i = 1; i < table.rows.size(); ++i)
      if (!rest.empty() && table.rows[i].recipe == rest && table.rows[i].error.empty()) curve.dense = i;
    curve.points.push_back(point_of(table, curve.dense, curve.dense));
    for (const size_t i : rows) curve.points.push_back(point_of(table, i, curve.dense));
    std::sort(curve.points.begin() + 1, curve.points.end(), [](const auto& a, const auto& b) { return a.sparsity < b.sparsity; });
    if (curve.points.size() < 4) continue;
    find_free(table, curve);
    if (table.rows[0].metric) find_knee(curve, table.rows[0].metric->higher_is_better);
    find_break_even(curve);
    curves.push_back(std::move(curve));
  }
  return curves;
}

std::vector<std::string> pruning_words(const Table& table) {
  std::vector<std::string> lines;
  for (const PruningCurve& curve : pruning_curves(table)) {
    std::string text = curve.name + ": ";
    if (!curve.free_up_to) text += "quality was not measured";
    else if (*curve.free_up_to == 0) text += fmt::format("already {} zeros cost quality", percent(curve.points[1].sparsity));
    else text += fmt::format("up to {} zeros cost nothing measurable (within the interval of the baseline)", percent(*curve.free_up_to));
    if (curve.knee) text += fmt::format("; quality turns down behind {}", percent(*curve.knee));
    const PrunedPoint& last = curve.points.back();
    const char* dense = curve.dense == 0 ? "the baseline" : "the same recipe without pruning";
    if (curve.break_even)
      text += fmt::format("; faster than {} from {} on, {} at {}", dense, percent(*curve.break_even), factor_text(1 / *last.time), percent(last.sparsity));
    else if (last.time) text += fmt::format("; not measurably faster than {} at the highest sparsity", dense);
    if (last.size) text += fmt::format("; {} of its bytes at {}", percent(*last.size), percent(last.sparsity));
    lines.push_back(text + ".");
  }
  return lines;
}

}  // namespace pare
