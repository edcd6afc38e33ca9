#include "measure/exhibit.h"

#include <gtest/gtest.h>

#include "support/places.h"

namespace pare {
namespace {

const std::vector<TrueBox> scene = {{8, 8, 24, 24, 1, false}, {30, 4, 46, 12, 0, false}, {0, 0, 48, 30, 0, true}};

// One picture of 48x32 pixels, letterboxed into 24x16 of the input's 24x24.
class Scene : public Samples {
 public:
  explicit Scene(std::string file) : file_(std::move(file)) {}
  int64_t size() const override { return 1; }
  Sample get(int64_t) const override { return {{Array(Type::f32, {1, 3, 24, 24})}, -1}; }
  Truth truth(int64_t) const override { return {file_, {}, scene, 32, 48}; }

 private:
  std::string file_;
};

class Boxes : public ::testing::Test {
 protected:
  Boxes() {
    const std::string photo = folder_.write("a.png", encode_png({32, 48, 3, std::vector<uint8_t>(32 * 48 * 3, 200)}));
    data_.path = "test.toml";
    data_.task = "detect";
    data_.classes = {"cat", "dog"};
    data_.preprocess.letterbox = {24, 24};
    data_.settings = *Section::read(folder_.write("d.toml", "[detect]\nhead = \"boxes\"\n")).section("detect");
    data_.test = std::make_shared<Scene>(photo);
  }

  // Boxes in the pixels of the model's input, half the picture's.
  void see(Exhibit& exhibit, size_t row, const std::vector<float>& boxes, const std::vector<float>& scores,
           const std::vector<int64_t>& labels) const {
    const auto n = int64_t(scores.size());
    const std::vector<Array> outputs = {Array::of<float>({n, 4}, boxes), Array::of<float>({n}, scores),
                                        Array::of<int64_t>({n}, labels)},
                             inputs = data_.test->get(0).inputs;
    const std::vector<std::string> names(3, "x");
    const int64_t sample = 0;
    exhibit.see(row, {{}, outputs, {}, false, {&sample, 1}, inputs, names});
  }

  testing::TemporaryFolder folder_;
  DataSet data_;
};

TEST_F(Boxes, RightAndWrongOnesInThePhotosPixels) {
  const auto exhibit = find_task("detect").exhibit(data_, 0);
  EXPECT_LT(exhibit->difference(), 0) << "nobody answered yet";
  see(*exhibit, 0, {4, 4, 12, 12, 15, 2, 23, 6}, {0.9f, 0.8f}, {1, 0});
  see(*exhibit, 2, {4, 4, 12, 12, 15, 2, 23, 6, 2, 10, 6, 14}, {0.9f, 0.2f, 0.75f}, {1, 0, 1});
  EXPECT_NEAR(exhibit->difference(), 2 + 0.03, 1e-12) << "a cat less, a dog more; three true boxes";
  const Example example = exhibit->show();
  EXPECT_EQ(example.title, "a.png");
  EXPECT_EQ(example.photo_width, 48);
  EXPECT_EQ(example.photo_height, 32);
  EXPECT_TRUE(example.photo.starts_with("/9j/")) << "a JPEG file begins with ff d8 ff";
  ASSERT_EQ(example.pictures.size(), 3u);
  EXPECT_EQ(example.pictures[0].row, -1);
  EXPECT_EQ(example.pictures[0].boxes.size(), scene.size());
  EXPECT_EQ(example.pictures[1].caption, "2 of 2 found, 0 wrong") << "a crowd need not be found";
  const ExamplePicture& small = example.pictures[2];
  EXPECT_EQ(small.row, 2);
  EXPECT_EQ(small.caption, "1 of 2 found, 1 wrong");
  ASSERT_EQ(small.boxes.size(), 2u) << "a score of 0.2 is not shown";
  EXPECT_EQ(small.boxes[0].text, "dog 0.90");
  EXPECT_EQ(small.boxes[0].kind, "right");
  EXPECT_EQ(small.boxes[1].kind, "wrong");
  EXPECT_EQ(small.boxes[0].left, 8);
  EXPECT_EQ(small.boxes[0].bottom, 24);
}

TEST_F(Boxes, LargePhotosAreMadeSmallWithTheirBoxes) {
  folder_.write("a.png", encode_png({640, 960, 3, std::vector<uint8_t>(640 * 960 * 3, 90)}));
  const auto exhibit = find_task("detect").exhibit(data_, 0);
  see(*exhibit, 0, {4, 4, 12, 12}, {0.9f}, {1});
  const Example example = exhibit->show();
  EXPECT_EQ(example.photo_width, 480);
  EXPECT_EQ(example.photo_height, 320);
  EXPECT_EQ(example.pictures[1].boxes.at(0).left, 4) << "half of the picture's 8 pixels";
}

// A picture of one pixel, the output's number.
Image pixel(const DataSet&, const JudgedBatch& batch) {
  return {1, 1, 1, {uint8_t(batch.outputs[0].values<float>()[0])}};
}

TEST(Sheet, PicturesStandInRowsByModel) {
  const DataSet data;
  const auto exhibit = sheet_exhibit(data, pixel);
  for (size_t row : {0, 2})
    for (int64_t i = 0; i < 5; ++i) {
      const std::vector<Array> outputs = {Array::of<float>({1}, {float(10 * i + 100 * int64_t(row == 2))})};
      exhibit->see(row, {{}, outputs});
      if (row == 0) {
        EXPECT_LT(exhibit->difference(), 0) << "nothing to compare";
      }
    }
  EXPECT_GE(exhibit->difference(), 0);
  const Example example = exhibit->show();
  ASSERT_EQ(example.pictures.size(), 2u);
  EXPECT_EQ(example.pictures[1].row, 2);
  EXPECT_EQ(example.pictures[0].png, base64_of(encode_png({2, 3, 1, {0, 10, 20, 30, 40, 0}})));
  EXPECT_EQ(example.pictures[1].png, base64_of(encode_png({2, 3, 1, {100, 110, 120, 130, 140, 0}})));
}

}  // namespace
}  // namespace pare
