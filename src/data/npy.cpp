#include <fmt/format.h>

#include "base/error.h"
#include "data/npy_file.h"
#include "data/reader.h"

// Tensors as the model takes them: nothing is preprocessed.
namespace pare {
namespace {

class NpySamples : public Samples {
 public:
  NpySamples(std::vector<NpyFile> inputs, std::vector<int64_t> labels)
      : inputs_(std::move(inputs)), labels_(std::move(labels)) {}
  int64_t size() const override { return inputs_[0].dims[0]; }
  Sample get(int64_t index) const override {
    PARE_CHECK(index >= 0 && index < size());
    Sample sample;
    for (const NpyFile& input : inputs_) sample.inputs.push_back(input.rows(index, 1));
    if (!labels_.empty()) sample.label = labels_[size_t(index)];
    return sample;
  }

 private:
  std::vector<NpyFile> inputs_;
  std::vector<int64_t> labels_;
};

NpyFile open_key(const Section& section, const std::string& key, const std::string& name) {
  auto [file, member] = split_npz(name);
  const std::string path = section.existing(key, file, false);
  return open_npy(member.empty() ? path : path + ":" + member);
}

std::vector<int64_t> read_labels(const SplitRequest& request, int64_t samples) {
  const Section& section = request.section;
  const NpyFile file = open_key(section, "labels", section.text("labels"));
  if (!is_integer(file.type))
    section.fail("labels", fmt::format("expected whole numbers, found {}", type_text(file.type)),
                 "numpy: y.astype('int64')");
  const bool flat = file.dims.size() == 1 || (file.dims.size() == 2 && file.dims[1] == 1);
  if (!flat || file.dims[0] != samples)
    section.fail("labels", fmt::format("expected {} labels, one a sample, found {}", samples, dims_text(file.dims)),
                 file.dims.size() == 2 ? "one column a class? numpy: y.argmax(1)" : "");
  std::vector<int64_t> labels = file.all().to_integers();
  const int64_t classes = request.classes.empty() ? INT32_MAX : int64_t(request.classes.size());
  for (int64_t i = 0; i < samples; ++i)
    check_label(labels[size_t(i)], classes, fmt::format("{} label {}", section.where("labels"), i));
  return labels;
}

}  // namespace

Split read_npy(const SplitRequest& request) {
  const Section& section = request.section;
  Split split;
  std::vector<NpyFile> inputs;
  if (section.is_section("inputs")) {  // model input → file
    const Section table = *section.section("inputs");
    split.input_names = table.keys();
    for (const std::string& name : split.input_names) inputs.push_back(open_key(table, name, table.text(name)));
    if (inputs.empty()) section.fail("inputs", "the table is empty", "inputs = { image = \"x.npy\" }");
  } else {
    for (const std::string& name : section.texts("inputs")) inputs.push_back(open_key(section, "inputs", name));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].dims.empty())
      section.fail("inputs", fmt::format("array {} is a single number, expected the samples on its first axis", i));
    if (inputs[i].dims[0] != inputs[0].dims[0])
      section.fail("inputs",
                   fmt::format("array {} has {} samples, array 0 has {}", i, inputs[i].dims[0], inputs[0].dims[0]),
                   "the first axis of every array counts the samples");
  }
  std::vector<int64_t> labels;
  if (request.needs_labels || section.has("labels")) labels = read_labels(request, inputs[0].dims[0]);
  split.samples = std::make_shared<NpySamples>(std::move(inputs), std::move(labels));
  return split;
}

}  // namespace pare
