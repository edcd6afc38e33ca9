#include "measure/heads/head.h"

namespace pare {
namespace {

class DecodedRows : public Head {
 public:
  DecodedRows(const Section& settings, bool objectness)
      : objectness_(objectness),
        normalized_(settings.boolean("normalized", false)),
        sigmoid_(settings.boolean("sigmoid", false)) {}

  void decode(const HeadOutputs& outputs, const HeadInput& input, const TakeBox& take) const override {
    const size_t scores = objectness_ ? 5 : 4;
    const Rows rows = outputs.rows("rows", -1, int64_t(scores) + input.scores);
    for (int64_t i = 0; i < rows.count; ++i) {
      const std::span<const float> row = rows.row(i);
      Detection box = make_box(row.first(4), BoxForm::centre);
      if (normalized_) scale_box(box, double(input.width), double(input.height));
      box.score = !objectness_ ? 1 : sigmoid_ ? sigmoid(row[4]) : row[4];
      take(box, activate(row.subspan(scores), sigmoid_));
    }
  }

 private:
  bool objectness_, normalized_, sigmoid_;
};

}  // namespace

std::unique_ptr<Head> make_decoded_rows(const Section& settings, bool objectness) {
  return std::make_unique<DecodedRows>(settings, objectness);
}

}  // namespace pare
