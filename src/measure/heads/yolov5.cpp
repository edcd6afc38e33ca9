#include "measure/heads/head.h"

// YOLOv5 to v7 with their decoding in the model: a row is centre x, y, w, h, objectness and a score a class.
namespace pare {
namespace {

std::unique_ptr<Head> make(const Section& settings) {
  return make_decoded_rows(settings, true);
}

}  // namespace

extern const HeadKind head_yolov5;
const HeadKind head_yolov5 = {"yolov5",
                              "rows of centre x y w h, objectness and a score a class, decoded in the model (also YOLOv7); "
                              "`normalized` where boxes are fractions of the input; output role: rows",
                              decoded_rows_keys,
                              make};

}  // namespace pare
