#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "data/data_set.h"

namespace pare {

// A COCO annotation file, checked. `classes`: names in the order of the model's outputs, or empty for the categories'
// order by id.
struct CocoFile {
  struct Picture {
    std::string name;  // relative to the folder of images
    int64_t height = 0, width = 0;
    std::vector<TrueBox> boxes;
  };
  std::vector<Picture> pictures;  // in the file's order
  std::vector<std::string> classes;
  std::vector<int64_t> class_ids;  // -1: a class the file does not know
};
// Throws Error naming the entry: broken JSON, unknown pictures or categories, boxes without an area.
CocoFile parse_coco(std::string_view text, const std::vector<std::string>& classes, const std::string& where);

}  // namespace pare
