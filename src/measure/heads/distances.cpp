#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "measure/heads/head.h"

// Anchor-free heads that give a box as its four distances (left, top, right, bottom) from a point of its cell, in
// strides: as numbers (FCOS, SCRFD), or as distributions over whole distances, whose mean is taken (Li et al. 2020,
// "Generalized focal loss": NanoDet, PicoDet, YOLOv8 before its decoding).
namespace pare {
namespace {

class Distances : public Head {
 public:
  explicit Distances(const Section& settings)
      : strides_(read_strides(settings)),
        bins_(settings.integer("bins", 8, 1, 1024)),
        boxes_a_cell_(settings.integer("boxes_a_cell", 1, 1, 64)),
        point_(settings.number("point", 0.5)),
        activation_(settings.has("activation") ? settings.choice("activation", activations) : 0),
        boxes_first_(settings.boolean("boxes_first", false)) {}

  void decode(const HeadOutputs& outputs, const HeadInput& input, const TakeBox& take) const override {
    const std::vector<int64_t> counts = cells_of_levels(input, strides_, boxes_a_cell_);
    const std::vector<Cell> cells = grid_cells(input, strides_, boxes_a_cell_);
    const int64_t width = 4 * bins_;
    const std::optional<Rows> joint = outputs.find_levels("rows", counts, input.scores + width);
    std::optional<Rows> boxes, scores;
    if (!joint) {
      if (width == input.scores && (outputs.named("boxes").empty() || outputs.named("scores").empty()))
        outputs.fail("boxes = …, scores", "boxes and scores cannot be told apart by their shape");
      boxes = outputs.find_levels("boxes", counts, width);
      scores = outputs.find_levels("scores", counts, input.scores);
      if (!boxes || !scores)
        outputs.fail("rows", fmt::format("there are neither {} rows of {} scores and 4 x {} bins, nor outputs of each", cells.size(),
                                         input.scores, bins_));
    }
    for (size_t i = 0; i < cells.size(); ++i) {
      const auto at = int64_t(i);
      std::span<const float> own_boxes, own_scores;
      if (joint) {
        const std::span<const float> row = joint->row(at);
        own_boxes = boxes_first_ ? row.first(size_t(width)) : row.last(size_t(width));
        own_scores = boxes_first_ ? row.subspan(size_t(width)) : row.first(size_t(input.scores));
      } else {
        own_boxes = boxes->row(at);
        own_scores = scores->row(at);
      }
      take(box_of(cells[i], own_boxes), activate(own_scores, activation_));
    }
  }

 private:
  Detection box_of(const Cell& cell, std::span<const float> values) const {
    const auto stride = double(cell.stride), x = (double(cell.x) + point_) * stride, y = (double(cell.y) + point_) * stride;
    double distance[4];
    for (size_t side = 0; side < 4; ++side) {
      const std::span<const float> own = values.subspan(side * size_t(bins_), size_t(bins_));
      double mean = own[0];
      if (bins_ > 1) {
        const std::vector<float> shares = activate(own, 2);
        mean = 0;
        for (size_t bin = 0; bin < shares.size(); ++bin) mean += double(bin) * double(shares[bin]);
      }
      distance[side] = mean * stride;
    }
    return {x - distance[0], y - distance[1], x + distance[2], y + distance[3], 1.0f};
  }

  std::vector<int64_t> strides_;
  int64_t bins_, boxes_a_cell_;
  double point_;
  size_t activation_;
  bool boxes_first_;
};

std::unique_ptr<Head> make(const Section& settings) {
  return std::make_unique<Distances>(settings);
}

}  // namespace

extern const HeadKind head_distances;
const HeadKind head_distances = {
    "distances",
    "scores and four distances a cell of `strides` (8, 16, 32), each a distribution over `bins` (8; 1: a plain number), from "
    "the cell's `point` (0.5; NanoDet-plus: 0); `boxes_a_cell` (1), `boxes_first` in joint rows (false), `activation` of "
    "scores; output roles: rows, or boxes and scores, of all levels or one a level",
    {"strides", "bins", "point", "boxes_a_cell", "boxes_first", "activation"},
    make};

}  // namespace pare
