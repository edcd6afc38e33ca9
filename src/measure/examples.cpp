#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "graph/text.h"
#include "measure/picture_quality.h"
#include "measure/tasks/task.h"

namespace pare {
namespace {

constexpr int64_t kCandidates = 12;  // pictures looked at, spread over the test split
constexpr size_t kExamples = 3;
constexpr size_t kModels = 7;    // beside the baseline: a page stays small
constexpr int64_t kDetail = 64;  // pixels a side

struct Candidate {
  int64_t sample = 0;
  Frame detail;
  double difference = -1;       // of the detail: Σ of squares, the most of any model
  std::vector<Image> pictures;  // by model, empty where it failed
};

// Squared differences summed over the colours of every pixel.
std::vector<double> squares_of(const Image& a, const Image& b) {
  std::vector<double> squares(size_t(a.height * a.width));
  for (size_t i = 0; i < a.values.size(); ++i) {
    const double difference = double(a.values[i]) - b.values[i];
    squares[i / size_t(a.channels)] += difference * difference;
  }
  return squares;
}

// The frame with the largest sum, on a raster of a quarter of its side.
void find_detail(const Image& picture, const std::vector<double>& squares, Candidate& candidate) {
  const int64_t height = std::min(kDetail, picture.height), width = std::min(kDetail, picture.width);
  for (int64_t top = 0; top + height <= picture.height; top += kDetail / 4)
    for (int64_t left = 0; left + width <= picture.width; left += kDetail / 4) {
      double sum = 0;
      for (int64_t y = top; y < top + height; ++y)
        for (int64_t x = left; x < left + width; ++x) sum += squares[size_t(y * picture.width + x)];
      if (sum > candidate.difference) {
        candidate.difference = sum;
        candidate.detail = {top, left, height, width};
      }
    }
}

// Pictures of one size in rows, as square as can be.
Image side_by_side(const std::vector<Image>& pictures) {
  const Image& first = pictures[0];
  const auto across = int64_t(std::ceil(std::sqrt(double(pictures.size())))), down = (int64_t(pictures.size()) + across - 1) / across;
  Image sheet{down * first.height, across * first.width, first.channels, {}};
  sheet.values.resize(size_t(sheet.height * sheet.width * sheet.channels));
  const auto row_bytes = size_t(first.width * first.channels);
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (pictures[i].values.size() != first.values.size()) throw Error("pictures", "differ in size");
    for (int64_t y = 0; y < first.height; ++y)
      std::copy_n(pictures[i].values.begin() + y * int64_t(row_bytes), row_bytes,
                  sheet.values.begin() + ((int64_t(i) / across * first.height + y) * across + int64_t(i) % across) * int64_t(row_bytes));
  }
  return sheet;
}

class Exhibition {
 public:
  Exhibition(std::span<const OpenModel> models, const MeasureOptions& options)
      : models_(models.first(std::min(models.size(), kModels + 1))), options_(options), data_(*options.data) {}

  std::vector<Example> make() {
    std::vector<Candidate> candidates;
    const int64_t count = sheet() > 1 ? 1 : std::min(kCandidates, data_.test->size());
    for (int64_t i = 0; i < count; ++i) candidates.push_back({i * data_.test->size() / count, {}, -1, {}});
    for (const OpenModel& model : models_) run(model, candidates);
    for (Candidate& candidate : candidates) look(candidate);
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& a, const Candidate& b) { return a.difference > b.difference; });
    std::vector<Example> examples;
    for (size_t i = 0; i < std::min(kExamples, candidates.size()); ++i)
      if (candidates[i].difference >= 0) examples.push_back(sheet() > 1 ? show_sheets(candidates[i]) : show(candidates[i]));
    return examples;
  }

 private:
  void run(const OpenModel& model, std::vector<Candidate>& candidates) const {
    SessionOptions session_options;
    session_options.threads = options_.threads;
    session_options.tune = data_.fixed_size;
    Sessions sessions(model.graph, session_options, 1);
    std::vector<std::string> names;
    for (ValueId id : model.graph.outputs) names.push_back(model.graph.at(id).name);
    for (Candidate& candidate : candidates) {
      candidate.pictures.emplace_back();
      if (!model.row.error.empty() || interrupted()) continue;
      std::vector<Image> made;
      for (int64_t i = 0; i < sheet(); ++i) {
        const int64_t sample = candidate.sample + i;
        const auto inputs = gather_batch(model.graph, data_, *data_.test, sample, 1);
        const std::vector<Array> outputs = sessions.of(inputs).run(inputs);
        made.push_back(find_task(data_.task).picture(data_, {{}, outputs, {}, false, {&sample, 1}, inputs, names}));
      }
      candidate.pictures.back() = made.size() == 1 ? made[0] : side_by_side(made);
    }
  }

  int64_t sheet() const { return std::min(find_task(data_.task).sheet, data_.test->size()); }

  static bool comparable(const Image& a, const Image& b) {
    return !a.values.empty() && a.values.size() == b.values.size() && a.width == b.width;
  }

  void look(Candidate& candidate) const {
    const std::vector<Image>& pictures = candidate.pictures;
    for (size_t i = 1; i < pictures.size(); ++i)
      if (comparable(pictures[0], pictures[i]))
        find_detail(pictures[0], squares_of(pictures[0], pictures[i]), candidate);
  }

  // Of generators nobody knows what their pictures should have been: each model's stand beside the baseline's.
  Example show_sheets(const Candidate& candidate) const {
    const Image& baseline = candidate.pictures[0];
    const Frame whole{0, 0, baseline.height, baseline.width};
    Example example{fmt::format("{} pictures, every model's from the same numbers", sheet()), {}};
    for (size_t i = 0; i < candidate.pictures.size(); ++i)
      if (comparable(baseline, candidate.pictures[i]))
        example.pictures.push_back(hang(candidate.pictures[i], whole, int64_t(i),
                                        i == 0 ? "" : fmt::format("{:.1f} dB to the first", psnr(luma_of(candidate.pictures[i], 0), luma_of(baseline, 0)))));
    return example;
  }

  static ExamplePicture hang(const Image& picture, const Frame& detail, int64_t row, std::string caption) {
    const std::string png = encode_png(crop(picture, detail));
    return {row, std::move(caption), text_form::encode_base64(reinterpret_cast<const std::byte*>(png.data()), png.size())};
  }

  Example show(const Candidate& candidate) const {
    const Image& baseline = candidate.pictures[0];
    const Truth truth = data_.test->truth(candidate.sample);
    const Image target = crop(baseline.channels == 1 ? to_gray(truth.picture) : to_rgb(truth.picture),
                              {0, 0, baseline.height, baseline.width});
    const Sample sample = data_.test->get(candidate.sample);
    const Image input = data_.preprocess.invert(sample.inputs[0], truth.file);
    const Luma wanted = luma_of(crop(target, candidate.detail), 0);
    Example example{fmt::format("{}, {}x{} pixels at ({}, {})", std::filesystem::path(truth.file).filename().string(),
                                candidate.detail.width, candidate.detail.height, candidate.detail.left,
                                candidate.detail.top),
                    {}};
    example.pictures.push_back(hang(resize(input, baseline.height, baseline.width, Interpolation::nearest),
                                    candidate.detail, -1, "input"));
    for (size_t i = 0; i < candidate.pictures.size(); ++i)
      if (comparable(baseline, candidate.pictures[i]))
        example.pictures.push_back(
            hang(candidate.pictures[i], candidate.detail, int64_t(i),
                 fmt::format("{:.2f} dB", psnr(luma_of(crop(candidate.pictures[i], candidate.detail), 0), wanted))));
    example.pictures.push_back(hang(target, candidate.detail, -1, "target"));
    return example;
  }

  std::span<const OpenModel> models_;
  const MeasureOptions& options_;
  const DataSet& data_;
};

}  // namespace

std::vector<Example> make_examples(std::span<const OpenModel> models, const MeasureOptions& options) {
  if (options.data == nullptr || models.size() < 2 || find_task(options.data->task).picture == nullptr) return {};
  return Exhibition(models, options).make();
}

}  // namespace pare
