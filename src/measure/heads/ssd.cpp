#include <fmt/format.h>

#include <cmath>

#include "measure/heads/head.h"

// SSD and its relatives: one output of boxes, one of scores. Boxes are final, or offsets from priors (Liu et al. 2016):
// centre + offset * variance 0 * size, size * exp(offset * variance 1).
namespace pare {
namespace {

// Boxes of every size around the centre of every cell, in fractions of the input: RetinaFace's anchors.
struct PriorGrid {
  std::vector<int64_t> strides;
  std::vector<double> sizes;  // as many a stride
};

class Ssd : public Head {
 public:
  explicit Ssd(const Section& settings)
      : form_(settings.has("form") ? BoxForm(settings.choice("form", box_forms)) : BoxForm::corners),
        activation_(settings.has("activation") ? settings.choice("activation", activations) : 0),
        normalized_(settings.boolean("normalized", true)) {
    if (settings.has("variances")) variances_ = settings.numbers("variances");
    if (variances_.size() != 2) settings.fail("variances", "expected two: of the centre and of the size");
    if (settings.has("priors")) priors_ = read_priors(settings);
    grid_.strides = settings.has("prior_sizes") ? read_strides(settings) : std::vector<int64_t>();
    if (!settings.has("prior_sizes")) return;
    grid_.sizes = settings.numbers("prior_sizes");
    if (!priors_.empty()) settings.fail("prior_sizes", "priors are given twice", "remove priors or prior_sizes");
    if (grid_.sizes.size() % grid_.strides.size() != 0)
      settings.fail("prior_sizes", fmt::format("{} sizes for {} strides, expected as many for each", grid_.sizes.size(),
                                               grid_.strides.size()));
  }

  void decode(const HeadOutputs& outputs, const HeadInput& input, const TakeBox& take) const override {
    if (input.scores == 4 && (outputs.named("boxes").empty() || outputs.named("scores").empty()))
      outputs.fail("boxes = \"…\", scores", "boxes and scores cannot be told apart by their shape");
    const Rows boxes = outputs.rows("boxes", -1, 4), scores = outputs.rows("scores", boxes.count, input.scores);
    const std::vector<float> grid = grid_.sizes.empty() ? std::vector<float>() : priors_of_grid(input);
    const std::vector<float>& priors = grid.empty() ? priors_ : grid;
    if (!priors.empty() && int64_t(priors.size()) != 4 * boxes.count)
      outputs.fail("boxes", fmt::format("there are {} priors for {} boxes", priors.size() / 4, boxes.count));
    for (int64_t i = 0; i < boxes.count; ++i) {
      Detection box = priors.empty() ? make_box(boxes.row(i), form_)
                                     : from_prior(std::span(priors).subspan(size_t(4 * i), 4), boxes.row(i));
      if (normalized_) scale_box(box, double(input.width), double(input.height));
      box.score = 1;
      take(box, activate(scores.row(i), activation_));
    }
  }

 private:
  static std::vector<float> read_priors(const Section& settings) {
    const Array array = read_npy(settings.file("priors"));
    const auto rows = rows_of(array, -1, 4);
    if (!rows) settings.fail("priors", fmt::format("is {}, expected Nx4: centre x, y, width, height", dims_text(array.dims())));
    return rows->values;
  }

  std::vector<float> priors_of_grid(const HeadInput& input) const {
    const size_t each = grid_.sizes.size() / grid_.strides.size();
    std::vector<float> priors;
    for (size_t level = 0; level < grid_.strides.size(); ++level)
      for (const Cell& cell : grid_cells(input, std::span(grid_.strides).subspan(level, 1)))
        for (size_t i = 0; i < each; ++i) {
          const double size = grid_.sizes[level * each + i], stride = double(cell.stride);
          for (const double v :
               {(double(cell.x) + 0.5) * stride / double(input.width), (double(cell.y) + 0.5) * stride / double(input.height),
                size / double(input.width), size / double(input.height)})
            priors.push_back(float(v));
        }
    return priors;
  }

  Detection from_prior(std::span<const float> prior, std::span<const float> offset) const {
    const auto move = float(variances_[0]), grow = float(variances_[1]);
    const float four[4] = {prior[0] + offset[0] * move * prior[2], prior[1] + offset[1] * move * prior[3],
                           prior[2] * std::exp(offset[2] * grow), prior[3] * std::exp(offset[3] * grow)};
    return make_box(four, BoxForm::centre);
  }

  BoxForm form_;
  size_t activation_;
  bool normalized_;
  std::vector<double> variances_ = {0.1, 0.2};
  std::vector<float> priors_;
  PriorGrid grid_;
};

std::unique_ptr<Head> make(const Section& settings) {
  return std::make_unique<Ssd>(settings);
}

}  // namespace

extern const HeadKind head_ssd;
const HeadKind head_ssd = {
    "ssd",
    "an output of boxes and one of scores; boxes of a `form` (corners, centre, yxyx, corner-size), `normalized` (true), or "
    "offsets from `priors` (an .npy of centre x y w h) or from a grid of `strides` and `prior_sizes`, with `variances` "
    "(0.1, 0.2); `activation` of scores (none, sigmoid, softmax); output roles: boxes, scores",
    {"form", "normalized", "activation", "variances", "priors", "prior_sizes", "strides"},
    make};

}  // namespace pare
