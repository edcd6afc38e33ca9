#include <fmt/format.h>

#include <algorithm>

#include "formats/format.h"
#include "measure/exhibit.h"
#include "measure/frechet.h"
#include "measure/statistics.h"
#include "measure/tasks/task.h"

// Generators of pictures: how far what they make is, as a whole, from real pictures, in the features of a classifier of these.
namespace pare {
namespace {

constexpr int64_t kGroups = 25;     // of the jackknife
constexpr int64_t kBatch = 50;      // pictures the classifier sees at once
constexpr int64_t kFeatures = 1024; // at most: their products take n² numbers, for each group

// The table [generate] of a description.
struct Settings {
  DataSet real;          // its test split are the real pictures, its preprocessing is the classifier's
  Graph classifier;      // as far as the features
  Preprocess units;      // of the generator's output

  explicit Settings(const DataSet& data) {
    if (!data.settings) throw Error(data.path, "task \"generate\" needs a table [generate]", "real = \"classifier.toml\", classifier = \"classifier.onnx\", features = \"name of a value\", range = [0, 1]");
    const Section& section = *data.settings;
    section.allow({"real", "classifier", "features", "range"});
    real = read_data_set(section.file("real"));
    classifier = read_model(section.file("classifier"));
    const std::string name = section.text("features");
    const ValueId features = classifier.find(name);
    if (features == kNone || classifier.constant(features) != nullptr)
      section.fail("features", fmt::format("the classifier computes no value named \"{}\"", name), "the values' names: pare inspect CLASSIFIER --json -");
    classifier.outputs = {features};
    classifier.remove_unused();
    units = output_units(section, "range", Preprocess());
  }
};

// Features of pictures, as many at a time as the classifier takes.
class Extractor {
 public:
  explicit Extractor(const Settings& settings) : settings_(settings) {
    const int64_t declared = declared_batch(settings.classifier);
    batch_ = declared > 0 ? declared : kBatch;
  }

  // `picture`: as the classifier takes it, batch 1.
  void take(const Array& picture, FeatureSums& sums) {
    waiting_.push_back(picture);
    owners_.push_back(&sums);
    if (int64_t(waiting_.size()) == batch_) flush();
  }
  void flush() {
    if (waiting_.empty()) return;
    const size_t count = waiting_.size();
    while (int64_t(waiting_.size()) < batch_) waiting_.push_back(waiting_.back());
    std::vector<const Array*> rows;
    for (const Array& picture : waiting_) rows.push_back(&picture);
    const std::vector<Array> inputs{stack(rows)};
    const Array features = sessions_.of(inputs).run(inputs)[0];
    for (size_t i = 0; i < count; ++i) {
      const std::vector<float> values = sample_values(features, i, true);
      if (int64_t(values.size()) > kFeatures) throw Error("features", fmt::format("are {} numbers a picture, at most {} are compared", values.size(), kFeatures), "name a value behind the classifier's pooling");
      owners_[i]->add(values);
    }
    waiting_.clear();
    owners_.clear();
  }

 private:
  const Settings& settings_;
  int64_t batch_;
  SessionOptions options_{.threads = 1};  // beside others of its kind
  Sessions sessions_{settings_.classifier, options_, 1};
  std::vector<Array> waiting_;
  std::vector<FeatureSums*> owners_;
};

Image made(const Settings& settings, const DataSet& data, const JudgedBatch& batch, size_t sample) {
  return settings.units.invert(sample_of(batch.outputs[0], sample, batch.batched), data.path);
}

class GenerateJudge : public Judge {
 public:
  explicit GenerateJudge(const DataSet& data) : data_(data), settings_(data), extractor_(settings_), groups_(size_t(std::min(kGroups, data.test->size()))) {
    for (int64_t i = 0; i < settings_.real.test->size(); ++i) extractor_.take(settings_.real.test->get(i).inputs[0], real_);
    extractor_.flush();
    if (real_.count < 2 || data.test->size() < 2) throw Error(data.path, "a distance between distributions needs at least two pictures of each");
  }

  void see(const JudgedBatch& batch) override {
    for (size_t i = 0; i < batch.samples.size(); ++i)
      extractor_.take(settings_.real.preprocess.apply(made(settings_, data_, batch, i), data_.path), groups_[size_t(batch.samples[i]) % groups_.size()]);
  }

  Quality finish() override {
    extractor_.flush();
    FeatureSums all;
    for (const FeatureSums& group : groups_) all.add(group);
    Quality quality;
    const double value = frechet_distance(all, real_);
    for (const FeatureSums& group : groups_) {
      FeatureSums rest = all;
      rest.add(group, -1);
      if (rest.count > 1) quality.without_group.push_back(frechet_distance(rest, real_));
    }
    const Interval interval = jackknife_interval(value, quality.without_group);
    quality.metric = {"frechet", value, interval.low, interval.high, all.count, false};
    return quality;
  }

 private:
  const DataSet& data_;
  const Settings settings_;
  Extractor extractor_;
  std::vector<FeatureSums> groups_;
  FeatureSums real_;
};

std::unique_ptr<Judge> start(const DataSet& data, uint64_t) {
  return std::make_unique<GenerateJudge>(data);
}

Image picture(const DataSet& data, const JudgedBatch& batch) {
  return output_units(*data.settings, "range", Preprocess()).invert(sample_of(batch.outputs[0], 0, batch.batched), data.path);
}

std::unique_ptr<Exhibit> exhibit(const DataSet& data, int64_t) {
  return sheet_exhibit(data, picture);
}

}  // namespace

extern const Task task_generate;
const Task task_generate = {.name = "generate",
                            .summary = "Fréchet distance of a generator's pictures to real ones, in the features of a classifier",
                            .needs_baseline = false,
                            .start = start,
                            .exhibit = exhibit,
                            .exhibit_about = "What each model makes of the same numbers, with decibels against the baseline's pictures.",
                            .exhibit_samples = 64};

}  // namespace pare
