#include "measure/detector.h"

#include <fmt/format.h>

#include <algorithm>

#include "measure/tasks/task.h"

namespace pare {

Detector::Detector(const DataSet& data) : data_(data) {
  if (!data.settings)
    throw Error(data.path, "does not say how the model writes its boxes",
                "add a table: [detect], then head = \"yolox\"");
  const Section& section = *data.settings;
  std::vector<std::string> names;
  for (const HeadKind* row : heads()) names.emplace_back(row->name);
  const HeadKind& kind = *heads()[section.choice("head", names)];
  std::vector<std::string> keys = {"head",   "score_threshold", "iou",    "most",
                                   "labels", "background",      "scores", "outputs"};
  keys.insert(keys.end(), kind.keys.begin(), kind.keys.end());
  section.allow(keys);
  score_threshold_ = section.number("score_threshold", score_threshold_);
  iou_ = section.number("iou", kind.suppressed ? 1 : iou_);
  if (iou_ <= 0 || iou_ > 1) section.fail("iou", fmt::format("{} is outside 0 … 1", iou_));
  most_ = size_t(section.integer("most", int64_t(most_), 1, 100000));
  if (section.has("labels")) by_id_ = section.choice("labels", {"index", "id"}) == 1;
  if (section.has("background")) background_ = Background(section.choice("background", {"none", "first", "last"}));
  if (by_id_ && !section.has("scores") && !kind.suppressed)
    section.fail("scores", "missing", "with labels = \"id\" say how many scores a box has: scores = 91");
  scores_ = section.integer("scores", int64_t(data.classes.size()) + (background_ != Background::none), 1, 1 << 20);
  head_ = kind.make(section);
}

std::vector<Detection> Detector::find(const std::vector<Array>& outputs, const JudgedBatch& batch,
                                      const Truth& truth) const {
  const Dims& dims = batch.inputs[0].dims();
  if (dims.size() != 4)
    throw Error(data_.path, fmt::format("the model's first input is {}, expected a picture", dims_text(dims)));
  const bool last = data_.preprocess.channels_last;
  const HeadInput input{dims[last ? 1 : 2], dims[last ? 2 : 3], scores_};
  std::vector<Detection> candidates;
  head_->decode({outputs, batch.output_names, *data_.settings}, input,
                [&](const Detection& box, std::span<const float> scores) { take(box, scores, candidates); });
  std::vector<Detection> kept = suppress(std::move(candidates), iou_, most_);
  const Placement placed = data_.preprocess.placement(truth.height, truth.width);
  // Into the picture, and no further: what lies outside of it is in no true box.
  const auto width = double(truth.width), height = double(truth.height);
  for (Detection& box : kept) {
    box.left = std::clamp((box.left - placed.offset_x) / placed.scale_x, 0.0, width);
    box.right = std::clamp((box.right - placed.offset_x) / placed.scale_x, 0.0, width);
    box.top = std::clamp((box.top - placed.offset_y) / placed.scale_y, 0.0, height);
    box.bottom = std::clamp((box.bottom - placed.offset_y) / placed.scale_y, 0.0, height);
  }
  return kept;
}

// A box once for each class it may be.
void Detector::take(const Detection& box, std::span<const float> scores, std::vector<Detection>& candidates) const {
  const bool final = scores.empty();
  for (size_t i = 0; i < (final ? 1 : scores.size()); ++i) {
    Detection one = box;
    if (!final) one.score *= scores[i];
    if (!(one.score > score_threshold_)) continue;
    one.label = class_of(final ? box.label : int64_t(i));
    if (one.label >= 0) candidates.push_back(one);
  }
}

// -1: the background, or a category the data does not have.
int64_t Detector::class_of(int64_t index) const {
  if (by_id_) {
    const auto& ids = data_.class_ids;
    const auto at = std::find(ids.begin(), ids.end(), index);
    return at == ids.end() || index < 0 ? -1 : at - ids.begin();
  }
  if (background_ == Background::first) --index;
  if (background_ == Background::last && index == scores_ - 1) return -1;
  if (index >= int64_t(data_.classes.size()))
    throw Error(data_.settings->where("labels"),
                fmt::format("the model names class {}, the data has {} classes", index, data_.classes.size()),
                "labels = \"id\" where the model gives category ids; background = \"first\" where class 0 is none; "
                "[classes] lists what the model knows");
  return index;
}

}  // namespace pare
