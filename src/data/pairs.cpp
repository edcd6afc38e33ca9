#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "data/listing.h"
#include "data/reader.h"

// Two folders of pictures: what a model of super-resolution, denoising, … is given and, under the same name (whatever
// the ending), what it should make of it.
namespace pare {
namespace {
namespace fs = std::filesystem;

struct Pair {
  std::string input, target;  // paths; target empty where there is none
};

Image read_picture(const std::string& path) {
  return decode_image(MappedFile::open(path)->bytes(), path);
}

class PairSamples : public Samples {
 public:
  PairSamples(std::vector<Pair> pairs, const Preprocess& preprocess)
      : pairs_(std::move(pairs)), preprocess_(preprocess) {}
  int64_t size() const override { return int64_t(pairs_.size()); }
  Sample get(int64_t index) const override {
    const std::string& path = pairs_.at(size_t(index)).input;
    return {{preprocess_.apply(read_picture(path), path)}, -1};
  }
  Truth truth(int64_t index) const override {
    const Pair& pair = pairs_.at(size_t(index));
    return {pair.input, pair.target.empty() ? Image() : read_picture(pair.target)};
  }

 private:
  std::vector<Pair> pairs_;
  Preprocess preprocess_;
};

std::map<std::string, std::string> pictures_by_name(const Section& section, const std::string& key) {
  const std::string path = section.folder(key);
  std::map<std::string, std::string> result;
  for (const std::string& image : list_folder(path).images)
    if (const auto [at, is_new] = result.emplace(fs::path(image).stem().string(), image); !is_new)
      section.fail(key, fmt::format("{} and {} have the same name", at->second, image), "remove one of them");
  if (result.empty()) section.fail(key, fmt::format("there are no .png, .jpg or .jpeg images in {}", path));
  return result;
}

}  // namespace

Split read_pairs(const SplitRequest& request) {
  const Section& section = request.section;
  if (!request.preprocess.keeps_size())
    throw Error(request.preprocess.where, "resize, crop and letterbox would part the pictures from their targets",
                "write pictures of the size the model takes");
  const bool judged = section.has("targets");
  const auto inputs = pictures_by_name(section, "inputs");
  const auto targets = judged ? pictures_by_name(section, "targets") : std::map<std::string, std::string>();
  std::vector<Pair> pairs;
  for (const auto& [name, path] : inputs) {
    const auto target = targets.find(name);
    if (judged && target == targets.end())
      section.fail("targets", fmt::format("there is no picture called {} for {}", name, path),
                   "targets are called as their inputs");
    pairs.push_back({path, judged ? target->second : ""});
  }
  Preprocess preprocess = request.preprocess;
  if (preprocess.channels == Preprocess::Channels::as_stored) preprocess.channels = Preprocess::Channels::rgb;
  return {.samples = std::make_shared<PairSamples>(std::move(pairs), preprocess),
          .images = true,
          .fixed_size = false,
          .truth = judged ? TruthKind::picture : TruthKind::label};
}

}  // namespace pare
