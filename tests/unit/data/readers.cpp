#include <thread>

#include "fixtures.h"

namespace pare {
namespace {

std::vector<float> pixel(const Sample& sample, int64_t y, int64_t x) {  // of NCHW
  const Array& image = sample.inputs[0];
  std::vector<float> result;
  for (int64_t c = 0; c < image.dim(1); ++c)
    result.push_back(image.values<float>()[size_t((c * image.dim(2) + y) * image.dim(3) + x)]);
  return result;
}

TEST(Cifar, FilesFollowOneAnother) {
  const TemporaryFolder folder;
  folder.write("a.bin", cifar_record(3, 1, 2, 3) + cifar_record(4, 4, 5, 6));
  folder.write("b.bin", cifar_record(9, 7, 8, 9));
  const DataSet set = read_data_set(
      folder.write("d.toml", "task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = [\"a.bin\", \"b.bin\"]\n"));
  EXPECT_EQ(set.summary, "classify: 3 test images 3x32x32");
  EXPECT_EQ(set.calibration, nullptr);
  ASSERT_EQ(set.test->size(), 3);
  for (int64_t i = 0; i < 3; ++i) {
    const Sample sample = set.test->get(i);
    EXPECT_EQ(sample.label, (std::vector<int64_t>{3, 4, 9})[size_t(i)]);
    ASSERT_EQ(sample.inputs[0].dims(), (Dims{1, 3, 32, 32}));
    const auto base = float(3 * i);
    EXPECT_EQ(pixel(sample, 31, 31), (std::vector<float>{base + 1, base + 2, base + 3}));
  }
}

TEST(Cifar, HundredClassesUseTheFineLabel) {
  const TemporaryFolder folder;
  folder.write("a.bin", "\x05" + cifar_record(73, 1, 2, 3));
  const DataSet set =
      read_data_set(folder.write("d.toml", "task = \"classify\"\n[test]\nformat = \"cifar100\"\nfiles = \"a.bin\"\n"));
  EXPECT_EQ(set.test->get(0).label, 73);
  EXPECT_EQ(pixel(set.test->get(0), 0, 0), (std::vector<float>{1, 2, 3}));
}

TEST(Preprocess, ScaleMeanStdLayoutChannels) {
  const TemporaryFolder folder;
  folder.write("a.bin", cifar_record(0, 255, 51, 0));
  const std::string start = "task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = \"a.bin\"\n[preprocess]\n";
  const auto values = [&](const std::string& keys) {
    const Sample sample = read_data_set(folder.write("d.toml", start + keys)).test->get(0);
    return sample.inputs[0];
  };
  const std::string norm = "scale = 0.00392156862745098\nmean = [0.5, 0.2, 0.25]\nstd = [0.25, 1, 2]\n";
  const Array plain = values(norm), last = values(norm + "layout = \"NHWC\"\n"),
              swapped = values(norm + "channels = \"BGR\"\n");
  EXPECT_FLOAT_EQ(plain.values<float>()[0], 2.0f);
  EXPECT_NEAR(plain.values<float>()[1024], 0.0f, 1e-7);
  EXPECT_FLOAT_EQ(plain.values<float>()[2048], -0.125f);
  EXPECT_EQ(last.dims(), (Dims{1, 32, 32, 3}));
  EXPECT_FLOAT_EQ(last.values<float>()[3 * 500], 2.0f);
  EXPECT_FLOAT_EQ(last.values<float>()[3 * 500 + 2], -0.125f);
  EXPECT_FLOAT_EQ(swapped.values<float>()[0], -2.0f);      // blue 0, by the first mean and std
  EXPECT_FLOAT_EQ(swapped.values<float>()[2048], 0.375f);  // red 1
  const Array gray = values("channels = \"gray\"\nresize = [16, 8]\n");
  EXPECT_EQ(gray.dims(), (Dims{1, 1, 16, 8}));
  EXPECT_EQ(gray.values<float>()[5], 106.0f);  // 0.299 * 255 + 0.587 * 51
}

TEST(Idx, PlainAndCompressedGiveTheSame) {
  const TemporaryFolder folder;
  const std::string images = idx_bytes({3, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}),
                    labels = idx_bytes({3}, {2, 0, 1});
  folder.write("i", images), folder.write("l", labels), folder.write("i.gz", gzip(images));
  folder.write("l.gz", gzip(labels.substr(0, 9)) + gzip(labels.substr(9)));  // gzip files joined end to end are one
  for (const std::string& end : {std::string(), std::string(".gz")}) {
    const DataSet set =
        read_data_set(folder.write("d.toml", "task = \"classify\"\n[test]\nformat = \"idx\"\nimages = \"i" + end +
                                                 "\"\nlabels = \"l" + end + "\"\n"));
    EXPECT_EQ(set.summary, "classify: 3 test images 1x2x2");
    const Sample sample = set.test->get(1);
    EXPECT_EQ(sample.label, 0);
    EXPECT_TRUE(sample.inputs[0].same_as(Array::of<float>({1, 1, 2, 2}, {5, 6, 7, 8})));
  }
}

TEST(Idx, BrokenFilesAreErrors) {
  const std::string good = idx_bytes({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  std::string damaged = gzip(good);
  damaged[damaged.size() - 6] = char(damaged[damaged.size() - 6] ^ 1);  // the checksum
  std::string floats = good;
  floats[2] = 0x0d;
  const std::pair<std::string, std::string> cases[] = {
      {"", "ends within its header"},
      {good.substr(0, 10), "ends within its header"},
      {good.substr(0, 20), "promises 8 bytes of elements, the file holds 4"},
      {good + "x", "the file holds 9"},
      {"hello world", "not an IDX file: it starts with 68 65 6c 6c"},
      {floats, "type 0x0d"},
      {idx_bytes({2, 2, 2, 2, 2}, ""), "1 to 4 axes"},
      {idx_bytes({0xffffffff, 0xffffffff, 0xffffffff}, ""), "absurdly large"},
      {idx_bytes({60000, 28, 28}, "12345678"), "promises 47040000 bytes"},
      {gzip(idx_bytes({60000, 2800, 28}, "12345678")), "compressed"},
      {gzip(good.substr(0, 20)), "the file holds 4"},
      {gzip(good + "x"), "the file holds more"},
      {gzip(good).substr(0, 25), "ends too early"},
      {damaged, "damaged"},
      {idx_bytes({8}, "12345678"), "this looks like the file of labels"},
      {idx_bytes({3, 1, 1}, "123"), "expected 3 labels"},
  };
  const TemporaryFolder folder;
  folder.write("l", idx_bytes({2}, {1, 1}));
  const std::string set =
      folder.write("d.toml", "task = \"classify\"\n[test]\nformat = \"idx\"\nimages = \"i\"\nlabels = \"l\"\n");
  for (const auto& [bytes, message] : cases) {
    folder.write("i", bytes);
    expect_contains(error_of([&] { read_data_set(set); }), message);
  }
}

TEST(Folder, AFolderAClass) {
  const TemporaryFolder folder;
  folder.write("images/dog/b.PNG", encode_png(plain_picture(4, 6, {10, 20, 30})));
  folder.write("images/dog/a.jpeg", encode_jpeg(plain_picture(4, 6, {50, 50, 50})));
  folder.write("images/cat/gray.png", encode_png(plain_picture(4, 6, {40})));
  folder.write("images/cat/.hidden.png", "no image");
  folder.write("images/cat/notes.txt", "no image");
  const std::string start = "task = \"classify\"\n[test]\nformat = \"folder\"\npath = \"images\"\n";
  const DataSet set = read_data_set(folder.write("d.toml", start));
  EXPECT_EQ(set.summary, "classify: 3 test images of their own sizes, 2 classes");
  EXPECT_EQ(set.classes, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(set.test->get(0).label, 0);
  EXPECT_EQ(pixel(set.test->get(0), 0, 0), (std::vector<float>{40, 40, 40}));  // gray becomes three channels
  EXPECT_EQ(set.test->get(2).label, 1);
  EXPECT_EQ(pixel(set.test->get(2), 3, 5), (std::vector<float>{10, 20, 30}));
  const DataSet named = read_data_set(folder.write(
      "d.toml",
      start + "[classes]\nnames = [\"dog\", \"cow\", \"cat\"]\n[preprocess]\nresize = [8, 8]\ncrop = [6, 4]\n"));
  EXPECT_EQ(named.summary, "classify: 3 test images 3x6x4, 3 classes");
  EXPECT_EQ(named.test->get(0).label, 2);
}

TEST(Folder, NumbersAreClassIndices) {
  const TemporaryFolder folder;
  for (const char* name : {"0", "2", "10"})
    folder.write(std::string("images/") + name + "/x.png", encode_png(plain_picture(2, 2, {1})));
  const DataSet set =
      read_data_set(folder.write("d.toml", "task = \"classify\"\n[test]\nformat = \"folder\"\npath = \"images\"\n"));
  EXPECT_EQ(set.classes.size(), 11u);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 3; ++i) labels.push_back(set.test->get(i).label);
  EXPECT_EQ(labels, (std::vector<int64_t>{0, 10, 2}));
}

TEST(Folder, ShorterSideAndCrop) {
  const TemporaryFolder folder;
  folder.write("images/a/wide.png", encode_png(make_picture(10, 25, 3)));
  folder.write("images/a/tall.png", encode_png(make_picture(25, 10, 3)));
  const std::string start = "task = \"compare\"\n[test]\nformat = \"folder\"\npath = \"images\"\n[preprocess]\n";
  const DataSet set = read_data_set(folder.write("d.toml", start + "resize = 7\n"));
  EXPECT_EQ(set.test->get(0).inputs[0].dims(), (Dims{1, 3, 17, 7}));  // 7 * 25 / 10 cut off
  EXPECT_EQ(set.test->get(1).inputs[0].dims(), (Dims{1, 3, 7, 17}));
  EXPECT_EQ(read_data_set(folder.write("d.toml", start + "resize = 7\ncrop = 5\n")).test->get(1).inputs[0].dims(),
            (Dims{1, 3, 5, 5}));
  expect_contains(error_of([&] { read_data_set(folder.write("d.toml", start + "crop = 20\n")); }),
                  "add resize = 20 or more");
}

TEST(Folder, BrokenFoldersAreErrors) {
  const TemporaryFolder folder;
  const std::string image = encode_png(plain_picture(2, 2, {1}));
  const auto text = [&](const std::string& path, const std::string& more = "") {
    return error_of([&] {
      read_data_set(
          folder.write("d.toml", "task = \"classify\"\n[test]\nformat = \"folder\"\npath = \"" + path + "\"\n" + more));
    });
  };
  expect_contains(text("none"), "there is no folder " + folder / "none");
  expect_contains(text("d.toml"), "expected a folder");
  folder.write("flat/x.png", image);
  expect_contains(text("flat"), "expected one a class");
  folder.write("mixed/x.png", image), folder.write("mixed/a/x.png", image);
  expect_contains(text("mixed"), "side by side");
  folder.write("webp/a/x.webp", image);
  expect_contains(text("webp"), ".webp images are not read");
  folder.write("empty/a/readme", "");
  expect_contains(text("empty"), "there are no .png");
  folder.write("good/dogs/x.png", image);
  expect_contains(text("good", "[classes]\nnames = [\"cat\", \"dog\"]\n"), "the nearest is \"dog\"");
  expect_contains(text("good", "[classes]\nnames = [\"dogs\", \"dogs\"]\n"), "two classes are called");
  folder.write("twice/1/x.png", image), folder.write("twice/01/x.png", image);
  expect_contains(text("twice"), "both number 1");
  folder.write("broken/a/x.png", "hello");
  expect_contains(text("broken"), "neither a PNG nor a JPEG");
}

TEST(NpyReader, RowsLabelsAndNames) {
  const TemporaryFolder folder;
  write_npy(Array::of<float>({2, 3}, {1, 2, 3, 4, 5, 6}), folder / "x.npy");
  write_npy(Array::of<int64_t>({2, 2}, {1, 2, 3, 4}), folder / "ids.npy");
  folder.write("y.npz", zip_bytes({{"y.npy", npy_bytes(npy_header("<i4", "(2, 1)"), bytes_of_values<int32_t>({5, 6}))},
                                   {"z.npy", "?"}}));
  const DataSet set = read_data_set(folder.write("d.toml",
                                                 "task = \"classify\"\n[test]\nformat = \"npy\"\ninputs = { mask = "
                                                 "\"ids.npy\", x = \"x.npy\" }\nlabels = \"y.npz:y\"\n"
                                                 "[latency_shape]\nx = \"1x128\"\nmask = [1, 2]\n"));
  EXPECT_EQ(set.summary, "classify: 2 test samples 2 int64 + 3 float32");
  EXPECT_EQ(set.input_names, (std::vector<std::string>{"mask", "x"}));
  EXPECT_EQ(set.latency_shapes, (std::map<std::string, Dims>{{"mask", {1, 2}}, {"x", {1, 128}}}));
  const Sample sample = set.test->get(1);
  EXPECT_EQ(sample.label, 6);
  EXPECT_TRUE(sample.inputs[0].same_as(Array::of<int64_t>({1, 2}, {3, 4})));
  EXPECT_TRUE(sample.inputs[1].same_as(Array::of<float>({1, 3}, {4, 5, 6})));
  const DataSet listed = read_data_set(
      folder.write("d.toml", "task = \"compare\"\n[test]\nformat = \"npy\"\ninputs = [\"x.npy\", \"ids.npy\"]\n"));
  EXPECT_TRUE(listed.input_names.empty());
  EXPECT_EQ(listed.test->get(0).label, -1);
  EXPECT_EQ(listed.summary, "compare: 2 test samples 3 float32 + 2 int64");
}

TEST(NpyReader, WhatDoesNotFitIsAnError) {
  const TemporaryFolder folder;
  write_npy(Array::of<float>({2, 3}, {1, 2, 3, 4, 5, 6}), folder / "x.npy");
  write_npy(Array::of<float>({3, 1}, {1, 2, 3}), folder / "three.npy");
  write_npy(Array::scalar<float>(1), folder / "scalar.npy");
  write_npy(Array::of<int64_t>({2}, {0, -1}), folder / "negative.npy");
  write_npy(Array(Type::f32, {0, 3}), folder / "none.npy");
  const auto text = [&](const std::string& keys) {
    return error_of(
        [&] { read_data_set(folder.write("d.toml", "task = \"classify\"\n[test]\nformat = \"npy\"\n" + keys)); });
  };
  expect_contains(text("inputs = \"x.npy\"\n"), "[test] labels: missing");
  expect_contains(text("inputs = \"x.npy\"\nlabels = \"x.npy\"\n"), "expected whole numbers, found float32");
  expect_contains(text("inputs = \"x.npy\"\nlabels = \"negative.npy\"\n"), "label -1 is not one of");
  expect_contains(text("inputs = \"three.npy\"\nlabels = \"negative.npy\"\n"), "expected 3 labels");
  expect_contains(text("inputs = [\"x.npy\", \"three.npy\"]\n"), "array 1 has 3 samples, array 0 has 2");
  expect_contains(text("inputs = \"scalar.npy\"\n"), "a single number");
  expect_contains(text("inputs = \"gone.npz:x\"\n"), "there is no file " + folder / "gone.npz");
  expect_contains(
      error_of([&] {
        read_data_set(folder.write("d.toml", "task = \"compare\"\n[test]\nformat = \"npy\"\ninputs = \"none.npy\"\n"));
      }),
      "not a single sample");
}

TEST(Samples, AreReadFromSeveralThreads) {
  const TemporaryFolder folder;
  for (int i = 0; i < 8; ++i)
    folder.write("images/a/" + std::to_string(i) + ".png", encode_png(plain_picture(20, 20, {uint8_t(i)})));
  const DataSet set =
      read_data_set(folder.write("d.toml", "task = \"compare\"\n[test]\nformat = \"folder\"\npath = \"images\"\n"));
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < 40; ++i) wrong[t] += set.test->get(i % 8).inputs[0].values<float>()[7] != float(i % 8);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

}  // namespace
}  // namespace pare
