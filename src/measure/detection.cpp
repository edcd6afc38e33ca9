#include "measure/detection.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace pare {
namespace {

template <class A, class B>
double intersection(const A& a, const B& b) {
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left),
               height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  return width > 0 && height > 0 ? width * height : 0;
}

template <class Box>
double area(const Box& box) {
  return (box.right - box.left) * (box.bottom - box.top);
}

// Of a crowd only the detection's own area counts: it need not cover all of it.
double overlap(const Detection& detection, const TrueBox& box) {
  const double common = intersection(detection, box);
  const double whole = box.crowd ? area(detection) : area(detection) + area(box) - common;
  return whole > 0 ? common / whole : 0;
}

}  // namespace

std::vector<Detection> suppress(std::vector<Detection> boxes, double iou, size_t most) {
  std::stable_sort(boxes.begin(), boxes.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  std::vector<Detection> kept;
  for (const Detection& box : boxes) {
    if (kept.size() == most) break;
    const bool free = std::none_of(kept.begin(), kept.end(), [&](const Detection& better) {
      if (better.label != box.label) return false;
      const double common = intersection(better, box), whole = area(better) + area(box) - common;
      return common > iou * whole;
    });
    if (free) kept.push_back(box);
  }
  return kept;
}

std::vector<size_t> match_boxes(std::span<const Detection> detections, std::span<const TrueBox> boxes, double iou) {
  const double least = std::min(iou, 1 - 1e-10);
  std::vector<size_t> matches(detections.size(), boxes.size());
  std::vector<char> taken(boxes.size());
  for (size_t d = 0; d < detections.size(); ++d) {
    // The best free box; a crowd, which is never used up, only where there is none.
    double best = least;
    size_t& match = matches[d];
    for (const bool crowds : {false, true}) {
      if (match < boxes.size()) break;
      for (size_t b = 0; b < boxes.size(); ++b) {
        if (boxes[b].label != detections[d].label || boxes[b].crowd != crowds || taken[b]) continue;
        const double common = overlap(detections[d], boxes[b]);
        if (common < best) continue;
        best = common;
        match = b;
      }
    }
    if (match < boxes.size()) taken[match] = !boxes[match].crowd;
  }
  return matches;
}

void PrecisionScore::see(std::span<const Detection> detections, std::span<const TrueBox> boxes) {
  const auto picture = int32_t(pictures_++);
  for (const TrueBox& box : boxes) {
    if (box.crowd) continue;
    const auto row = std::find_if(wanted_.rbegin(), wanted_.rend(), [&](const Wanted& wanted) {
      return wanted.picture != picture || wanted.label == box.label;
    });
    if (row != wanted_.rend() && row->picture == picture)
      ++row->boxes;
    else
      wanted_.push_back({box.label, picture, 1});
  }
  const size_t first = judged_.size();
  for (const Detection& one : detections) judged_.push_back({one.label, picture, one.score});
  for (int t = 0; t < thresholds; ++t) {
    const std::vector<size_t> matches = match_boxes(detections, boxes, 0.5 + 0.05 * t);
    for (size_t d = 0; d < detections.size(); ++d) {
      if (matches[d] == boxes.size()) continue;
      Judged& judged = judged_[first + d];
      (boxes[matches[d]].crowd ? judged.passed_over : judged.right) |= uint16_t(1u << t);
    }
  }
}

void PrecisionScore::sort() {
  std::stable_sort(judged_.begin(), judged_.end(), [](const Judged& a, const Judged& b) {
    return a.label != b.label ? a.label < b.label : a.score > b.score;
  });
  std::stable_sort(wanted_.begin(), wanted_.end(), [](const Wanted& a, const Wanted& b) { return a.label < b.label; });
}

double PrecisionScore::mean(std::span<const int64_t> pictures, int count) const {
  std::vector<int32_t> weights(static_cast<size_t>(pictures_));
  for (const int64_t picture : pictures) ++weights[size_t(picture)];
  double sum = 0;
  int64_t classes = 0;
  size_t judged = 0;
  for (size_t first = 0; first < wanted_.size();) {
    const int64_t label = wanted_[first].label;
    int64_t boxes = 0;
    for (; first < wanted_.size() && wanted_[first].label == label; ++first)
      boxes += wanted_[first].boxes * weights[size_t(wanted_[first].picture)];
    while (judged < judged_.size() && judged_[judged].label < label) ++judged;
    const size_t begin = judged;
    while (judged < judged_.size() && judged_[judged].label == label) ++judged;
    if (boxes == 0) continue;
    ++classes;
    sum += class_mean(std::span(judged_).subspan(begin, judged - begin), weights, boxes, count);
  }
  return classes > 0 ? sum / double(classes) : 0;
}

double PrecisionScore::class_mean(std::span<const Judged> judged, std::span<const int32_t> weights, int64_t boxes,
                                  int count) const {
  constexpr int recall_points = 101;
  struct Point {
    double recall, precision;
  };
  double sum = 0;
  std::vector<Point> points;  // at every hit: recall does not move elsewhere, and precision only falls
  for (int t = 0; t < count; ++t) {
    points.clear();
    int64_t hits = 0, misses = 0;
    for (const Judged& one : judged) {
      const int32_t weight = weights[size_t(one.picture)];
      if (weight == 0 || (one.passed_over >> t & 1)) continue;
      if (!(one.right >> t & 1)) {
        misses += weight;
        continue;
      }
      for (int32_t copy = 0; copy < weight; ++copy) {  // a picture drawn twice is two pictures
        ++hits;
        points.push_back({double(hits) / double(boxes), double(hits) / double(hits + misses)});
      }
    }
    for (size_t i = points.size(); i-- > 1;)
      points[i - 1].precision = std::max(points[i - 1].precision, points[i].precision);
    size_t at = 0;
    for (int k = 0; k < recall_points; ++k) {
      const double recall = k + 1 == recall_points ? 1.0 : k * 0.01;
      while (at < points.size() && points[at].recall < recall) ++at;
      if (at == points.size()) break;
      sum += points[at].precision / recall_points;
    }
  }
  return sum / count;
}

}  // namespace pare
