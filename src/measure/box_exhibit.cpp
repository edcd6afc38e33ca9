#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "data/bytes.h"
#include "measure/detector.h"
#include "measure/exhibit.h"

namespace pare {
namespace {

constexpr float kShown = 0.3f;     // least score of a box that is shown, as detectors' own demonstrations have it
constexpr double kCovers = 0.5;    // least IoU of a box that is right, as mAP@50 counts
constexpr int64_t kLongest = 480;  // pixels of the photo's longer side: enough for a column of the page
constexpr int kQuality = 80;       // of its JPEG: about 35 kB

class BoxExhibit : public Exhibit {
 public:
  BoxExhibit(const DataSet& data, int64_t sample) : data_(data), detector_(data), truth_(data.test->truth(sample)) {}

  void see(size_t row, const JudgedBatch& batch) override {
    std::vector<Array> outputs(batch.outputs.begin(), batch.outputs.end());
    std::vector<Detection>& found = found_[row] = detector_.find(outputs, batch, truth_);
    std::erase_if(found, [](const Detection& box) { return box.score < kShown; });
    if (row > 0 && found_.count(0) != 0) difference_ = std::max(difference_, disagreement(found_.at(0), found));
  }

  double difference() const override { return difference_; }

  Example show() const override {
    Example example;
    example.title = std::filesystem::path(truth_.file).filename().string();
    const Image photo = to_rgb(decode_image(map_bytes(truth_.file).view, truth_.file));
    const double scale = std::min(1.0, double(kLongest) / double(std::max(photo.height, photo.width)));
    example.photo_height = std::max<int64_t>(1, std::llround(double(photo.height) * scale));
    example.photo_width = std::max<int64_t>(1, std::llround(double(photo.width) * scale));
    example.photo = base64_of(
        encode_jpeg(resize(photo, example.photo_height, example.photo_width, Interpolation::bilinear), kQuality));
    example.pictures.push_back(truth_picture(scale));
    for (const auto& [row, found] : found_) example.pictures.push_back(found_picture(row, found, scale));
    return example;
  }

 private:
  // Boxes of one that the other does not have; where models agree, pictures with more things come first.
  double disagreement(const std::vector<Detection>& baseline, const std::vector<Detection>& found) const {
    std::vector<TrueBox> wanted;
    for (const Detection& box : baseline)
      wanted.push_back({box.left, box.top, box.right, box.bottom, box.label, false});
    const std::vector<size_t> matches = match_boxes(found, wanted, kCovers);
    const auto common =
        size_t(std::count_if(matches.begin(), matches.end(), [&](size_t match) { return match < wanted.size(); }));
    return double(wanted.size() + found.size() - 2 * common) + double(std::min<size_t>(truth_.boxes.size(), 99)) / 100;
  }

  std::string name_of(int64_t label) const {
    return size_t(label) < data_.classes.size() ? data_.classes[size_t(label)] : fmt::format("class {}", label);
  }

  ExamplePicture truth_picture(double scale) const {
    ExamplePicture picture{-1, "truth", "", {}};
    for (const TrueBox& box : truth_.boxes)
      picture.boxes.push_back(
          {box.left * scale, box.top * scale, box.right * scale, box.bottom * scale, name_of(box.label), "truth"});
    return picture;
  }

  ExamplePicture found_picture(size_t row, const std::vector<Detection>& found, double scale) const {
    ExamplePicture picture{int64_t(row), "", "", {}};
    const std::vector<size_t> matches = match_boxes(found, truth_.boxes, kCovers);
    const auto crowd = [&](size_t i) { return truth_.boxes[i].crowd; };
    int64_t right = 0, wrong = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      const bool matched = matches[i] < truth_.boxes.size();
      right += matched && !crowd(matches[i]);
      wrong += !matched;
      picture.boxes.push_back(
          {found[i].left * scale, found[i].top * scale, found[i].right * scale, found[i].bottom * scale,
           fmt::format("{} {:.2f}", name_of(found[i].label), found[i].score), matched ? "right" : "wrong"});
    }
    const auto wanted =
        std::count_if(truth_.boxes.begin(), truth_.boxes.end(), [](const TrueBox& box) { return !box.crowd; });
    picture.caption = fmt::format("{} of {} found, {} wrong", right, wanted, wrong);
    return picture;
  }

  const DataSet& data_;
  const Detector detector_;
  const Truth truth_;
  std::map<size_t, std::vector<Detection>> found_;  // by row
  double difference_ = -1;
};

}  // namespace

std::unique_ptr<Exhibit> box_exhibit(const DataSet& data, int64_t sample) {
  return std::make_unique<BoxExhibit>(data, sample);
}

}  // namespace pare
