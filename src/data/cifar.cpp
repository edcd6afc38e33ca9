#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "data/bytes.h"
#include "data/reader.h"

// The CIFAR binary version (Krizhevsky 2009): records without any header, so the size is the only check there is.
//   CIFAR-10   [label][1024 red][1024 green][1024 blue]
//   CIFAR-100  [coarse label][fine label][1024 red][1024 green][1024 blue]
namespace pare {
namespace {

constexpr int64_t side = 32, plane = side * side, image_bytes = 3 * plane;

class CifarSamples : public Samples {
 public:
  CifarSamples(int64_t label_bytes, const Preprocess& preprocess)
      : label_bytes_(label_bytes), preprocess_(preprocess) {}

  void add(const std::string& path, int64_t classes, const Section& section) {
    File file{path, map_bytes(path), size_};
    const auto size = int64_t(file.bytes.view.size()), record = label_bytes_ + image_bytes;
    if (size == 0 || size % record != 0) {
      const int64_t other = image_bytes + 3 - label_bytes_;
      const bool is_other = size > 0 && size % other == 0;
      section.fail("files",
                   fmt::format("{} has {} bytes, expected a multiple of {} ({} + 3072 an image)", path, size, record,
                               label_bytes_),
                   is_other ? fmt::format("{} bytes an image fit: format = \"{}\"", other,
                                          label_bytes_ == 1 ? "cifar100" : "cifar")
                            : "the file is cut short or is not CIFAR's binary version; fetch it again");
    }
    size_ += size / record;
    for (int64_t i = 0; i < size / record; ++i)
      check_label(label(file, i), classes, fmt::format("{} image {}", path, i));
    files_.push_back(std::move(file));
  }

  int64_t size() const override { return size_; }

  Sample get(int64_t index) const override {
    PARE_CHECK(index >= 0 && index < size_);
    const auto next =
        std::upper_bound(files_.begin(), files_.end(), index, [](int64_t i, const File& f) { return i < f.first; });
    const File& file = *(next - 1);
    const int64_t at = index - file.first;
    const std::byte* planes = file.bytes.view.data() + at * (label_bytes_ + image_bytes) + label_bytes_;
    Image image{side, side, 3, std::vector<uint8_t>(image_bytes)};
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t i = 0; i < plane; ++i) image.values[size_t(i * 3 + c)] = uint8_t(planes[c * plane + i]);
    return {{preprocess_.apply(std::move(image), file.path)}, label(file, at)};
  }

 private:
  struct File {
    std::string path;
    Bytes bytes;
    int64_t first;  // index of its first image
  };
  int64_t label(const File& file, int64_t at) const {
    return int64_t(file.bytes.view[size_t(at * (label_bytes_ + image_bytes) + label_bytes_ - 1)]);
  }

  int64_t label_bytes_, size_ = 0;
  Preprocess preprocess_;
  std::vector<File> files_;
};

Split read_records(const SplitRequest& request, int64_t label_bytes, int64_t classes) {
  auto samples = std::make_shared<CifarSamples>(label_bytes, request.preprocess);
  if (!request.classes.empty()) classes = int64_t(request.classes.size());
  for (const std::string& path : request.section.files("files")) samples->add(path, classes, request.section);
  return {.samples = samples, .images = true};
}

}  // namespace

Split read_cifar(const SplitRequest& request) {
  return read_records(request, 1, 10);
}
Split read_cifar100(const SplitRequest& request) {
  return read_records(request, 2, 100);
}

}  // namespace pare
