#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "data/listing.h"
#include "data/reader.h"

// A folder a class. A class's index is its place in [classes]; without [classes] the folder's own number where every
// folder is called by one (0, 1, …, 10), else its place in the names' byte order, as torchvision's ImageFolder.
namespace pare {
namespace {
namespace fs = std::filesystem;

struct Item {
  std::string path;
  int64_t label;
};

class FolderSamples : public Samples {
 public:
  FolderSamples(std::vector<Item> items, const Preprocess& preprocess)
      : items_(std::move(items)), preprocess_(preprocess) {
    if (preprocess_.channels == Preprocess::Channels::as_stored) preprocess_.channels = Preprocess::Channels::rgb;
  }
  int64_t size() const override { return int64_t(items_.size()); }
  Sample get(int64_t index) const override {
    PARE_CHECK(index >= 0 && index < size());
    const Item& item = items_[size_t(index)];
    const auto file = MappedFile::open(item.path);
    return {{preprocess_.apply(decode_image(file->bytes(), item.path), item.path)}, item.label};
  }

 private:
  std::vector<Item> items_;
  Preprocess preprocess_;
};

// The number a folder is called by; -1 where it is not one.
int64_t number_of(const std::string& name) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value);
  return error == std::errc() && end == name.data() + name.size() && value >= 0 && value < 1'000'000 ? value : -1;
}

// Class names in the order of their indices.
std::vector<std::string> order_classes(const std::vector<std::string>& folders, const Section& section) {
  int64_t largest = -1;
  for (const std::string& name : folders) {
    const int64_t number = number_of(name);
    if (number < 0) return folders;
    largest = std::max(largest, number);
  }
  std::vector<std::string> classes;
  for (int64_t i = 0; i <= largest; ++i) classes.push_back(std::to_string(i));
  std::vector<bool> seen(classes.size());
  for (const std::string& name : folders) {
    const auto number = size_t(number_of(name));
    if (seen[number]) section.fail("path", fmt::format("two sub-folders are both number {}", number), "merge them");
    seen[number] = true;
    classes[number] = name;
  }
  return classes;
}

int64_t index_of(const std::string& folder, const std::vector<std::string>& classes, const Section& section) {
  const auto row = std::find(classes.begin(), classes.end(), folder);
  if (row == classes.end())
    section.fail(
        "path", fmt::format("the sub-folder \"{}\" is not one of the {} classes", folder, classes.size()),
        fmt::format(
            "the nearest is \"{}\"; sub-folders are called as in [classes] (or as in [test] where there is none)",
            nearest(folder, classes)));
  if (std::find(row + 1, classes.end(), folder) != classes.end())
    section.fail("path", fmt::format("two classes are called \"{}\"", folder),
                 "give each class a name of its own in [classes]");
  return row - classes.begin();
}

}  // namespace

Split read_folder(const SplitRequest& request) {
  const std::string path = request.section.folder("path");
  const Listing top = list_folder(path);
  if (!top.folders.empty() && !top.images.empty())
    request.section.fail("path", fmt::format("{} holds sub-folders and images side by side ({})", path, top.images[0]),
                         "move each image into its class's sub-folder");
  if (top.folders.empty() && request.needs_labels)
    request.section.fail("path", fmt::format("{} has no sub-folders, expected one a class", path),
                         "sort the images into a folder a class, or use task = \"compare\", which needs no labels");
  Split split{.images = true, .fixed_size = request.preprocess.fixes_size()};
  std::vector<Item> items;
  for (const std::string& image : top.images) items.push_back({image, -1});
  if (!top.folders.empty())
    split.classes = request.classes.empty() ? order_classes(top.folders, request.section) : request.classes;
  for (const std::string& folder : top.folders) {
    const int64_t label = index_of(folder, split.classes, request.section);
    for (const std::string& image : list_folder((fs::path(path) / folder).string()).images)
      items.push_back({image, label});
  }
  if (items.empty()) request.section.fail("path", fmt::format("there are no .png, .jpg or .jpeg images in {}", path));
  split.samples = std::make_shared<FolderSamples>(std::move(items), request.preprocess);
  return split;
}

}  // namespace pare
