// The interpreter against the reference engine on real models.
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/engine.h"
#include "formats/format.h"
#include "passes/pass.h"
#include "support/networks.h"
#include "support/places.h"
#include "train/train.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

struct ModelCase {
  const char* path;
  Dims first = {};  // extents of the first input and of all others like it; empty: as the model says
};
// Inputs as small as the models take: the reference is slow.
const ModelCase kModels[] = {{"image_classification/resnet20_cifar10.onnx"},
                             {"image_classification/resnet20_cifar10_bn.onnx"},
                             {"image_classification/resnet32_cifar10.onnx"},
                             {"generative/carn_m_x2.onnx", {1, 3, 6, 7}},
                             {"generative/carn_m_x4.onnx", {1, 3, 6, 5}},
                             {"generative/rfdn_x4.onnx", {1, 3, 16, 18}},
                             {"object_detection/yolox_nano_416.onnx"},
                             {"text_classification/minilm_l6_banking77.onnx", {2, 7}},
                             {"llm/stories260K.onnx", {1, 9}},
                             {"llm/stories260K/model.safetensors", {1, 9}}};

class Models : public ::testing::TestWithParam<ModelCase> {};

TEST_P(Models, ComputeWhatTheReferenceComputes) {
  const fs::path path = fs::path(testing::models_dir()) / GetParam().path;
  if (!fs::exists(path)) GTEST_SKIP() << path << " is absent";
  const Graph graph = read_model(path.string());
  std::vector<Dims> dims = default_input_dims(graph, 1);
  for (Dims& extents : dims)
    if (!GetParam().first.empty()) extents = GetParam().first;
  const std::vector<Array> inputs = random_inputs(graph, dims, 3);
  const std::vector<Array> expected = run_reference(graph, inputs), found = training_library().forward(graph, inputs);
  ASSERT_EQ(expected.size(), found.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_LT(testing::relative_error(found[i], expected[i]), 1e-4) << "output " << i;
}
INSTANTIATE_TEST_SUITE_P(Shared, Models, ::testing::ValuesIn(kModels), [](const auto& which) { return fs::path(which.param.path).stem().string(); });

// Quantized graphs give the numbers that the reference gives, but for a rounding that falls the other way.
TEST(Models, QuantizedGraphsComputeWhatTheReferenceComputes) {
  Graph graph = testing::residual_network(2);
  PipelineInputs inputs;
  inputs.calibration = {4, [](int64_t i) { return std::vector<Array>{testing::random_array({2, 3, 17, 19}, uint64_t(i) + 100)}; }};
  run_recipe(graph, "quantize-static", inputs);
  const std::vector<Array> sample{testing::random_array({2, 3, 17, 19}, 5)};
  EXPECT_GT(testing::sqnr_db(training_library().forward(graph, sample)[0], run_reference(graph, sample)[0]), 35);
}

}  // namespace
}  // namespace pare
