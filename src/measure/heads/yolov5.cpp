#include "measure/heads/head.h"

// YOLOv5 to v7 with their decoding in the model: a row is centre x, y, w, h, objectness and a score a class.
namespace pare {
namespace {

class Yolov5 : public Head {
 public:
  explicit Yolov5(const Section& settings)
      : normalized_(settings.boolean("normalized", false)), sigmoid_(settings.boolean("sigmoid", false)) {}

  void decode(const HeadOutputs& outputs, const HeadInput& input, const TakeBox& take) const override {
    const Rows rows = outputs.rows("rows", -1, 5 + input.scores);
    for (int64_t i = 0; i < rows.count; ++i) {
      const std::span<const float> row = rows.row(i);
      Detection box = make_box(row.first(4), BoxForm::centre);
      if (normalized_) scale_box(box, double(input.width), double(input.height));
      box.score = sigmoid_ ? sigmoid(row[4]) : row[4];
      take(box, activate(row.subspan(5), sigmoid_));
    }
  }

 private:
  bool normalized_, sigmoid_;
};

std::unique_ptr<Head> make(const Section& settings) {
  return std::make_unique<Yolov5>(settings);
}

}  // namespace

extern const HeadKind head_yolov5;
const HeadKind head_yolov5 = {"yolov5",
                              "rows of centre x y w h, objectness and a score a class, decoded in the model (also YOLOv7); "
                              "`normalized` where boxes are fractions of the input; output role: rows",
                              {"normalized", "sigmoid"},
                              make};

}  // namespace pare
