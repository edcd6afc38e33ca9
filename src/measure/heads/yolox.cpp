#include <cmath>

#include "measure/heads/head.h"

// YOLOX (Ge et al. 2021): a row is x, y, w, h, objectness and a score a class. Raw rows are relative to their cell: the
// centre is (x + column) * stride, the size exp(w) * stride.
namespace pare {
namespace {

class Yolox : public Head {
 public:
  explicit Yolox(const Section& settings)
      : strides_(read_strides(settings)),
        decoded_(settings.boolean("decoded", false)),
        sigmoid_(settings.boolean("sigmoid", false)) {}

  void decode(const HeadOutputs& outputs, const HeadInput& input, const TakeBox& take) const override {
    const std::vector<int64_t> counts = cells_of_levels(input, strides_);
    const std::optional<Rows> rows = outputs.find_levels("rows", counts, 5 + input.scores);
    if (!rows) outputs.rows("rows", int64_t(grid_cells(input, strides_).size()), 5 + input.scores);  // says what is missing
    const std::vector<Cell> cells = grid_cells(input, strides_);
    for (int64_t i = 0; i < rows->count; ++i) {
      const std::span<const float> row = rows->row(i);
      const Cell& cell = cells[size_t(i)];
      const auto stride = float(cell.stride);
      float four[4] = {row[0], row[1], row[2], row[3]};
      if (!decoded_) {
        four[0] = (row[0] + float(cell.x)) * stride;
        four[1] = (row[1] + float(cell.y)) * stride;
        four[2] = std::exp(row[2]) * stride;
        four[3] = std::exp(row[3]) * stride;
      }
      Detection box = make_box(four, BoxForm::centre);
      box.score = sigmoid_ ? sigmoid(row[4]) : row[4];
      take(box, activate(row.subspan(5), sigmoid_));
    }
  }

 private:
  std::vector<int64_t> strides_;
  bool decoded_, sigmoid_;
};

std::unique_ptr<Head> make(const Section& settings) {
  return std::make_unique<Yolox>(settings);
}

}  // namespace

extern const HeadKind head_yolox;
const HeadKind head_yolox = {"yolox",
                             "rows of x y w h objectness and a score a class, relative to the cells of `strides` "
                             "(8, 16, 32) unless `decoded`; `sigmoid` where scores are logits; output role: rows",
                             {"strides", "decoded", "sigmoid"},
                             make};

}  // namespace pare
