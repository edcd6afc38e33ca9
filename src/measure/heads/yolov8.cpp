#include "measure/heads/head.h"

// YOLOv8, v9 and v11: as YOLOv5 without objectness, and usually with boxes as columns (1x84x8400).
namespace pare {
namespace {

std::unique_ptr<Head> make(const Section& settings) {
  return make_decoded_rows(settings, false);
}

}  // namespace

extern const HeadKind head_yolov8;
const HeadKind head_yolov8 = {"yolov8",
                              "rows or columns of centre x y w h and a score a class, decoded in the model (also YOLOv9, v11); "
                              "`normalized` where boxes are fractions of the input; output role: rows",
                              decoded_rows_keys,
                              make};

}  // namespace pare
