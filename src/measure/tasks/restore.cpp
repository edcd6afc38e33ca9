#include <fmt/format.h>

#include <algorithm>

#include "measure/exhibit.h"
#include "measure/picture_quality.h"
#include "measure/statistics.h"
#include "measure/tasks/task.h"

// Super-resolution, denoising and their like: the model's picture against the one it should have made.
namespace pare {
namespace {

// The table [restore] of a description.
struct Settings {
  Preprocess units;     // of the model's output: those of its input where nothing else is said
  int64_t border = -1;  // pixels left out on each side; -1: as many as the scale, none where pictures keep their size

  explicit Settings(const DataSet& data) : units(data.preprocess) {
    if (!data.settings) return;
    const Section& section = *data.settings;
    section.allow({"range", "border"});
    border = section.integer("border", border, 0, 4096);
    units = output_units(section, "range", units);
  }
};

int64_t scale_of(const Image& image, const Image& input) {
  return std::max<int64_t>(1, image.height / input.height);
}

// The first output that is a picture of the target's size. Targets that the scale does not divide are longer than
// what the model makes by less than the scale.
Image restored(const Settings& settings, const JudgedBatch& batch, size_t sample, const Truth& truth,
               const Image& input) {
  std::string found;
  for (const Array& output : batch.outputs) {
    found += (found.empty() ? "" : ", ") + dims_text(output.dims());
    if (output.rank() < 2 || output.rank() > 4) continue;
    const Array one = sample_of(output, sample, batch.batched);
    try {
      Image image = settings.units.invert(one, truth.file);
      const int64_t below = truth.picture.height - image.height, beside = truth.picture.width - image.width;
      if (std::min(below, beside) >= 0 && std::max(below, beside) < scale_of(image, input)) return image;
    } catch (const Error&) {  // not a picture: the next one may be
    }
  }
  throw Error(truth.file,
              fmt::format("its target is {}x{} pixels (height x width), the model's outputs are {}",
                          truth.picture.height, truth.picture.width, found),
              "the model makes pictures of another size: take the inputs or targets of its scale");
}

Image input_of(const DataSet& data, const JudgedBatch& batch, size_t sample, const Truth& truth) {
  return data.preprocess.invert(sample_of(batch.inputs[0], sample, batch.batched), truth.file);
}

class RestoreJudge : public Judge {
 public:
  RestoreJudge(const DataSet& data, uint64_t seed) : data_(data), settings_(data), seed_(seed) {}

  void see(const JudgedBatch& batch) override {
    for (size_t i = 0; i < batch.samples.size(); ++i) {
      const Truth truth = data_.test->truth(batch.samples[i]);
      if (truth.picture.values.empty())
        throw Error(data_.path, "the test split has no target pictures", "use format = \"pairs\" with targets");
      const Image input = input_of(data_, batch, i, truth);
      judge(restored(settings_, batch, i, truth, input), truth, input);
    }
  }

  Quality finish() override {
    Quality quality;
    const int64_t count = int64_t(psnr_.size());
    quality.over_samples = mean_of(psnr_);
    quality.metric = bootstrapped_metric("psnr_y", count, seed_, quality.over_samples);
    quality.more.push_back(bootstrapped_metric("ssim", count, seed_, mean_of(ssim_)));
    return quality;
  }

 private:
  static std::function<double(std::span<const int64_t>)> mean_of(const std::vector<double>& values) {
    return [values](std::span<const int64_t> samples) {
      double sum = 0;
      for (int64_t i : samples) sum += values[size_t(i)];
      return sum / double(samples.size());
    };
  }

  void judge(const Image& image, const Truth& truth, const Image& input) {
    const int64_t scale = scale_of(image, input);
    Image target = image.channels == 1 ? to_gray(truth.picture) : to_rgb(truth.picture);
    target = crop(target, {0, 0, image.height, image.width});
    const int64_t border = settings_.border >= 0 ? settings_.border : scale > 1 ? scale : 0;
    const Luma ours = luma_of(image, border), wanted = luma_of(target, border);
    if (std::min(ours.height, ours.width) < ssim_window)
      throw Error(truth.file, fmt::format("{}x{} pixels are too few for SSIM's window of {} pixels", ours.height,
                                          ours.width, ssim_window));
    psnr_.push_back(psnr(ours, wanted));
    ssim_.push_back(ssim(ours, wanted));
  }

  const DataSet& data_;
  const Settings settings_;
  uint64_t seed_;
  std::vector<double> psnr_, ssim_;  // by sample
};

std::unique_ptr<Judge> start(const DataSet& data, uint64_t seed) {
  return std::make_unique<RestoreJudge>(data, seed);
}

Image picture(const DataSet& data, const JudgedBatch& batch) {
  const Truth truth = data.test->truth(batch.samples[0]);
  return restored(Settings(data), batch, 0, truth, input_of(data, batch, 0, truth));
}

std::unique_ptr<Exhibit> exhibit(const DataSet& data, int64_t sample) {
  return picture_exhibit(data, sample, picture);
}

}  // namespace

extern const Task task_restore;
const Task task_restore = {
    "restore",
    "PSNR and SSIM of the luma of restored pictures (super-resolution, denoising)",
    false,
    start,
    true,
    exhibit,
    "The details in which a compressed model's picture differs most from the baseline's, out of pictures spread "
    "over the test data. The decibels are of the detail against the target."};

}  // namespace pare
