#include "fixtures.h"

namespace pare {
namespace {

const std::string start = "task = \"restore\"\n[test]\nformat = \"pairs\"\ninputs = \"small\"\n";

TEST(Pairs, PicturesMeetByName) {
  const TemporaryFolder folder;
  folder.write("small/b.png", encode_png(plain_picture(2, 3, {10, 20, 30})));
  folder.write("small/a.jpg", encode_jpeg(plain_picture(4, 2, {50, 50, 50})));
  folder.write("large/b.png", encode_png(plain_picture(4, 6, {1, 2, 3})));
  folder.write("large/a.png", encode_png(plain_picture(8, 4, {9, 9, 9})));
  folder.write("large/c.png", encode_png(plain_picture(1, 1, {0, 0, 0})));
  const DataSet set = read_data_set(folder.write(
      "d.toml", start + "targets = \"large\"\n[calibration]\nformat = \"pairs\"\ninputs = \"small\"\n[restore]\nrange = 1\n"));
  EXPECT_EQ(set.summary, "restore: 2 test images of their own sizes, 2 calibration images");
  EXPECT_FALSE(set.fixed_size);
  ASSERT_TRUE(set.settings);
  EXPECT_EQ(set.settings->number("range", 0), 1);
  EXPECT_EQ(set.test->get(0).inputs[0].dims(), (Dims{1, 3, 4, 2}));
  EXPECT_EQ(set.test->get(1).inputs[0].dims(), (Dims{1, 3, 2, 3}));
  EXPECT_EQ(set.test->truth(1).picture.values, plain_picture(4, 6, {1, 2, 3}).values);
  EXPECT_EQ(set.test->truth(0).picture.height, 8);
  EXPECT_TRUE(set.calibration->truth(0).picture.values.empty());
}

TEST(Pairs, MistakesAreErrors) {
  const TemporaryFolder folder;
  folder.write("small/a.png", encode_png(plain_picture(2, 3, {10, 20, 30})));
  folder.write("small/b.png", encode_png(plain_picture(2, 3, {10, 20, 30})));
  folder.write("large/a.png", encode_png(plain_picture(4, 6, {1, 2, 3})));
  folder.write("empty/readme.txt", "x");
  folder.write("twice/a.png", encode_png(plain_picture(4, 6, {1, 2, 3})));
  folder.write("twice/a.jpg", encode_jpeg(plain_picture(4, 6, {1, 2, 3})));
  const auto error = [&](const std::string& text) {
    return error_of([&] { read_data_set(folder.write("d.toml", text)); });
  };
  expect_contains(error(start), "with inputs and targets");
  expect_contains(error(start + "targets = \"large\"\n"), "there is no picture called b");
  expect_contains(error(start + "targets = \"empty\"\n"), "there are no .png");
  expect_contains(error(start + "targets = \"twice\"\n"), "have the same name");
  expect_contains(error(start + "targets = \"large\"\n[preprocess]\nresize = 8\n"), "would part the pictures");
  expect_contains(error("task = \"restore\"\n[test]\nformat = \"folder\"\npath = \"small\"\n"), "format = \"pairs\"");
  expect_contains(error("task = \"classify\"\n[test]\nformat = \"pairs\"\ninputs = \"small\"\ntargets = \"small\"\n"),
                  "a format with labels");
  expect_contains(error("task = \"classify\"\n[restore]\nrange = 1\n"), "unknown key \"restore\"");
  folder.write("broken/a.png", "no picture");
  folder.write("small2/a.png", encode_png(plain_picture(2, 3, {10, 20, 30})));
  const DataSet set = read_data_set(
      folder.write("d.toml", "task = \"restore\"\n[test]\nformat = \"pairs\"\ninputs = \"small2\"\ntargets = \"broken\"\n"));
  expect_contains(error_of([&] { set.test->truth(0); }), "neither a PNG nor a JPEG");
}

}  // namespace
}  // namespace pare
