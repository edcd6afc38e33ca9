#include "measure/heads/head.h"

// YOLOv8, v9 and v11: as YOLOv5 without objectness, and usually with boxes as columns (1x84x8400).
namespace pare {
namespace {

class Yolov8 : public Head {
 public:
  explicit Yolov8(const Section& settings)
      : normalized_(settings.boolean("normalized", false)), sigmoid_(settings.boolean("sigmoid", false)) {}

  void decode(const HeadOutputs& outputs, const HeadInput& input, const TakeBox& take) const override {
    const Rows rows = outputs.rows("rows", -1, 4 + input.scores);
    for (int64_t i = 0; i < rows.count; ++i) {
      const std::span<const float> row = rows.row(i);
      Detection box = make_box(row.first(4), BoxForm::centre);
      if (normalized_) scale_box(box, double(input.width), double(input.height));
      box.score = 1;
      take(box, activate(row.subspan(4), sigmoid_));
    }
  }

 private:
  bool normalized_, sigmoid_;
};

std::unique_ptr<Head> make(const Section& settings) {
  return std::make_unique<Yolov8>(settings);
}

}  // namespace

extern const HeadKind head_yolov8;
const HeadKind head_yolov8 = {"yolov8",
                              "rows or columns of centre x y w h and a score a class, decoded in the model (also YOLOv9, v11); "
                              "`normalized` where boxes are fractions of the input; output role: rows",
                              {"normalized", "sigmoid"},
                              make};

}  // namespace pare
