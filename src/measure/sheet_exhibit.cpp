#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "measure/exhibit.h"
#include "measure/picture_quality.h"

namespace pare {
namespace {

// Pictures of one size in rows, as square as can be.
Image side_by_side(const std::vector<Image>& pictures) {
  const Image& first = pictures.at(0);
  const auto across = int64_t(std::ceil(std::sqrt(double(pictures.size()))));
  const auto down = (int64_t(pictures.size()) + across - 1) / across;
  Image sheet{down * first.height, across * first.width, first.channels, {}};
  sheet.values.resize(size_t(sheet.height * sheet.width * sheet.channels));
  const auto row_bytes = first.width * first.channels;
  for (size_t i = 0; i < pictures.size(); ++i) {
    const int64_t top = int64_t(i) / across * first.height, left = int64_t(i) % across;
    for (int64_t y = 0; y < first.height; ++y)
      std::copy_n(pictures[i].values.begin() + y * row_bytes, row_bytes,
                  sheet.values.begin() + ((top + y) * across + left) * row_bytes);
  }
  return sheet;
}

class SheetExhibit : public Exhibit {
 public:
  SheetExhibit(const DataSet& data, PictureOf* picture) : data_(data), picture_(picture) {}

  void see(size_t row, const JudgedBatch& batch) override {
    Image made = picture_(data_, batch);
    std::vector<Image>& sheet = pictures_[row];
    if (!sheet.empty() && !same_size(sheet[0], made)) throw Error(data_.path, "the model's pictures differ in size");
    sheet.push_back(std::move(made));
  }

  // Of generators nobody knows what their pictures should have been: there is always something to look at.
  double difference() const override { return pictures_.size() > 1 ? 0 : -1; }

  Example show() const override {
    const Image baseline = side_by_side(pictures_.at(0));
    Example example;
    example.title = fmt::format("{} pictures, every model's from the same numbers", pictures_.at(0).size());
    for (const auto& [row, pictures] : pictures_) {
      const Image sheet = side_by_side(pictures);
      if (!same_size(baseline, sheet)) continue;
      ExamplePicture picture;
      picture.row = int64_t(row);
      if (row > 0) picture.caption = fmt::format("{:.1f} dB to the first", psnr(luma_of(sheet, 0), luma_of(baseline, 0)));
      picture.png = base64_of(encode_png(sheet));
      example.pictures.push_back(std::move(picture));
    }
    return example;
  }

 private:
  static bool same_size(const Image& a, const Image& b) {
    return a.height == b.height && a.width == b.width && a.channels == b.channels;
  }

  const DataSet& data_;
  PictureOf* picture_;
  std::map<size_t, std::vector<Image>> pictures_;  // by row, in the order of the samples
};

}  // namespace

std::unique_ptr<Exhibit> sheet_exhibit(const DataSet& data, PictureOf* picture) {
  return std::make_unique<SheetExhibit>(data, picture);
}

}  // namespace pare
