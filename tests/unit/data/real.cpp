#include <filesystem>

#include "fixtures.h"

// Real data sets: skipped where they are not installed.
namespace pare {
namespace {

const std::string pictures = testing::models_dir() + "/image_classification/";
const std::string fashion = "/usr/share/datasets/fashion-mnist/";

TEST(RealCifar, IsDescribedInTheRepository) {
  if (!std::filesystem::exists(pictures)) GTEST_SKIP() << "there is no " << pictures;
  const DataSet set = read_data_set(testing::source_dir() + "/tests/models/cifar10.toml");
  EXPECT_EQ(set.summary, "classify: 1,017 test images 3x32x32, 300 calibration images, 10 classes");
  EXPECT_EQ(set.classes[3], "cat");
  std::vector<int64_t> counts(10);
  for (int64_t i = 0; i < set.calibration->size(); ++i) ++counts[size_t(set.calibration->get(i).label)];
  for (int64_t count : counts) EXPECT_GT(count, 15);
  EXPECT_EQ(set.test->get(0).label, 3);
  EXPECT_EQ(set.test->get(1016).inputs[0].dims(), (Dims{1, 3, 32, 32}));
}

TEST(RealCifar, ImagesAreThoseOfThePngFiles) {
  const std::string folder = pictures + "sample_png/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "there is no " << folder;
  const TemporaryFolder temp;
  const DataSet set = read_data_set(temp.write("d.toml", "task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = \"" +
                                                             pictures + "cifar10_test_first1017.bin\"\n"));
  int compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();  // 0003_0.png: image 3 of label 0
    const Sample sample = set.test->get(std::stoll(name.substr(0, 4)));
    EXPECT_EQ(sample.label, std::stoll(name.substr(5, 1)));
    const auto file = MappedFile::open(entry.path().string());
    const Image image = decode_image(file->bytes(), name);
    ASSERT_EQ(image.values.size(), 3072u);
    for (size_t i = 0; i < 1024; ++i)
      for (size_t c = 0; c < 3; ++c)
        ASSERT_EQ(float(image.values[i * 3 + c]), sample.inputs[0].values<float>()[c * 1024 + i]) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 20);
}

TEST(RealFashion, ReadsAsInstalled) {
  if (!std::filesystem::exists(fashion)) GTEST_SKIP() << "install dataset-fashion-mnist to run this test";
  const DataSet set = read_data_set(testing::source_dir() + "/examples/fashion/fashion.toml");
  EXPECT_EQ(set.summary, "classify: 10,000 test images 1x28x28, 300 calibration images, 10 classes");
  EXPECT_EQ(set.test->get(0).label, 9);  // the published first labels: 9 2 1 1 6
  EXPECT_EQ(set.test->get(1).label, 2);
  EXPECT_EQ(set.test->get(4).label, 6);
}

TEST(RealBanking77, TextsGiveTheGivenIds) {
  const std::string folder = testing::models_dir() + "/text_classification/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "there is no " << folder;
  const TemporaryFolder temp;
  const auto split = [&](const std::string& keys) {
    return read_data_set(temp.write("d.toml", "task = \"classify-text\"\n[classes]\nfile = \"" + folder +
                                                  "banking77_labels.txt\"\n" + keys))
        .test;
  };
  for (const std::string name : {"test", "train"}) {
    const auto texts = split("[text]\ntokenizer = \"" + folder +
                             "tokenizer.json\"\n[test]\nformat = \"csv\"\nlabel = \"category\"\nfiles = \"" + folder +
                             "banking77_" + name + ".csv\"\n");
    const auto ids =
        split("[test]\nformat = \"jsonl\"\nfiles = \"" + folder + "banking77_" + name + "_tokens.jsonl\"\n");
    ASSERT_EQ(texts->size(), name == "test" ? 3080 : 10003);
    ASSERT_EQ(texts->size(), ids->size());
    for (int64_t i = 0; i < ids->size(); ++i) {
      const Sample ours = texts->get(i), given = ids->get(i);
      ASSERT_TRUE(ours.inputs[1].same_as(given.inputs[1])) << name << " " << i;
      ASSERT_EQ(ours.label, given.label) << name << " " << i;
    }
  }
}

TEST(RealBanking77, IsDescribedInTheRepository) {
  if (!std::filesystem::exists(testing::models_dir() + "/text_classification/")) GTEST_SKIP() << "there are no texts";
  for (const char* name : {"banking77", "banking77_ids"})
    EXPECT_EQ(read_data_set(testing::source_dir() + "/tests/models/" + name + ".toml").summary,
              "classify-text: 3,080 test samples of 4 to 82 tokens, 300 calibration samples, 77 classes");
}

}  // namespace
}  // namespace pare
