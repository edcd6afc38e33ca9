#include <fmt/format.h>

#include <algorithm>

#include "measure/heads/head.h"

// Detectors whose suppression is part of the model: boxes with one score and one class each, as outputs of their own
// (torchvision, TensorFlow) or as columns of one (YOLOv10, OpenVINO's DetectionOutput).
namespace pare {
namespace {

constexpr size_t four = 4;

class Boxes : public Head {
 public:
  explicit Boxes(const Section& settings)
      : form_(settings.has("form") ? BoxForm(settings.choice("form", box_forms)) : BoxForm::corners),
        normalized_(settings.boolean("normalized", false)) {
    if (!settings.has("columns")) return;
    columns_ = settings.texts("columns");
    for (const char* column : {"box", "score", "label"})
      if (std::count(columns_.begin(), columns_.end(), column) != 1)
        settings.fail("columns", fmt::format("\"{}\" should stand in it once", column),
                      "columns = [\"box\", \"score\", \"label\"]; \"box\" is four numbers, \"-\" one to pass over");
    for (const std::string& column : columns_)
      if (column != "box" && column != "score" && column != "label" && column != "-")
        settings.fail("columns", fmt::format("\"{}\" is not known", column), "known: box, score, label, -");
  }

  void decode(const HeadOutputs& outputs, const HeadInput& input, const TakeBox& take) const override {
    if (!columns_.empty()) return decode_columns(outputs, input, take);
    if (empty_of(outputs)) return;
    const Rows boxes = outputs.rows("boxes", -1, int64_t(four));
    const Array &labels = labels_of(outputs, boxes.count), &scores = scores_of(outputs, boxes.count);
    const std::vector<float> label_values = labels.to_floats(), score_values = scores.to_floats();
    for (int64_t i = 0; i < boxes.count; ++i)
      give(boxes.row(i), score_values[size_t(i)], label_values[size_t(i)], input, take);
  }

 private:
  // A picture in which nothing was found.
  static bool empty_of(const HeadOutputs& outputs) {
    return std::any_of(outputs.arrays().begin(), outputs.arrays().end(),
                       [](const Array& array) { return array.rank() >= 2 && array.dim(-1) == int64_t(four) && array.count() == 0; });
  }

  void give(std::span<const float> numbers, float score, float label, const HeadInput& input, const TakeBox& take) const {
    Detection box = make_box(numbers, form_);
    if (normalized_) scale_box(box, double(input.width), double(input.height));
    box.score = score;
    box.label = label >= 0 && label < 1e9f ? int64_t(label) : -1;  // NaN too
    take(box, {});
  }

  void decode_columns(const HeadOutputs& outputs, const HeadInput& input, const TakeBox& take) const {
    size_t width = 0, box = 0, score = 0, label = 0;
    for (const std::string& column : columns_) {
      (column == "box" ? box : column == "score" ? score : column == "label" ? label : width) = width;
      width += column == "box" ? four : 1;
    }
    const Rows rows = outputs.rows("rows", -1, int64_t(width));
    for (int64_t i = 0; i < rows.count; ++i)
      give(rows.row(i).subspan(box, four), rows.row(i)[score], rows.row(i)[label], input, take);
  }

  // The only output of one whole number a box, of one fraction a box.
  static const Array& one_of(const HeadOutputs& outputs, const char* role, int64_t count, bool whole) {
    const std::vector<const Array*> named = outputs.named(role);
    if (named.size() == 1 && named[0]->count() == count) return *named[0];
    const Array* found = nullptr;
    for (const Array& array : outputs.arrays()) {
      if (!named.empty() || array.count() != count || array.rank() > 2 || is_integer(array.type()) != whole) continue;
      if (found != nullptr) outputs.fail(role, fmt::format("several outputs could be the {}", role));
      found = &array;
    }
    if (found == nullptr) outputs.fail(role, fmt::format("no output is one {} for each of {} boxes", role, count));
    return *found;
  }
  static const Array& labels_of(const HeadOutputs& outputs, int64_t count) { return one_of(outputs, "labels", count, true); }
  static const Array& scores_of(const HeadOutputs& outputs, int64_t count) { return one_of(outputs, "scores", count, false); }

  BoxForm form_;
  bool normalized_;
  std::vector<std::string> columns_;
};

std::unique_ptr<Head> make(const Section& settings) {
  return std::make_unique<Boxes>(settings);
}

}  // namespace

extern const HeadKind head_boxes;
const HeadKind head_boxes = {
    "boxes",
    "final boxes with a score and a label each, as three outputs or as `columns` of one (\"box\", \"score\", \"label\", \"-\"); "
    "`form` (corners, centre, yxyx, corner-size), `normalized` (false); output roles: boxes, scores, labels, or rows",
    {"form", "normalized", "columns"},
    make, true};

}  // namespace pare
