#include <fmt/format.h>

#include <algorithm>

#include "measure/heads/head.h"
#include "measure/statistics.h"
#include "measure/tasks/task.h"

// Boxes around things: a declared head reads the model's outputs, suppression and COCO's average precision follow.
namespace pare {
namespace {

enum class Background { none, first, last };

// The table [detect] of a description.
struct Settings {
  const HeadKind* kind = nullptr;
  std::unique_ptr<Head> head;
  double score_threshold = 0.001;  // of candidates; COCO's curves need the doubtful ones too
  double iou = 0.65;               // of suppression
  size_t most = 100;               // detections a picture, COCO's maxDets
  int64_t scores = 0;              // of a box
  bool by_id = false;              // score or label i is the data's category i, not its i-th class
  Background background = Background::none;

  Settings(const DataSet& data, const Section& section) {
    std::vector<std::string> names;
    for (const HeadKind* row : heads()) names.emplace_back(row->name);
    kind = heads()[section.choice("head", names)];
    std::vector<std::string> keys = {"head",   "score_threshold", "iou",    "most",
                                     "labels", "background",      "scores", "outputs"};
    keys.insert(keys.end(), kind->keys.begin(), kind->keys.end());
    section.allow(keys);
    score_threshold = section.number("score_threshold", score_threshold);
    iou = section.number("iou", kind->suppressed ? 1 : iou);
    if (iou <= 0 || iou > 1) section.fail("iou", fmt::format("{} is outside 0 … 1", iou));
    most = size_t(section.integer("most", int64_t(most), 1, 100000));
    if (section.has("labels")) by_id = section.choice("labels", {"index", "id"}) == 1;
    if (section.has("background")) background = Background(section.choice("background", {"none", "first", "last"}));
    if (by_id && !section.has("scores") && !kind->suppressed)
      section.fail("scores", "missing", "with labels = \"id\" say how many scores a box has: scores = 91");
    scores = section.integer("scores", int64_t(data.classes.size()) + (background != Background::none), 1, 1 << 20);
    head = kind->make(section);
  }
};

class DetectJudge : public Judge {
 public:
  DetectJudge(const DataSet& data, uint64_t seed)
      : data_(data), settings_(data, *data.settings), seed_(seed), score_(std::make_shared<PrecisionScore>()) {}

  void see(const JudgedBatch& batch) override {
    for (size_t i = 0; i < batch.samples.size(); ++i) {
      std::vector<Array> outputs;
      for (const Array& output : batch.outputs) outputs.push_back(sample_of(output, i, batch.batched));
      const Truth truth = data_.test->truth(batch.samples[i]);
      score_->see(detect(outputs, batch, truth), truth.boxes);
    }
  }

  Quality finish() override {
    score_->sort();
    Quality quality;
    const int64_t count = score_->pictures();
    quality.over_samples = [score = score_](std::span<const int64_t> pictures) { return score->mean(pictures); };
    quality.metric = bootstrapped_metric("map", count, seed_, quality.over_samples);
    quality.more.push_back(bootstrapped_metric("map50", count, seed_, [score = score_](std::span<const int64_t> pictures) {
      return score->mean(pictures, 1);
    }));
    return quality;
  }

 private:
  std::vector<Detection> detect(const std::vector<Array>& outputs, const JudgedBatch& batch, const Truth& truth) const {
    const Dims& dims = batch.inputs[0].dims();
    if (dims.size() != 4)
      throw Error(data_.path, fmt::format("the model's first input is {}, expected a picture", dims_text(dims)));
    const bool last = data_.preprocess.channels_last;
    const HeadInput input{dims[last ? 1 : 2], dims[last ? 2 : 3], settings_.scores};
    std::vector<Detection> candidates;
    settings_.head->decode({outputs, batch.output_names, *data_.settings}, input,
                           [&](const Detection& box, std::span<const float> scores) { take(box, scores, candidates); });
    std::vector<Detection> kept = suppress(std::move(candidates), settings_.iou, settings_.most);
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
  void take(const Detection& box, std::span<const float> scores, std::vector<Detection>& candidates) const {
    const bool final = scores.empty();
    for (size_t i = 0; i < (final ? 1 : scores.size()); ++i) {
      Detection one = box;
      if (!final) one.score *= scores[i];
      if (!(one.score > settings_.score_threshold)) continue;
      one.label = class_of(final ? box.label : int64_t(i));
      if (one.label >= 0) candidates.push_back(one);
    }
  }

  // -1: the background, or a category the data does not have.
  int64_t class_of(int64_t index) const {
    if (settings_.by_id) {
      const auto& ids = data_.class_ids;
      const auto at = std::find(ids.begin(), ids.end(), index);
      return at == ids.end() || index < 0 ? -1 : at - ids.begin();
    }
    if (settings_.background == Background::first) --index;
    if (settings_.background == Background::last && index == settings_.scores - 1) return -1;
    if (index >= int64_t(data_.classes.size()))
      throw Error(data_.settings->where("labels"),
                  fmt::format("the model names class {}, the data has {} classes", index, data_.classes.size()),
                  "labels = \"id\" where the model gives category ids; background = \"first\" where class 0 is none; "
                  "[classes] lists what the model knows");
    return index;
  }

  const DataSet& data_;
  const Settings settings_;
  uint64_t seed_;
  std::shared_ptr<PrecisionScore> score_;
};

std::unique_ptr<Judge> start(const DataSet& data, uint64_t seed) {
  if (!data.settings)
    throw Error(data.path, "does not say how the model writes its boxes", "add a table: [detect], then head = \"yolox\"");
  return std::make_unique<DetectJudge>(data, seed);
}

}  // namespace

extern const Task task_detect;
const Task task_detect = {"detect", "COCO's average precision of boxes (mAP 50-95 and mAP 50)", false, start, true};

}  // namespace pare
