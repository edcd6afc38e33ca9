#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/array.h"
#include "data/description.h"
#include "data/image.h"

namespace pare {

// Where a picture's pixels went: model input = picture * scale + offset, for each axis.
struct Placement {
  double scale_x = 1, scale_y = 1, offset_x = 0, offset_y = 0;
};

// From pixels to what the model takes. Member initialisers are the only defaults: nothing is done that was not asked
// for.
struct Preprocess {
  enum class Channels { as_stored, rgb, bgr, gray };
  std::string where = "[preprocess]";         // names the description in errors
  double scale = 1;                           // x * scale, then (x - mean) / std; x is 0 … 255
  std::vector<double> mean = {0}, std = {1};  // one value, or one a channel in the order of `channels`
  bool channels_last = false;                 // NHWC instead of NCHW
  Channels channels = Channels::as_stored;
  Dims resize;  // {}: none; {s}: the shorter side; {height, width}
  Dims crop;    // {}: none; {height, width} from the centre, after resizing
  Dims letterbox;        // {}: none; {height, width}: as large as fits with its sides' ratio kept, the rest filled
  bool centred = false;  // letterbox: in the middle, sides rounded (Ultralytics); else top left, sides cut off (YOLOX)
  uint8_t pad = 114;     // letterbox: what the rest is filled with, before scale, mean and std; 114 is the YOLO habit
  Interpolation interpolation = Interpolation::bilinear;

  bool fixes_size() const { return !crop.empty() || resize.size() == 2 || !letterbox.empty(); }
  bool keeps_size() const { return crop.empty() && resize.empty() && letterbox.empty(); }
  Placement placement(int64_t height, int64_t width) const;  // of a picture of these extents
  Array apply(Image image, const std::string& image_name) const;  // float32 1xCxHxW or 1xHxWxC

  // The way back: what a model gave in the units of its input (array of one picture, alone or the first of a batch of
  // one) as 8-bit RGB or gray pixels, rounded and clipped. Throws Error where it is no picture of 1 or 3 channels.
  Image invert(const Array& picture, const std::string& name) const;

  static Preprocess read(const std::optional<Section>& section);
};

}  // namespace pare
