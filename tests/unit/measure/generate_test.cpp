#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "formats/format.h"
#include "measure/frechet.h"
#include "measure/statistics.h"
#include "measure/tasks/task.h"
#include "support/networks.h"
#include "support/places.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

// The same vectors as tools/record_frechet.py makes.
FeatureSums vectors(int count, int n, uint32_t seed, int rank) {
  FeatureSums sums;
  uint32_t state = seed;
  for (int k = 0; k < count; ++k) {
    std::vector<float> row;
    for (int i = 0; i < n; ++i) {
      state = state * 1664525u + 1013904223u;
      row.push_back(i < rank ? float(double(state >> 8) / 16777216.0 * (1 + i % 5) + seed * 0.1) : row[size_t(i - rank)]);
    }
    sums.add(row);
  }
  return sums;
}

TEST(Frechet, AgreesWithSciPy) {
#define FRECHET(features, rank, first, second, distance) \
  EXPECT_NEAR(frechet_distance(vectors(first, features, 1, rank), vectors(second, features, 2, rank)), distance, 1e-6 * std::max(1.0, distance)) << features << " features";
#include "frechet_golden.inc"
#undef FRECHET
}

TEST(Frechet, IsZeroFromItselfAndGroupsComeAndGo) {
  const FeatureSums a = vectors(50, 8, 3, 8), b = vectors(20, 8, 4, 8);
  EXPECT_NEAR(frechet_distance(a, a), 0, 1e-6);
  FeatureSums both = a;
  both.add(b);
  EXPECT_EQ(both.count, 70);
  both.add(b, -1);
  EXPECT_EQ(both.count, 50);
  EXPECT_NEAR(frechet_distance(both, b), frechet_distance(a, b), 1e-9);
  FeatureSums other;
  other.add(std::vector<float>{1});
  EXPECT_THROW(other.add(std::vector<float>{1, 2}), Error);
}

// By hand: of 1, 2, 3, 4 the means without one are 3, 8/3, 7/3, 2; their deviation is that of the mean, s/√4.
TEST(Jackknife, OfAMeanIsItsStandardError) {
  const std::vector<double> without{3, 8.0 / 3, 7.0 / 3, 2};
  EXPECT_NEAR(jackknife_deviation(without), std::sqrt(5.0 / 3 / 4), 1e-12);
  EXPECT_NEAR(jackknife_interval(2.5, without).high - 2.5, 1.959964 * std::sqrt(5.0 / 12), 1e-9);
}

// A generator of 6x6 pictures from three numbers, a classifier with two features, and real pictures in files.
class Generated : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::Network g(3);
    const ValueId latent = g.input("latent", {1, 3});
    (*g.graph.at(latent).shape)[0] = {-1, "N"};
    const ValueId flat = g.node("Sigmoid", {g.node("Gemm", {latent, g.constant({3, 36}), g.constant({36}, 0.1f)})});
    generator_ = g.finish(g.node("Reshape", {flat, g.graph.add_constant("extents", Tensor(Array::of<int64_t>({4}, {0, 1, 6, 6})))}));
    testing::Network c(4);
    const ValueId image = c.input("image", {1, 1, 6, 6});
    (*c.graph.at(image).shape)[0] = {-1, "N"};
    const ValueId features = c.node("Gemm", {c.node("Flatten", {image}), c.constant({36, 2})});
    write_model(c.finish(c.node("Softmax", {features})), folder_ / "classifier.onnx");
    features_ = c.graph.at(features).name;
    Array real(Type::f32, {40, 1, 6, 6});
    Random random(9);
    for (float& v : real.mutable_values<float>()) v = float(random.uniform());
    real_ = real;
    write_npy(real, folder_ / "real.npy");
    std::ofstream(folder_ / "real.toml") << "task = \"compare\"\n[test]\nformat = \"npy\"\ninputs = \"real.npy\"\n";
    describe("features = \"" + features_ + "\"");
  }
  void describe(const std::string& features) {
    std::ofstream(folder_ / "data.toml") << "task = \"generate\"\n[test]\nformat = \"noise\"\nshape = [3]\ncount = 60\n"
                                         << "[generate]\nreal = \"real.toml\"\nclassifier = \"classifier.onnx\"\nrange = 1\n" << features << "\n";
  }
  Quality measure(const Graph& graph) const {
    const DataSet data = read_data_set(folder_ / "data.toml");
    MeasureOptions options;
    options.data = &data;
    options.threads = 2;
    return measure_quality(graph, graph, options);
  }
  // The features of pictures in whole steps of 1/255, as real and made ones are compared.
  FeatureSums features_of(const std::vector<Array>& pictures) const {
    Graph classifier = read_model(folder_ / "classifier.onnx");
    FeatureSums sums;
    for (const Array& picture : pictures) sums.add(run_reference(classifier, {picture}, {features_})[1].to_floats());
    return sums;
  }

  const testing::TemporaryFolder folder_;
  Graph generator_;
  Array real_;
  std::string features_;
};

TEST_F(Generated, IsJudgedByTheDistanceOfItsFeatures) {
  const DataSet data = read_data_set(folder_ / "data.toml");
  std::vector<Array> made, real;
  for (int64_t i = 0; i < 60; ++i) {
    Array picture = run_reference(generator_, data.test->get(i).inputs)[0];
    for (float& v : picture.mutable_values<float>()) v = std::nearbyint(v * 255);  // the description asks for pixels as they are
    made.push_back(picture);
  }
  for (int64_t i = 0; i < 40; ++i) {
    Array picture(Type::f32, {1, 1, 6, 6});
    std::copy_n(real_.values<float>().begin() + i * 36, 36, picture.mutable_values<float>().begin());
    real.push_back(picture);
  }
  const Quality quality = measure(generator_);
  const double expected = frechet_distance(features_of(made), features_of(real));
  EXPECT_EQ(quality.metric.name, "frechet");
  EXPECT_FALSE(quality.metric.higher_is_better);
  EXPECT_EQ(quality.metric.count, 60);
  EXPECT_NEAR(quality.metric.value, expected, 1e-3 * expected);
  EXPECT_LT(quality.metric.low, quality.metric.value);
  EXPECT_EQ(quality.without_group.size(), 25u);
}

TEST_F(Generated, ComparesModelsWithoutTheSameGroups) {
  Graph other = generator_;
  for (Value& value : other.values)
    if (value.constant && is_float(value.type) && value.constant->count() == 108) {
      Array weights = value.constant->array();
      for (float& w : weights.mutable_values<float>()) w *= 0.5f;
      value.constant = std::make_shared<const Tensor>(weights);
    }
  const Quality first = measure(generator_), second = measure(other);
  const auto same = compare_quality(first, first), test = compare_quality(second, first);
  ASSERT_TRUE(same && test);
  EXPECT_EQ(same->difference, 0);
  EXPECT_EQ(same->p_value, 1);
  EXPECT_NEAR(test->difference, second.metric.value - first.metric.value, 1e-9);
  EXPECT_LT(test->low, test->difference);
  EXPECT_EQ(test->test, "paired jackknife");
}

TEST_F(Generated, SaysWhatIsWrongWithTheDescription) {
  describe("features = \"nothing\"");
  EXPECT_THROW(measure(generator_), Error);
  describe("");
  EXPECT_THROW(measure(generator_), Error);
  Graph flat = generator_;
  flat.outputs = {flat.nodes.back().inputs[0]};
  describe("features = \"" + features_ + "\"");
  EXPECT_THROW(measure(flat), Error);
}

TEST_F(Generated, DrawsTheSameNumbersEverywhere) {
  const DataSet data = read_data_set(folder_ / "data.toml");
  EXPECT_EQ(data.test->size(), 60);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < 60; ++i)
    for (float v : data.test->get(i).inputs[0].to_floats()) {
      sum += v;
      squares += v * v;
    }
  EXPECT_NEAR(sum / 180, 0, 0.25);
  EXPECT_NEAR(squares / 180, 1, 0.35);
  EXPECT_TRUE(data.test->get(7).inputs[0].same_as(data.test->get(7).inputs[0]));
  EXPECT_FALSE(data.test->get(7).inputs[0].same_as(data.test->get(8).inputs[0]));
}

}  // namespace
}  // namespace pare
