#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "measure/heads/head.h"

namespace pare {

struct JudgedBatch;

// From a model's outputs to the boxes it finds in a picture, as the table [detect] of a description says.
class Detector {
 public:
  explicit Detector(const DataSet& data);  // throws Error where the table is missing or wrong

  // In the pixels of the picture, the best first. `outputs`: of one picture.
  std::vector<Detection> find(const std::vector<Array>& outputs, const JudgedBatch& batch, const Truth& truth) const;

 private:
  enum class Background { none, first, last };

  void take(const Detection& box, std::span<const float> scores, std::vector<Detection>& candidates) const;
  int64_t class_of(int64_t index) const;

  const DataSet& data_;
  std::unique_ptr<Head> head_;
  double score_threshold_ = 0.001;  // of candidates; COCO's curves need the doubtful ones too
  double iou_ = 0.65;               // of suppression
  size_t most_ = 100;               // detections a picture, COCO's maxDets
  int64_t scores_ = 0;              // of a box
  bool by_id_ = false;              // score or label i is the data's category i, not its i-th class
  Background background_ = Background::none;
};

}  // namespace pare
