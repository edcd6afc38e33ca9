#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "data/idx_file.h"
#include "data/reader.h"

// IDX (LeCun's MNIST page): 0, 0, element type, number of axes; then each extent in 4 bytes, big endian; then the
// elements, row major. Only type 0x08, unsigned bytes, occurs in data sets.
namespace pare {
namespace {

constexpr size_t max_axes = 4;

// Where the header's and the elements' bytes come from.
class Source {
 public:
  Source(const Bytes& file, const std::string& where) : file_(file), where_(where) {
    if (file.view.size() >= 2 && file.view[0] == std::byte{0x1f} && file.view[1] == std::byte{0x8b})
      inflater_ = std::make_unique<Inflater>(file.view, Inflater::Wrapper::gzip, where);
  }
  void header(std::span<std::byte> out) {
    size_t got = 0;
    if (inflater_)
      got = inflater_->read(out);
    else
      got = std::min(out.size(), file_.view.size() - used_),
      std::copy_n(file_.view.begin() + int64_t(used_), got, out.begin());
    used_ += got;
    if (got != out.size())
      throw Error(where_, "the file ends within its header: not an IDX file", "fetch the file again");
  }
  Bytes elements(uint64_t size) {
    if (!inflater_) {
      if (file_.view.size() - used_ != size) wrong_size(size, fmt::format("{}", file_.view.size() - used_));
      return {file_.owner, file_.view.subspan(used_)};
    }
    if (!can_inflate_to(file_.view.size(), size)) wrong_size(size, fmt::format("{} compressed", file_.view.size()));
    auto memory = std::make_shared<std::vector<std::byte>>(size);
    const size_t got = inflater_->read(*memory);
    std::byte more{};
    if (got != size) wrong_size(size, fmt::format("{}", got));
    if (inflater_->read({&more, 1}) != 0) wrong_size(size, "more");
    return {memory, *memory};
  }

 private:
  [[noreturn]] void wrong_size(uint64_t expected, const std::string& found) const {
    throw Error(where_, fmt::format("the header promises {} bytes of elements, the file holds {}", expected, found),
                "the file is cut short or damaged: fetch it again");
  }
  const Bytes& file_;
  const std::string& where_;
  std::unique_ptr<Inflater> inflater_;
  size_t used_ = 0;
};

class IdxSamples : public Samples {
 public:
  IdxSamples(IdxFile images, IdxFile labels, std::string path, const Preprocess& preprocess)
      : images_(std::move(images)), labels_(std::move(labels)), path_(std::move(path)), preprocess_(preprocess) {}
  int64_t size() const override { return images_.dims[0]; }
  Sample get(int64_t index) const override {
    PARE_CHECK(index >= 0 && index < size());
    const int64_t height = images_.dims[1], width = images_.dims[2], bytes = height * width;
    const auto* pixels = reinterpret_cast<const uint8_t*>(images_.data.view.data()) + index * bytes;
    Image image{height, width, 1, std::vector<uint8_t>(pixels, pixels + bytes)};
    return {{preprocess_.apply(std::move(image), path_)},
            labels_.dims.empty() ? -1 : int64_t(labels_.data.view[size_t(index)])};
  }

 private:
  IdxFile images_, labels_;  // labels_ of no dims: none
  std::string path_;
  Preprocess preprocess_;
};

IdxFile read_labels(const SplitRequest& request, int64_t images) {
  const std::string path = request.section.file("labels");
  IdxFile labels = parse_idx(map_bytes(path), path);
  if (labels.dims.size() != 1 || labels.dims[0] != images)
    request.section.fail(
        "labels", fmt::format("{} holds {}, expected {} labels, one an image", path, dims_text(labels.dims), images),
        "labels and images must be of the same split");
  const int64_t classes = request.classes.empty() ? 256 : int64_t(request.classes.size());
  for (int64_t i = 0; i < images; ++i)
    check_label(int64_t(labels.data.view[size_t(i)]), classes, fmt::format("{} label {}", path, i));
  return labels;
}

}  // namespace

IdxFile parse_idx(const Bytes& file, const std::string& where) {
  Source source(file, where);
  std::array<std::byte, 4> magic;
  source.header(magic);
  const auto type = int(magic[2]);
  const auto axes = size_t(magic[3]);
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0} || axes == 0 || axes > max_axes)
    throw Error(
        where,
        fmt::format("not an IDX file: it starts with {:02x} {:02x} {:02x} {:02x}, expected 00 00 08 and 1 to {} axes",
                    int(magic[0]), int(magic[1]), type, axes, max_axes),
        "images and labels are the files of MNIST's layout, plain or .gz");
  if (type != 0x08)
    throw Error(where, fmt::format("elements of IDX type 0x{:02x} are not read, expected 0x08 (unsigned bytes)", type));
  IdxFile result;
  for (size_t i = 0; i < axes; ++i) {
    std::array<std::byte, 4> extent;
    source.header(extent);
    result.dims.push_back(int64_t(extent[0]) << 24 | int64_t(extent[1]) << 16 | int64_t(extent[2]) << 8 |
                          int64_t(extent[3]));
  }
  result.data = source.elements(uint64_t(count_of(result.dims, where)));
  return result;
}

Split read_idx(const SplitRequest& request) {
  const std::string path = request.section.file("images");
  IdxFile images = parse_idx(map_bytes(path), path);
  if (images.dims.size() != 3 || images.dims[1] == 0 || images.dims[2] == 0)
    request.section.fail("images",
                         fmt::format("{} holds {}, expected images x height x width", path, dims_text(images.dims)),
                         images.dims.size() == 1 ? "this looks like the file of labels" : "");
  check_extents(images.dims[1], images.dims[2], path);
  IdxFile labels;
  if (request.needs_labels || request.section.has("labels")) labels = read_labels(request, images.dims[0]);
  return {.samples = std::make_shared<IdxSamples>(std::move(images), std::move(labels), path, request.preprocess),
          .images = true};
}

}  // namespace pare
