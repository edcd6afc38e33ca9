#include "data/data_set.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "data/reader.h"

namespace pare {
namespace {

struct Task {
  std::string_view name;
  bool needs_labels;
  TruthKind truth = TruthKind::label;
  bool settings = truth == TruthKind::boxes ||
                  truth == TruthKind::picture;  // a table of its own name says how outputs are to be read
};
constexpr Task tasks[] = {{"classify", true},
                          {"classify-text", true},
                          {"compare", false},
                          {"detect", true, TruthKind::boxes},
                          {"generate", false, TruthKind::label, true},
                          {"language", false},
                          {"multiple-choice", true, TruthKind::choice},
                          {"restore", true, TruthKind::picture}};

constexpr int64_t calibration_limit = 300;

template <class Rows>
std::vector<std::string> names_of(const Rows& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) names.emplace_back(row.name);
  return names;
}

// Some samples of another stream, in the given order.
class PickedSamples : public Samples {
 public:
  PickedSamples(std::shared_ptr<const Samples> all, std::vector<int64_t> picked)
      : all_(std::move(all)), picked_(std::move(picked)) {}
  int64_t size() const override { return int64_t(picked_.size()); }
  int64_t length(int64_t index) const override { return all_->length(picked_.at(size_t(index))); }
  Sample get(int64_t index) const override {
    PARE_CHECK(index >= 0 && index < size());
    return all_->get(picked_[size_t(index)]);
  }
  Truth truth(int64_t index) const override {
    PARE_CHECK(index >= 0 && index < size());
    return all_->truth(picked_[size_t(index)]);
  }

 private:
  std::shared_ptr<const Samples> all_;
  std::vector<int64_t> picked_;
};

enum class Pick { first, spread, shuffled };

// Which `count` of `all` samples. Spread: evenly over the files, whose order is often by class. Shuffled: Fisher-Yates
// on mt19937_64, whose numbers the standard fixes (its distributions it does not), so a seed means the same everywhere.
std::vector<int64_t> pick_samples(int64_t all, int64_t count, Pick pick, uint64_t seed) {
  std::vector<int64_t> picked(static_cast<size_t>(pick == Pick::shuffled ? all : count));
  std::iota(picked.begin(), picked.end(), int64_t(0));
  if (pick == Pick::spread)
    for (int64_t& i : picked) i = int64_t(__int128(i) * all / count);
  if (pick == Pick::shuffled) {
    std::mt19937_64 random(seed);
    for (int64_t i = 0; i < count; ++i)
      std::swap(picked[size_t(i)],
                picked[size_t(i) + size_t((static_cast<unsigned __int128>(random()) * uint64_t(all - i)) >> 64)]);
    picked.resize(size_t(count));
  }
  return picked;
}

std::shared_ptr<const Samples> limit_samples(std::shared_ptr<const Samples> all, const Section& section,
                                             bool calibration) {
  const int64_t limit = section.integer("limit", calibration ? calibration_limit : 0, 0, INT64_MAX);
  const bool shuffle = section.boolean("shuffle", false);
  if (section.has("seed") && !shuffle)
    section.fail("seed", "a seed without shuffle = true changes nothing", "add shuffle = true");
  const int64_t seed = section.integer("seed", 1, 0, INT64_MAX);
  const int64_t count = limit == 0 ? all->size() : std::min(limit, all->size());
  if (count == all->size() && !shuffle) return all;
  const Pick pick = shuffle ? Pick::shuffled : calibration ? Pick::spread : Pick::first;
  const int64_t size = all->size();
  return std::make_shared<PickedSamples>(std::move(all), pick_samples(size, count, pick, uint64_t(seed)));
}

std::vector<std::string> read_classes(const std::optional<Section>& section) {
  if (!section) return {};
  section->allow({"names", "file"});
  if (section->has("names") == section->has("file"))
    section->fail("", "expected either names or file",
                  "names = [\"cat\", \"dog\"], or file = \"classes.txt\" with a name a line");
  if (section->has("names")) return section->texts("names");
  const std::string path = section->file("file");
  std::istringstream lines(read_text(path));
  std::vector<std::string> classes;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    classes.push_back(line);
  }
  while (!classes.empty() && classes.back().empty()) classes.pop_back();
  if (classes.empty()) section->fail("file", path + " is empty", "write a class name a line");
  if (const auto blank = std::find(classes.begin(), classes.end(), ""); blank != classes.end())
    throw Error(fmt::format("{}:{}", path, blank - classes.begin() + 1), "an empty line among the class names",
                "a line's number is its class: name it");
  return classes;
}

// Extents are a list, or a text as they are shown everywhere else: "1x128".
Dims read_dims(const Section& section, const std::string& name) {
  constexpr int64_t most = int64_t(1) << 31;
  if (!section.is_text(name)) return section.integers(name, 1, most);
  const std::string text = section.text(name);
  Dims dims;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, 'x');) {
    if (part.empty() || part.size() > 9 || part.find_first_not_of("0123456789") != std::string::npos ||
        std::stoll(part) < 1)
      section.fail(name, fmt::format("\"{}\" is not a shape", text), "write \"1x128\" or [1, 128]");
    dims.push_back(std::stoll(part));
  }
  if (dims.empty()) section.fail(name, "the shape is empty", "write \"1x128\" or [1, 128]");
  return dims;
}

std::map<std::string, Dims> read_latency_shapes(const Section& whole) {
  std::map<std::string, Dims> shapes;
  if (!whole.has("latency_shape")) return shapes;
  const Section section = *whole.section("latency_shape");
  for (const std::string& name : section.keys()) {
    shapes[name] = read_dims(section, name);
    try {
      count_of(shapes[name]);
    } catch (const Error& error) {
      section.fail(name, error.problem());
    }
  }
  return shapes;
}

// What applies to the samples of both splits.
struct Treatment {
  Preprocess preprocess;
  TextOptions text;
};

Split read_split(const Section& section, const Treatment& treatment, const std::vector<std::string>& classes,
                 const Task& task) {
  const Reader& reader = readers()[section.choice("format", names_of(readers()))];
  std::vector<std::string> keys = {"format", "limit", "shuffle", "seed"};
  keys.insert(keys.end(), reader.keys.begin(), reader.keys.end());
  section.allow(keys);
  if (!section.has(reader.keys[0]))
    section.fail(reader.keys[0], "missing", fmt::format("for example:\n{}", reader.example));
  Split split = reader.read({section, treatment.preprocess, treatment.text, classes,
                             task.needs_labels && task.truth == TruthKind::label});
  if (task.needs_labels && split.truth != task.truth)
    section.fail("format", fmt::format("\"{}\" does not say what task \"{}\" is judged by", reader.name, task.name),
                 task.truth == TruthKind::label     ? "use a format with labels"
                 : task.truth == TruthKind::picture ? "use format = \"pairs\" with inputs and targets"
                 : task.truth == TruthKind::choice  ? "use format = \"choices\" with questions and answers"
                                                    : "use format = \"coco\" with annotations and images");
  if (split.samples->size() == 0) section.fail(reader.keys[0], "there is not a single sample");
  return split;
}

std::string grouped(int64_t value) {
  std::string text = std::to_string(value);
  for (int64_t at = int64_t(text.size()) - 3; at > 0; at -= 3) text.insert(size_t(at), 1, ',');
  return text;
}

// " of 5 to 82 tokens".
std::string length_text(const Samples& texts) {
  int64_t least = INT64_MAX, most = 0;
  for (int64_t i = 0; i < texts.size(); ++i) {
    least = std::min(least, texts.length(i));
    most = std::max(most, texts.length(i));
  }
  return fmt::format(" of {} to {} tokens", least, most);
}

// "32x32 float32" of every input without the batch axis; images are always float32.
std::string sample_text(const Split& split, const Sample& sample) {
  if (split.texts) return length_text(*split.samples);
  if (!split.fixed_size) return " of their own sizes";
  std::vector<std::string> inputs;
  for (const Array& input : sample.inputs) {
    const std::string dims = dims_text({input.dims().begin() + 1, input.dims().end()});
    inputs.push_back(split.images ? dims : fmt::format("{} {}", dims, type_text(input.type())));
  }
  return fmt::format(" {}", fmt::join(inputs, " + "));
}

std::string split_text(const Split& split, const std::string& name) {
  return fmt::format("{} {} {}{}", grouped(split.samples->size()), name, split.images ? "image" : "sample",
                     split.samples->size() == 1 ? "" : "s");
}

void check_same_inputs(const Section& section, const Split& test, const Sample& first, const Split& calibration,
                       const Sample& other) {
  bool same = first.inputs.size() == other.inputs.size() && test.input_names == calibration.input_names;
  for (size_t i = 0; same && i < first.inputs.size(); ++i)
    same = first.inputs[i].type() == other.inputs[i].type() && first.inputs[i].rank() == other.inputs[i].rank();
  if (!same)
    section.fail("",
                 fmt::format("its samples ({}) are not of the test's kind ({})",
                             sample_text(calibration, other).substr(1), sample_text(test, first).substr(1)),
                 "both splits feed the same model: same inputs, types and axes");
}

}  // namespace

Truth Samples::truth(int64_t) const {
  return {};
}

DataSet read_data_set(const std::string& path) {
  const Section whole = Section::read(path);
  const Task& task = tasks[whole.choice("task", names_of(tasks))];
  std::vector<std::string> known = {"task", "test",    "calibration",  "training", "preprocess",
                                    "text", "classes", "latency_shape"};
  if (task.settings) known.emplace_back(task.name);
  whole.allow(known);
  DataSet set{.path = path, .task = std::string(task.name), .classes = read_classes(whole.section("classes"))};
  set.latency_shapes = read_latency_shapes(whole);
  const Treatment treatment{Preprocess::read(whole.section("preprocess")), TextOptions::read(whole.section("text"))};
  set.preprocess = treatment.preprocess;
  set.settings = whole.section(set.task);
  if (!whole.has("test")) whole.fail("test", "missing", "add a [test] table with the files the model is judged on");

  const Section test_section = *whole.section("test");
  Split test = read_split(test_section, treatment, set.classes, task);
  if (set.classes.empty()) set.classes = test.classes;
  set.class_ids = test.class_ids;
  set.input_names = test.input_names;
  set.padding = test.padding;
  set.fixed_size = test.fixed_size;
  set.test = test.samples = limit_samples(test.samples, test_section, false);
  const Sample first = set.test->get(0);
  set.summary = fmt::format("{}: {}{}", set.task, split_text(test, "test"), sample_text(test, first));
  bool images = test.images, texts = test.texts;
  if (const auto section = whole.section("calibration")) {
    Split split = read_split(*section, treatment, set.classes, {"", false});
    set.training = split.samples;  // the limit says how many samples calibration needs, not how many there are
    set.calibration = split.samples = limit_samples(split.samples, *section, true);
    check_same_inputs(*section, test, first, split, set.calibration->get(0));
    set.summary += ", " + split_text(split, "calibration");
    images = images || split.images;
    texts = texts || split.texts;
  }
  if (const auto section = whole.section("training")) {
    Split split = read_split(*section, treatment, set.classes, {"", false});
    set.training = split.samples = limit_samples(split.samples, *section, false);
    check_same_inputs(*section, test, first, split, set.training->get(0));
    set.summary += ", " + split_text(split, "training");
    images = images || split.images;
    texts = texts || split.texts;
  }
  if (!images && whole.has("preprocess"))
    whole.fail("preprocess", "applies to images, but arrays are given to the model as they are",
               "remove it, and preprocess what is in the .npy files");
  if (!texts && whole.has("text")) whole.fail("text", "applies to texts, but there are none", "remove it");
  if (!set.classes.empty()) set.summary += fmt::format(", {} classes", grouped(int64_t(set.classes.size())));
  return set;
}

}  // namespace pare
