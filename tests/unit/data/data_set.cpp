#include <set>

#include "data/reader.h"
#include "fixtures.h"

namespace pare {
namespace {

const std::string test_lines = "task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = \"a.bin\"\n";

// 50 images: image i has label i / 5 (sorted by class) and red i.
std::string sorted_by_class() {
  std::string bytes;
  for (uint8_t i = 0; i < 50; ++i) bytes += cifar_record(i / 5, i, 0, 0);
  return bytes;
}

std::vector<int> order_of(const Samples& samples) {
  std::vector<int> order;
  for (int64_t i = 0; i < samples.size(); ++i) order.push_back(int(samples.get(i).inputs[0].values<float>()[0]));
  return order;
}

TEST(DataSet, TestTakesTheFirstAndCalibrationSpreads) {
  const TemporaryFolder folder;
  folder.write("a.bin", sorted_by_class());
  const DataSet set = read_data_set(folder.write(
      "d.toml", test_lines + "limit = 3\n[calibration]\nformat = \"cifar\"\nfiles = \"a.bin\"\nlimit = 10\n"));
  EXPECT_EQ(set.summary, "classify: 3 test images 3x32x32, 10 calibration images");
  EXPECT_EQ(order_of(*set.test), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(order_of(*set.calibration), (std::vector<int>{0, 5, 10, 15, 20, 25, 30, 35, 40, 45}));  // every class once
}

TEST(DataSet, CalibrationTakes300UnlessTold) {
  const TemporaryFolder folder;
  std::string bytes;
  for (int i = 0; i < 7; ++i) bytes += sorted_by_class();
  folder.write("a.bin", bytes);
  const std::string calibration = "[calibration]\nformat = \"cifar\"\nfiles = \"a.bin\"\n";
  EXPECT_EQ(read_data_set(folder.write("d.toml", test_lines + calibration)).calibration->size(), 300);
  EXPECT_EQ(read_data_set(folder.write("d.toml", test_lines + calibration + "limit = 0\n")).calibration->size(), 350);
  EXPECT_EQ(read_data_set(folder.write("d.toml", test_lines + calibration + "limit = 9999\n")).calibration->size(),
            350);
}

TEST(DataSet, ShuffleIsARandomSubsetFixedByTheSeed) {
  const TemporaryFolder folder;
  folder.write("a.bin", sorted_by_class());
  const auto order = [&](const std::string& keys) {
    return order_of(*read_data_set(folder.write("d.toml", test_lines + keys)).test);
  };
  const std::vector<int> one = order("limit = 20\nshuffle = true\nseed = 1\n"), all = order("shuffle = true\n");
  EXPECT_EQ(one, order("limit = 20\nshuffle = true\nseed = 1\n"));
  EXPECT_NE(one, order("limit = 20\nshuffle = true\nseed = 2\n"));
  EXPECT_EQ(std::set<int>(one.begin(), one.end()).size(), 20u);
  EXPECT_EQ(std::set<int>(all.begin(), all.end()).size(), 50u);
  EXPECT_FALSE(std::is_sorted(all.begin(), all.end()));
  // The same seed must mean the same samples on every machine: the first three are part of the interface.
  EXPECT_EQ(std::vector<int>(one.begin(), one.begin() + 3), (std::vector<int>{6, 7, 23}));
}

TEST(DataSet, ClassesByNameAndByFile) {
  const TemporaryFolder folder;
  folder.write("a.bin", cifar_record(1, 0, 0, 0));
  folder.write("classes.txt", "cat\r\nblue whale\n\n");
  EXPECT_EQ(read_data_set(folder.write("d.toml", test_lines + "[classes]\nfile = \"classes.txt\"\n")).classes,
            (std::vector<std::string>{"cat", "blue whale"}));
  const DataSet set = read_data_set(folder.write("d.toml", test_lines + "[classes]\nnames = [\"a\", \"b\"]\n"));
  EXPECT_EQ(set.classes, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(set.summary, "classify: 1 test image 3x32x32, 2 classes");
}

TEST(DataSet, PathsAreRelativeToTheDescription) {
  const TemporaryFolder folder;
  folder.write("data/a.bin", cifar_record(1, 0, 0, 0));
  const std::string path =
      folder.write("sets/d.toml", "task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = \"../data/a.bin\"\n");
  EXPECT_EQ(read_data_set(path).test->size(), 1);
  EXPECT_EQ(read_data_set(folder.write("e.toml", "task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = \"" +
                                                     folder / "data/a.bin" + "\"\n"))
                .test->size(),
            1);
}

TEST(DataSet, MistakesAreNamed) {
  const std::string preprocess = test_lines + "[preprocess]\n";
  struct Case {
    std::string toml, line;
    std::vector<std::string> parts;
  };
  const Case cases[] = {
      {"task = \"clasify\"\n", "d.toml:1", {"\"clasify\" is not known", "did you mean \"classify\""}},
      {"task = classify\n", "d.toml:1", {"a data description is TOML"}},
      {"task = 3\n", "d.toml:1", {"task: expected a text in quotes, found a whole number"}},
      {"", "d.toml", {"task: missing", "classify, classify-text, compare"}},
      {"task = \"compare\"\n", "d.toml", {"test: missing"}},
      {"task = \"compare\"\ntest = 3\n", "d.toml:2", {"expected a table, found a whole number"}},
      {"tsk = 1\n" + test_lines, "d.toml:1", {"unknown key \"tsk\"", "did you mean \"task\""}},
      {test_lines + "lmit = 3\n", "d.toml:5", {"unknown key \"lmit\" in [test]", "did you mean \"limit\""}},
      {test_lines + "labels = \"x\"\n",
       "d.toml:5",
       {"unknown key \"labels\"", "known here: format, limit, shuffle, seed, files"}},
      {test_lines + "limit = \"3\"\n", "d.toml:5", {"[test] limit: expected a whole number, found a text"}},
      {test_lines + "limit = -3\n", "d.toml:5", {"-3 is outside 0"}},
      {test_lines + "shuffle = 1\n", "d.toml:5", {"expected true or false"}},
      {test_lines + "seed = 1\n", "d.toml:5", {"add shuffle = true"}},
      {"task = \"classify\"\n[test]\nformat = \"cfar\"\n", "d.toml:3", {"did you mean \"cifar\"", "idx, folder, "}},
      {"task = \"classify\"\n[test]\nfiles = \"a.bin\"\n", "d.toml:2", {"[test] format: missing"}},
      {"task = \"classify\"\n[test]\nformat = \"idx\"\n", "d.toml:2", {"[test] images: missing", "t10k-labels"}},
      {"task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = [\"none.bin\"]\n",
       "d.toml:4",
       {"[test] files: there is no file ", "/none.bin", "relative to the folder"}},
      {"task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = [3]\n", "d.toml:4", {"expected texts"}},
      {"task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = []\n", "d.toml:4", {"the list is empty"}},
      {"task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = \"short.bin\"\n",
       "d.toml:4",
       {"short.bin has 3072 bytes, expected a multiple of 3073"}},
      {"task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = \"empty.bin\"\n",
       "d.toml:4",
       {"empty.bin has 0 bytes"}},
      {"task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = \"hundred.bin\"\n",
       "d.toml:4",
       {"format = \"cifar100\""}},
      {"task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = \"label.bin\"\n",
       "label.bin image 1",
       {"label 10 is not one of the 10 classes"}},
      {preprocess + "sclae = 1\n", "d.toml:6", {"did you mean \"scale\""}},
      {preprocess + "scale = 0\n", "d.toml:6", {"every image black"}},
      {preprocess + "scale = nan\n", "d.toml:6", {"finite"}},
      {preprocess + "std = [1, 0, 1]\n", "d.toml:6", {"0 is not above 0"}},
      {preprocess + "mean = [1, 2]\n", "d.toml:5", {"[preprocess]: mean has 2 values", "has 3 channels"}},
      {preprocess + "mean = [\"a\"]\n", "d.toml:6", {"expected a number, found a text"}},
      {preprocess + "layout = \"NCWH\"\n", "d.toml:6", {"did you mean \"NCHW\""}},
      {preprocess + "channels = \"rgb\"\n", "d.toml:6", {"did you mean", "RGB, BGR, gray"}},
      {preprocess + "resize = [1, 2, 3]\n", "d.toml:6", {"the shorter side, or [height, width]"}},
      {preprocess + "resize = 0\n", "d.toml:6", {"0 is outside 1"}},
      {preprocess + "resize = 2.5\n", "d.toml:6", {"whole numbers"}},
      {preprocess + "crop = 33\n", "d.toml:5", {"smaller than 33x33"}},
      {preprocess + "resize = [65535, 65535]\n", "a.bin", {"at most"}},
      {test_lines + "[classes]\n", "d.toml:5", {"either names or file"}},
      {test_lines + "[classes]\nnames = [\"a\"]\n", "a.bin image 0", {"label 1 is not one of the 1 classes"}},
      {test_lines + "[classes]\nfile = \"empty.bin\"\n", "d.toml:6", {"is empty"}},
      {test_lines + "[classes]\nfile = \"gap.txt\"\n", "gap.txt:2", {"an empty line"}},
      {test_lines + "[latency_shape]\nx = \"1xa\"\n", "d.toml:6", {"\"1xa\" is not a shape", "1x128"}},
      {test_lines + "[latency_shape]\nx = [1, 0]\n", "d.toml:6", {"0 is outside 1"}},
      {test_lines + "[latency_shape]\nx = [2000000000, 2000000000]\n", "d.toml:6", {"absurdly large"}},
      {test_lines + "[calibration]\nformat = \"npy\"\ninputs = \"x.npy\"\n",
       "d.toml:5",
       {"(2 float32) are not of the test's kind (3x32x32)"}},
      {"task = \"compare\"\n[test]\nformat = \"npy\"\ninputs = \"x.npy\"\n[preprocess]\nscale = 2\n",
       "d.toml:5",
       {"applies to images"}},
  };
  const TemporaryFolder folder;
  folder.write("a.bin", cifar_record(1, 0, 0, 0));
  folder.write("short.bin", std::string(3072, 'x'));
  folder.write("hundred.bin", std::string(3074, '\1'));
  folder.write("empty.bin", "");
  folder.write("label.bin", cifar_record(9, 0, 0, 0) + cifar_record(10, 0, 0, 0));
  folder.write("gap.txt", "a\n\nb\n");
  write_npy(Array::of<float>({1, 2}, {1, 2}), folder / "x.npy");
  for (const Case& each : cases) {
    SCOPED_TRACE(each.toml);
    const std::string text = error_of([&] { read_data_set(folder.write("d.toml", each.toml)); });
    expect_contains(text, each.line);
    for (const std::string& part : each.parts) expect_contains(text, part);
  }
  expect_contains(error_of([&] { read_data_set(folder / "none.toml"); }), "none.toml");
}

TEST(Readers, ArePlainlyDescribed) {
  std::set<std::string_view> names;
  for (const Reader& reader : readers()) {
    EXPECT_TRUE(names.insert(reader.name).second) << reader.name;
    EXPECT_FALSE(reader.summary.empty());
    for (const std::string& key : reader.keys) expect_contains(std::string(reader.example), key + " = ");
  }
}

}  // namespace
}  // namespace pare
