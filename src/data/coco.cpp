#include "data/coco.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "data/reader.h"

namespace pare {
namespace {

using Json = nlohmann::json;

// One object of the file, with its place for errors: "annotations[17]".
struct Entry {
  const Json& json;
  std::string where;

  const Json& at(const char* key) const {
    const auto found = json.is_object() ? json.find(key) : json.end();
    if (!json.is_object() || found == json.end()) throw Error(where, fmt::format("there is no \"{}\"", key));
    return *found;
  }
  int64_t integer(const char* key, int64_t least, int64_t most) const {
    const Json& value = at(key);
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t(INT64_MAX)) &&
                      value.get<int64_t>() >= least && value.get<int64_t>() <= most;
    if (!fits) throw Error(where, fmt::format("\"{}\" is not a whole number from {} to {}", key, least, most));
    return value.get<int64_t>();
  }
  std::string text(const char* key) const {
    const Json& value = at(key);
    if (!value.is_string()) throw Error(where, fmt::format("\"{}\" is not a text", key));
    return value.get<std::string>();
  }
};

template <class Visit>
void for_each(const Json& whole, const char* key, const std::string& where, const Visit& visit) {
  const Json& list = Entry{whole, where}.at(key);
  if (!list.is_array()) throw Error(where, fmt::format("\"{}\" is not a list", key));
  for (size_t i = 0; i < list.size(); ++i) visit(Entry{list[i], fmt::format("{}: {}[{}]", where, key, i)});
}

// Outlines are most of such a file and not needed: they are dropped while it is read.
Json parse(std::string_view text, const std::string& where) {
  const auto keep = [](int, Json::parse_event_t event, Json& value) {
    return event != Json::parse_event_t::key || (value != "segmentation" && value != "info" && value != "licenses");
  };
  try {
    return Json::parse(text.begin(), text.end(), keep);
  } catch (const Json::exception& error) {
    throw Error(where, fmt::format("not valid JSON: {}", error.what()), "is this COCO's file of annotations?");
  }
}

struct Category {
  std::string name;
  int64_t label = -1;  // -1: not one of the model's classes
};

std::map<int64_t, Category> read_categories(const Json& whole, CocoFile& file, const std::string& where) {
  std::map<int64_t, Category> categories;  // by id: the order of the classes where none is given
  for_each(whole, "categories", where, [&](const Entry& entry) {
    const int64_t id = entry.integer("id", 0, INT32_MAX);
    if (!categories.emplace(id, Category{entry.text("name"), -1}).second)
      throw Error(entry.where, fmt::format("id {} stands twice", id));
  });
  if (file.classes.empty())
    for (const auto& [id, category] : categories) file.classes.push_back(category.name);
  file.class_ids.assign(file.classes.size(), -1);
  const bool by_order = file.classes.size() == categories.size() &&
                        std::equal(categories.begin(), categories.end(), file.classes.begin(),
                                   [](const auto& row, const std::string& name) { return row.second.name == name; });
  int64_t order = 0;
  for (auto& [id, category] : categories) {
    const auto named = std::find(file.classes.begin(), file.classes.end(), category.name);
    category.label = by_order ? order++ : named == file.classes.end() ? -1 : named - file.classes.begin();
    if (category.label >= 0) file.class_ids[size_t(category.label)] = id;
  }
  return categories;
}

TrueBox read_box(const Entry& entry, const std::map<int64_t, Category>& categories) {
  const int64_t id = entry.integer("category_id", 0, INT32_MAX);
  const auto category = categories.find(id);
  if (category == categories.end())
    throw Error(entry.where, fmt::format("category_id {} is not among the categories", id));
  if (category->second.label < 0)
    throw Error(entry.where, fmt::format("its category \"{}\" is not one of the model's classes", category->second.name),
                "name it in [classes], or leave its annotations out");
  const Json& box = entry.at("bbox");
  if (!box.is_array() || box.size() != 4) throw Error(entry.where, "\"bbox\" is not [x, y, width, height]");
  double side[4];
  for (size_t i = 0; i < 4; ++i) {
    if (!box[i].is_number() || !std::isfinite(box[i].get<double>()))
      throw Error(entry.where, "\"bbox\" is not [x, y, width, height]");
    side[i] = box[i].get<double>();
  }
  if (side[2] <= 0 || side[3] <= 0)
    throw Error(entry.where, fmt::format("a box of {} x {} pixels (width x height) can never be found", side[2], side[3]),
                "remove it");
  const bool crowd = entry.json.contains("iscrowd") && entry.integer("iscrowd", 0, 1) == 1;
  return {side[0], side[1], side[0] + side[2], side[1] + side[3], category->second.label, crowd};
}

class CocoSamples : public Samples {
 public:
  CocoSamples(std::string folder, CocoFile file, const Preprocess& preprocess)
      : folder_(std::move(folder)), file_(std::move(file)), preprocess_(preprocess) {
    if (preprocess_.channels == Preprocess::Channels::as_stored) preprocess_.channels = Preprocess::Channels::rgb;
  }
  int64_t size() const override { return int64_t(file_.pictures.size()); }
  std::string path_of(int64_t index) const {
    return (std::filesystem::path(folder_) / file_.pictures.at(size_t(index)).name).string();
  }
  Sample get(int64_t index) const override {
    const CocoFile::Picture& picture = file_.pictures.at(size_t(index));
    const std::string path = path_of(index);
    Image image = decode_image(MappedFile::open(path)->bytes(), path);
    if (image.height != picture.height || image.width != picture.width)
      throw Error(path, fmt::format("is {}x{} pixels (width x height), the annotations say {}x{}", image.width,
                                    image.height, picture.width, picture.height),
                  "use the pictures the annotations were made for");
    return {{preprocess_.apply(std::move(image), path)}, -1};
  }
  Truth truth(int64_t index) const override {
    const CocoFile::Picture& picture = file_.pictures.at(size_t(index));
    Truth truth;
    truth.file = path_of(index);
    truth.boxes = picture.boxes;
    truth.height = picture.height;
    truth.width = picture.width;
    return truth;
  }

 private:
  std::string folder_;
  CocoFile file_;
  Preprocess preprocess_;
};

}  // namespace

CocoFile parse_coco(std::string_view text, const std::vector<std::string>& classes, const std::string& where) {
  const Json whole = parse(text, where);
  CocoFile file;
  file.classes = classes;
  const std::map<int64_t, Category> categories = read_categories(whole, file, where);
  std::map<int64_t, size_t> by_id;
  for_each(whole, "images", where, [&](const Entry& entry) {
    const int64_t id = entry.integer("id", INT64_MIN, INT64_MAX);
    if (!by_id.emplace(id, file.pictures.size()).second) throw Error(entry.where, fmt::format("id {} stands twice", id));
    CocoFile::Picture picture{entry.text("file_name"), entry.integer("height", 1, max_pixels),
                              entry.integer("width", 1, max_pixels), {}};
    check_extents(picture.height, picture.width, entry.where);
    file.pictures.push_back(std::move(picture));
  });
  for_each(whole, "annotations", where, [&](const Entry& entry) {
    const int64_t id = entry.integer("image_id", INT64_MIN, INT64_MAX);
    const auto picture = by_id.find(id);
    if (picture == by_id.end()) throw Error(entry.where, fmt::format("image_id {} is not among the images", id));
    file.pictures[picture->second].boxes.push_back(read_box(entry, categories));
  });
  return file;
}

Split read_coco(const SplitRequest& request) {
  const Section& section = request.section;
  const std::string path = section.file("annotations"), folder = section.folder("images");
  const auto mapped = MappedFile::open(path);
  const std::string_view text(reinterpret_cast<const char*>(mapped->bytes().data()), mapped->bytes().size());
  CocoFile file = parse_coco(text, request.classes, path);
  for (const CocoFile::Picture& picture : file.pictures) {
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(std::filesystem::path(folder) / picture.name, ignored))
      section.fail("images", fmt::format("{} names {}, which is not in {}", path, picture.name, folder),
                   "name the folder of the pictures that the annotations are for");
  }
  Split split{.classes = file.classes, .class_ids = file.class_ids, .images = true,
              .fixed_size = request.preprocess.fixes_size(), .truth = TruthKind::boxes};
  split.samples = std::make_shared<CocoSamples>(folder, std::move(file), request.preprocess);
  return split;
}

}  // namespace pare
