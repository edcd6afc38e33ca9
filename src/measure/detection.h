#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/data_set.h"

namespace pare {

// A box a model proposes; in the pixels of its input when a head made it, of the picture when it is judged.
struct Detection {
  double left = 0, top = 0, right = 0, bottom = 0;
  float score = 0;
  int64_t label = 0;
};

// Greedy non-maximum suppression within each class: a box goes that overlaps one of a higher score by more than `iou`.
// The `most` best remain, the best first; equal scores keep their order.
std::vector<Detection> suppress(std::vector<Detection> boxes, double iou, size_t most);

// The box each detection finds, as COCO matches them: best detections first, each takes the free box of its class that
// it overlaps most, by `iou` at least; a crowd is never used up. boxes.size(): none.
std::vector<size_t> match_boxes(std::span<const Detection> detections, std::span<const TrueBox> boxes, double iou);

// Average precision as COCO defines it (pycocotools' COCOeval, bbox, area all): IoU 0.50:0.05:0.95, 101 recall points,
// a detection takes the free box it overlaps most, crowds are neither hit nor miss, classes without boxes do not count.
// 24 bytes a detection are kept.
class PrecisionScore {
 public:
  static constexpr int thresholds = 10;  // of IoU: 0.50, 0.55, … 0.95
  // Detections by falling score.
  void see(std::span<const Detection> detections, std::span<const TrueBox> boxes);
  void sort();  // after the last picture
  int64_t pictures() const { return pictures_; }
  // Mean over classes and the first `count` thresholds, over a choice of pictures (repeats allowed); 0 without boxes.
  double mean(std::span<const int64_t> pictures, int count = thresholds) const;

 private:
  struct Judged {
    int64_t label;
    int32_t picture;
    float score;
    uint16_t right = 0, passed_over = 0;  // a bit a threshold
  };
  struct Wanted {
    int64_t label;
    int32_t picture;
    int64_t boxes;
  };
  double class_mean(std::span<const Judged> judged, std::span<const int32_t> weights, int64_t boxes, int count) const;

  int64_t pictures_ = 0;
  std::vector<Judged> judged_;
  std::vector<Wanted> wanted_;
};

}  // namespace pare
