#include "data/coco.h"

#include <filesystem>

#include "fixtures.h"

namespace pare {
namespace {

const std::string images =
    R"("images": [{"id": 7, "file_name": "a.png", "width": 6, "height": 4}, {"id": 3, "file_name": "b.png", "width": 3, "height": 3}])";
const std::string categories = R"("categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}])";

std::string coco(const std::string& annotations) {
  return "{" + images + ", " + categories + ", \"annotations\": [" + annotations + "]}";
}

TEST(Coco, ClassesFollowTheIdsOrTheGivenNames) {
  const std::string text = coco(R"({"image_id": 3, "category_id": 18, "bbox": [0, 1, 2, 0.5], "segmentation": [[1, 2]]},
    {"image_id": 3, "category_id": 1, "bbox": [1, 1, 1, 1], "iscrowd": 1})");
  const CocoFile file = parse_coco(text, {}, "x");
  EXPECT_EQ(file.classes, (std::vector<std::string>{"person", "dog"}));
  EXPECT_EQ(file.class_ids, (std::vector<int64_t>{1, 18}));
  ASSERT_EQ(file.pictures.size(), 2u);
  EXPECT_TRUE(file.pictures[0].boxes.empty());
  ASSERT_EQ(file.pictures[1].boxes.size(), 2u);
  const TrueBox& box = file.pictures[1].boxes[0];
  EXPECT_EQ(box.label, 1);
  EXPECT_EQ(box.top, 1);
  EXPECT_EQ(box.bottom, 1.5);
  EXPECT_FALSE(box.crowd);
  EXPECT_TRUE(file.pictures[1].boxes[1].crowd);
  const CocoFile named = parse_coco(text, {"cat", "dog", "person"}, "x");
  EXPECT_EQ(named.class_ids, (std::vector<int64_t>{-1, 18, 1}));
  EXPECT_EQ(named.pictures[1].boxes[1].label, 2);
}

TEST(Coco, MistakesNameTheEntry) {
  const auto error = [](const std::string& text, const std::vector<std::string>& classes = {}) {
    return error_of([&] { parse_coco(text, classes, "x.json"); });
  };
  expect_contains(error("{\"images\": ["), "not valid JSON");
  expect_contains(error("[]"), "there is no \"categories\"");
  expect_contains(error("{" + images + ", " + categories + "}"), "there is no \"annotations\"");
  expect_contains(error(coco(R"({"image_id": 8, "category_id": 1, "bbox": [0, 0, 1, 1]})")), "annotations[0]: image_id 8");
  expect_contains(error(coco(R"({"image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1]})")), "category_id 2");
  expect_contains(error(coco(R"({"image_id": 7, "category_id": 1, "bbox": [0, 0, 0, 1]})")), "can never be found");
  expect_contains(error(coco(R"({"image_id": 7, "category_id": 1, "bbox": [0, 0, 1]})")), "bbox");
  expect_contains(error(coco(R"({"image_id": 7, "category_id": 1, "bbox": [0, 0, 1, "1"]})")), "bbox");
  expect_contains(error(coco(R"({"image_id": 7.5, "category_id": 1, "bbox": [0, 0, 1, 1]})")), "whole number");
  expect_contains(error(coco(R"({"image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1]})"), {"dog"}),
                  "\"person\" is not one of the model's classes");
  std::string broken = coco("");
  broken.replace(broken.find("\"height\": 4"), 11, "\"height\": 99999999");
  expect_contains(error(broken), "images[0]");
  broken = coco("");
  broken.replace(broken.find("\"id\": 3"), 7, "\"id\": 7");
  expect_contains(error(broken), "stands twice");
}

TEST(Coco, PicturesAndTheirPlace) {
  const TemporaryFolder folder;
  folder.write("p/a.png", encode_png(plain_picture(4, 6, {10, 20, 30})));
  folder.write("p/b.png", encode_png(plain_picture(3, 3, {1, 2, 3})));
  folder.write("a.json", coco(R"({"image_id": 7, "category_id": 18, "bbox": [0, 1, 2, 2]})"));
  const std::string start =
      "task = \"detect\"\n[test]\nformat = \"coco\"\nannotations = \"a.json\"\nimages = \"p\"\n[detect]\nhead = \"yolox\"\n";
  const std::string box = "[preprocess]\nchannels = \"BGR\"\nletterbox = 12\n";
  const DataSet set = read_data_set(folder.write("d.toml", start + box));
  EXPECT_EQ(set.summary, "detect: 2 test images 3x12x12, 2 classes");
  EXPECT_EQ(set.class_ids, (std::vector<int64_t>{1, 18}));
  const Array input = set.test->get(0).inputs[0];
  EXPECT_EQ(input.values<float>()[0], 30);            // blue, top left
  EXPECT_EQ(input.values<float>()[8 * 12], 114);      // below the 8 rows of the picture
  EXPECT_EQ(input.values<float>()[7 * 12 + 11], 30);
  const Truth truth = set.test->truth(0);
  ASSERT_EQ(truth.boxes.size(), 1u);
  EXPECT_EQ(truth.width, 6);
  const Placement top = set.preprocess.placement(4, 6);
  EXPECT_EQ(top.scale_x, 2);
  EXPECT_EQ(top.offset_y, 0);
  const DataSet centred = read_data_set(folder.write(
      "d.toml", start + box + "letterbox_place = \"centre\"\nletterbox_pad = 0\n"));
  EXPECT_EQ(centred.test->get(0).inputs[0].values<float>()[0], 0);
  EXPECT_EQ(centred.test->get(0).inputs[0].values<float>()[2 * 12], 30);
  EXPECT_EQ(centred.preprocess.placement(4, 6).offset_y, 2);
  const DataSet stretched = read_data_set(folder.write("d.toml", start + "[preprocess]\nresize = [8, 24]\n"));
  EXPECT_EQ(stretched.preprocess.placement(4, 6).scale_x, 4);
  EXPECT_EQ(stretched.preprocess.placement(4, 6).scale_y, 2);

  const auto error = [&](const std::string& more) {
    return error_of([&] { read_data_set(folder.write("d.toml", start + more)).test->get(1); });
  };
  expect_contains(error("[preprocess]\nletterbox = 12\nresize = 8\n"), "in the place of resize");
  expect_contains(error("[preprocess]\nletterbox_pad = 3\n"), "there is no letterbox");
  folder.write("p/b.png", encode_png(plain_picture(3, 4, {1, 2, 3})));
  expect_contains(error(box), "the annotations say 3x3");
  std::filesystem::remove(folder / "p/b.png");
  expect_contains(error(box), "b.png, which is not in");
}

}  // namespace
}  // namespace pare
