#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/data_set.h"
#include "measure/detection.h"

namespace pare {

// Rows of `width` numbers: a box, a score a class, or both.
struct Rows {
  int64_t count = 0, width = 0;
  std::vector<float> values;
  std::span<const float> row(int64_t i) const {
    return std::span(values).subspan(size_t(i * width), size_t(width));
  }
};
// An array as `count` (-1: any) rows of `width` numbers: the width is the last axis, or the first after leading 1s (as
// in 1xWxN or 1xWxHxW). None where it is neither.
std::optional<Rows> rows_of(const Array& array, int64_t count, int64_t width);

// A model's outputs for one picture, looked up by what they are for: by the name that `outputs` in the description
// gives for the role, else by shape. Never by their order.
class HeadOutputs {
 public:
  HeadOutputs(std::span<const Array> arrays, std::span<const std::string> names, const Section& settings)
      : arrays_(arrays), names_(names), settings_(settings) {}

  // The outputs called so in the description; empty where it does not name the role.
  std::vector<const Array*> named(const std::string& role) const;
  // Rows of a role. Throws Error listing the outputs where none has the shape, or several and none is named.
  Rows rows(const std::string& role, int64_t count, int64_t width) const;
  // The same where nothing of the shape is no error.
  std::optional<Rows> find(const std::string& role, int64_t count, int64_t width) const;
  // Rows of all levels, one below the other: one output of all of them, or one a level.
  std::optional<Rows> find_levels(const std::string& role, std::span<const int64_t> counts, int64_t width) const;
  [[noreturn]] void fail(const std::string& role, const std::string& what) const;
  std::span<const Array> arrays() const { return arrays_; }

 private:
  std::span<const Array> arrays_;
  std::span<const std::string> names_;
  const Section& settings_;
};

// What a head knows beside the outputs.
struct HeadInput {
  int64_t height = 0, width = 0;  // of the model's input
  int64_t scores = 0;             // how many scores a box has
};

// A box and its scores, in the pixels of the model's input.
using TakeBox = std::function<void(const Detection& box, std::span<const float> scores)>;

class Head {
 public:
  virtual ~Head() = default;
  // Every box the model proposes. `box.score` multiplies the scores (1 where there is no objectness). A head whose
  // boxes already have a class gives an empty span, and box.label and box.score are final.
  virtual void decode(const HeadOutputs& outputs, const HeadInput& input, const TakeBox& take) const = 0;
};

// How a family of detectors writes its boxes. A new one is a file here and a row in catalog.inc.
struct HeadKind {
  const char* name;
  const char* summary;
  std::vector<std::string> keys;  // of [detect], beside those of the task
  std::unique_ptr<Head> (*make)(const Section& settings);
  bool suppressed = false;  // the model has removed overlapping boxes itself
};
std::span<const HeadKind* const> heads();

// Cells of the grids of these strides, row by row: the levels of one-stage detectors.
struct Cell {
  int64_t x, y, stride;
};
std::vector<int64_t> read_strides(const Section& settings);  // the key `strides`; 8, 16, 32 where absent
std::vector<int64_t> cells_of_levels(const HeadInput& input, std::span<const int64_t> strides, int64_t boxes_a_cell = 1);
std::vector<Cell> grid_cells(const HeadInput& input, std::span<const int64_t> strides, int64_t boxes_a_cell = 1);

// Detectors that decode their boxes in the model: a row or column is centre x, y, w, h, with `objectness` one number for it, and
// a score a class.
std::unique_ptr<Head> make_decoded_rows(const Section& settings, bool objectness);
inline const std::vector<std::string> decoded_rows_keys = {"normalized", "sigmoid"};

// How four numbers make a box.
enum class BoxForm { corners, centre, yxyx, corner_size };
inline const std::vector<std::string> box_forms = {"corners", "centre", "yxyx", "corner-size"};
Detection make_box(std::span<const float> four, BoxForm form);
void scale_box(Detection& box, double x, double y);

float sigmoid(float x);
// `values` as probabilities; kind 0: as they are, 1: sigmoid, 2: softmax.
inline const std::vector<std::string> activations = {"none", "sigmoid", "softmax"};
std::vector<float> activate(std::span<const float> values, size_t kind);

}  // namespace pare
