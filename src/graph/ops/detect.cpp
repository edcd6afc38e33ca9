// What detectors end and begin with: NonMaxSuppression and RoiAlign.
#include <limits>
#include <numeric>

#include "graph/ops/ops.h"

namespace pare {
namespace {

struct Box {
  double y1, x1, y2, x2;
  double area() const { return std::max(0.0, y2 - y1) * std::max(0.0, x2 - x1); }
};

// `centred`: centre and size, as x, y, width, height; else two opposite corners as y, x, y, x.
Box box_at(const float* p, bool centred) {
  if (centred) return {p[1] - p[3] / 2.0, p[0] - p[2] / 2.0, p[1] + p[3] / 2.0, p[0] + p[2] / 2.0};
  return {std::min(p[0], p[2]), std::min(p[1], p[3]), std::max(p[0], p[2]), std::max(p[1], p[3])};
}

double overlap(const Box& a, const Box& b) {
  const double height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1), width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (height <= 0 || width <= 0) return 0;
  const double common = height * width, all = a.area() + b.area() - common;
  return all > 0 ? common / all : 0;
}

// Inputs: boxes [batch, boxes, 4], scores [batch, classes, boxes], most boxes per class, IoU threshold, score threshold.
void forward_non_max_suppression(Forward& f) {
  check_rank(f, 1, 3);
  const int64_t batch = f.in(1).dim(0), classes = f.in(1).dim(1), count = f.in(1).dim(2);
  check_dims(f, 0, {batch, count, 4});
  const double most_given = f.has(2) ? scalar_of(f, 2) : 0, iou = f.has(3) ? scalar_of(f, 3) : 0;
  const double least = f.has(4) ? scalar_of(f, 4) : -std::numeric_limits<double>::infinity();
  const int64_t most = most_given > 0 ? int64_t(std::min(most_given, double(count))) : 0;
  const bool centred = f.node.integer("center_point_box", 0) != 0;
  const auto boxes = f.in(0).to_floats(), scores = f.in(1).to_floats();
  std::vector<int64_t> kept_all;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t c = 0; c < classes; ++c) {
      const float* score = scores.data() + (b * classes + c) * count;
      std::vector<int64_t> order;
      for (int64_t i = 0; i < count; ++i)
        if (score[i] > least) order.push_back(i);
      std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t k) { return score[i] > score[k]; });
      std::vector<Box> kept;
      for (const int64_t i : order) {
        if (int64_t(kept.size()) >= most) break;
        const Box box = box_at(boxes.data() + (b * count + i) * 4, centred);
        if (std::any_of(kept.begin(), kept.end(), [&](const Box& other) { return overlap(box, other) > iou; })) continue;
        kept.push_back(box);
        kept_all.insert(kept_all.end(), {b, c, i});
      }
    }
  f.outputs[0] = Array::of<int64_t>({int64_t(kept_all.size() / 3), 3}, kept_all);
}

void infer_non_max_suppression(Inference& in) { in.set_from_data(0, Type::i64, Shape{Dim{}, {3, ""}}); }

// The mean (or maximum) of bilinear samples in each bin of a region (He et al. 2017, section 3).
struct Region {
  double y, x, bin_height, bin_width;
  int64_t samples_y, samples_x;
};

Region region_of(const Forward& f, const float* roi, int64_t height, int64_t width) {
  const double scale = f.node.real("spatial_scale", 1);
  // Opset 10 had no half pixels; reading raises older nodes to that spelling.
  const bool half = f.node.text("coordinate_transformation_mode", f.opset < 16 ? "output_half_pixel" : "half_pixel") == "half_pixel";
  const double offset = half ? 0.5 : 0;
  double x = roi[0] * scale - offset, y = roi[1] * scale - offset, w = roi[2] * scale - offset - x, h = roi[3] * scale - offset - y;
  if (!half) w = std::max(w, 1.0), h = std::max(h, 1.0);  // malformed regions become one element
  Region region{y, x, h / double(height), w / double(width), 0, 0};
  const int64_t ratio = f.node.integer("sampling_ratio", 0);
  constexpr double kMost = 1024;  // elements a bin: no feature map is larger, and a damaged region would be sampled for years
  const double samples_y = ratio > 0 ? double(ratio) : std::ceil(region.bin_height), samples_x = ratio > 0 ? double(ratio) : std::ceil(region.bin_width);
  if (!(samples_y <= kMost && samples_x <= kMost)) throw Error(f.node.where(), "has a region of " + std::to_string(w) + " x " + std::to_string(h) + " elements");
  region.samples_y = int64_t(std::max(samples_y, 0.0));
  region.samples_x = int64_t(std::max(samples_x, 0.0));
  return region;
}

// Contributions of the four neighbours of a place; nothing beyond one element outside.
struct Sample {
  int64_t at[4] = {0, 0, 0, 0};
  double weight[4] = {0, 0, 0, 0};
};
Sample sample_at(double y, double x, int64_t height, int64_t width) {
  Sample s;
  if (!(y >= -1 && y <= double(height) && x >= -1 && x <= double(width))) return s;
  y = std::max(y, 0.0), x = std::max(x, 0.0);
  int64_t top = int64_t(y), left = int64_t(x), bottom = top + 1, right = left + 1;
  if (top >= height - 1) y = double(top = bottom = height - 1);
  if (left >= width - 1) x = double(left = right = width - 1);
  const double fy = y - double(top), fx = x - double(left);
  const int64_t at[] = {top * width + left, top * width + right, bottom * width + left, bottom * width + right};
  const double weight[] = {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx};
  std::copy_n(at, 4, s.at);
  std::copy_n(weight, 4, s.weight);
  return s;
}

double pooled(const Region& r, const float* plane, int64_t height, int64_t width, int64_t row, int64_t column, bool maximum) {
  double result = 0;
  bool first = true;
  for (int64_t i = 0; i < r.samples_y; ++i)
    for (int64_t k = 0; k < r.samples_x; ++k) {
      const Sample s = sample_at(r.y + double(row) * r.bin_height + (double(i) + 0.5) * r.bin_height / double(r.samples_y),
                                 r.x + double(column) * r.bin_width + (double(k) + 0.5) * r.bin_width / double(r.samples_x), height, width);
      double parts[4];
      for (int n = 0; n < 4; ++n) parts[n] = s.weight[n] * plane[s.at[n]];
      if (!maximum) result += parts[0] + parts[1] + parts[2] + parts[3];
      else result = std::max(first ? -std::numeric_limits<double>::infinity() : result, *std::max_element(parts, parts + 4));
      first = false;
    }
  return maximum ? result : result / double(std::max<int64_t>(r.samples_y * r.samples_x, 1));
}

void check_pooled(const Node& node, int64_t height, int64_t width) {
  if (height < 1 || width < 1 || height > 65536 || width > 65536) throw Error(node.where(), "pools into " + std::to_string(height) + " x " + std::to_string(width) + " bins");
}

void forward_roi_align(Forward& f) {
  check_rank(f, 0, 4);
  check_dims(f, 1, {-1, 4});
  const int64_t regions = f.in(1).dim(0), channels = f.in(0).dim(1), in_height = f.in(0).dim(2), in_width = f.in(0).dim(3);
  check_dims(f, 2, {regions});
  const int64_t height = f.node.integer("output_height", 1), width = f.node.integer("output_width", 1);
  check_pooled(f.node, height, width);
  if (f.in(0).count() == 0) throw Error(f.node.where(), "samples from an empty tensor");
  const std::string mode = f.node.text("mode", "avg");
  const auto x = f.in(0).to_floats(), rois = f.in(1).to_floats();
  const auto samples = f.in(2).to_integers();
  Array y(Type::f32, {regions, channels, height, width});
  auto ys = y.mutable_values<float>();
  size_t at = 0;
  for (int64_t n = 0; n < regions; ++n) {
    if (samples[size_t(n)] < 0 || samples[size_t(n)] >= f.in(0).dim(0)) throw Error(f.node.where(), "region " + std::to_string(n) + " is of sample " + std::to_string(samples[size_t(n)]));
    const Region region = region_of(f, rois.data() + n * 4, height, width);
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t i = 0; i < height; ++i)
        for (int64_t k = 0; k < width; ++k)
          ys[at++] = float(pooled(region, x.data() + (samples[size_t(n)] * channels + c) * in_height * in_width, in_height, in_width, i, k, mode == "max"));
  }
  float_out(f, 0, y);
}

void infer_roi_align(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape *x = in.shape(0), *rois = in.shape(1);
  if (x == nullptr) return;
  if (x->size() != 4 || (rois != nullptr && rois->size() != 2)) in.fail("takes images of 4 axes and regions of 2");
  const int64_t height = in.node().integer("output_height", 1), width = in.node().integer("output_width", 1);
  check_pooled(in.node(), height, width);
  in.set(0, in.type(0), {rois != nullptr ? (*rois)[0] : Dim{}, (*x)[1], {height, ""}, {width, ""}});
}

}  // namespace

const Op op_non_max_suppression{"NonMaxSuppression", "", 2, 5, 1, 1, infer_non_max_suppression, forward_non_max_suppression, nullptr, "boxes that no better one of their class overlaps"};
const Op op_roi_align{"RoiAlign", "", 3, 3, 1, 1, infer_roi_align, forward_roi_align, nullptr, "regions of an image pooled to one size"};

}  // namespace pare
