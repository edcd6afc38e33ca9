#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "graph/text.h"
#include "measure/exhibit.h"
#include "measure/picture_quality.h"

namespace pare {
namespace {

constexpr int64_t kDetail = 64;  // pixels a side

// Squared differences summed over the colours of every pixel.
std::vector<double> squares_of(const Image& a, const Image& b) {
  std::vector<double> squares(size_t(a.height * a.width));
  for (size_t i = 0; i < a.values.size(); ++i) {
    const double difference = double(a.values[i]) - b.values[i];
    squares[i / size_t(a.channels)] += difference * difference;
  }
  return squares;
}

class PictureExhibit : public Exhibit {
 public:
  PictureExhibit(const DataSet& data, int64_t sample, PictureOf* picture)
      : data_(data), sample_(sample), picture_(picture) {}

  void see(size_t row, const JudgedBatch& batch) override {
    Image image = picture_(data_, batch);
    if (row > 0 && !comparable(image)) return;
    if (row > 0) find_detail(image, squares_of(pictures_.at(0), image));
    pictures_[row] = std::move(image);
  }

  double difference() const override { return difference_; }

  Example show() const override {
    const Image& baseline = pictures_.at(0);
    const Truth truth = data_.test->truth(sample_);
    const Image target = crop(baseline.channels == 1 ? to_gray(truth.picture) : to_rgb(truth.picture),
                              {0, 0, baseline.height, baseline.width});
    const Sample sample = data_.test->get(sample_);
    const Image input = data_.preprocess.invert(sample.inputs[0], truth.file);
    const Luma wanted = luma_of(crop(target, detail_), 0);
    Example example{fmt::format("{}, {}x{} pixels at ({}, {})", std::filesystem::path(truth.file).filename().string(),
                                detail_.width, detail_.height, detail_.left, detail_.top),
                    {}};
    example.pictures.push_back(
        hang(resize(input, baseline.height, baseline.width, Interpolation::nearest), -1, "input"));
    for (const auto& [row, picture] : pictures_)
      example.pictures.push_back(
          hang(picture, int64_t(row), fmt::format("{:.2f} dB", psnr(luma_of(crop(picture, detail_), 0), wanted))));
    example.pictures.push_back(hang(target, -1, "target"));
    return example;
  }

 private:
  bool comparable(const Image& image) const {
    const auto baseline = pictures_.find(0);
    return baseline != pictures_.end() && baseline->second.values.size() == image.values.size() &&
           baseline->second.width == image.width;
  }

  // The frame with the largest sum, on a raster of a quarter of its side.
  void find_detail(const Image& picture, const std::vector<double>& squares) {
    const int64_t height = std::min(kDetail, picture.height), width = std::min(kDetail, picture.width);
    for (int64_t top = 0; top + height <= picture.height; top += kDetail / 4)
      for (int64_t left = 0; left + width <= picture.width; left += kDetail / 4) {
        double sum = 0;
        for (int64_t y = top; y < top + height; ++y)
          for (int64_t x = left; x < left + width; ++x) sum += squares[size_t(y * picture.width + x)];
        if (sum > difference_) {
          difference_ = sum;
          detail_ = {top, left, height, width};
        }
      }
  }

  ExamplePicture hang(const Image& picture, int64_t row, std::string caption) const {
    return {row, std::move(caption), base64_of(encode_png(crop(picture, detail_)))};
  }

  const DataSet& data_;
  const int64_t sample_;
  PictureOf* picture_;
  std::map<size_t, Image> pictures_;  // by row
  double difference_ = -1;            // of the detail: Σ of squares, the most of any row
  Frame detail_;
};

}  // namespace

std::unique_ptr<Exhibit> picture_exhibit(const DataSet& data, int64_t sample, PictureOf* picture) {
  return std::make_unique<PictureExhibit>(data, sample, picture);
}

std::string base64_of(const std::string& bytes) {
  return text_form::encode_base64(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
}

}  // namespace pare
