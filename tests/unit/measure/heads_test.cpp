#include <gtest/gtest.h>

#include <cmath>

#include "base/files.h"
#include "measure/heads/head.h"
#include "measure/tasks/task.h"
#include "support/places.h"

namespace pare {
namespace {

Section settings_of(const std::string& text) {
  const testing::TemporaryFolder folder;
  return *Section::read(folder.write("settings.toml", "[detect]\n" + text)).section("detect");
}

struct Named {
  std::string name;
  Array array;
};

struct Found {
  Detection box;
  std::vector<float> scores;
};

std::vector<Found> decode(const std::string& toml, const std::vector<Named>& outputs, const HeadInput& input) {
  const Section settings = settings_of(toml);
  std::vector<std::string> names, kinds;
  std::vector<Array> arrays;
  for (const Named& output : outputs) names.push_back(output.name), arrays.push_back(output.array);
  for (const HeadKind* kind : heads()) kinds.emplace_back(kind->name);
  std::vector<Found> found;
  heads()[settings.choice("head", kinds)]->make(settings)->decode(
      {arrays, names, settings}, input, [&](const Detection& box, std::span<const float> scores) {
        found.push_back({box, {scores.begin(), scores.end()}});
      });
  return found;
}

std::string error_of(const std::string& toml, const std::vector<Named>& outputs, const HeadInput& input) {
  try {
    decode(toml, outputs, input);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_box(const Found& found, double left, double top, double right, double bottom) {
  EXPECT_NEAR(found.box.left, left, 1e-4);
  EXPECT_NEAR(found.box.top, top, 1e-4);
  EXPECT_NEAR(found.box.right, right, 1e-4);
  EXPECT_NEAR(found.box.bottom, bottom, 1e-4);
}

Array transposed(const Array& rows) {  // 1xNxK → 1xKxN
  Array result(Type::f32, {1, rows.dim(2), rows.dim(1)});
  for (int64_t i = 0; i < rows.dim(1); ++i)
    for (int64_t k = 0; k < rows.dim(2); ++k)
      result.mutable_values<float>()[size_t(k * rows.dim(1) + i)] = rows.values<float>()[size_t(i * rows.dim(2) + k)];
  return result;
}

constexpr HeadInput small{16, 24, 2};  // cells of stride 8: 2 rows of 3

TEST(Heads, YoloxRawRowsAreRelativeToTheirCell) {
  Array rows(Type::f32, {1, 6, 7});
  float* cell = rows.mutable_values<float>().data() + 5 * 7;  // column 2, row 1
  const float values[7] = {0.5f, 0.25f, std::log(2.0f), std::log(0.5f), 0.5f, 0.25f, 1};
  std::copy_n(values, 7, cell);
  const std::string toml = "head = \"yolox\"\nstrides = 8\n";
  for (const Array& array : {rows, transposed(rows)}) {
    const auto found = decode(toml, {{"other", Array(Type::f32, {1, 5})}, {"out", array}}, small);
    ASSERT_EQ(found.size(), 6u);
    expect_box(found[5], 20 - 8, 10 - 2, 20 + 8, 10 + 2);
    EXPECT_EQ(found[5].box.score, 0.5f);
    EXPECT_EQ(found[5].scores, (std::vector<float>{0.25f, 1}));
    expect_box(found[1], 8 - 4, -4, 8 + 4, 4);
  }
  const auto decoded = decode(toml + "decoded = true\nsigmoid = true\n", {{"out", rows}}, small);
  expect_box(decoded[5], 0.5 - std::log(2) / 2, 0.25 + std::log(2) / 2, 0.5 + std::log(2) / 2, 0.25 - std::log(2) / 2);
  EXPECT_NEAR(decoded[5].scores[1], 1 / (1 + std::exp(-1.0)), 1e-6);
}

TEST(Heads, LevelsMayBeOutputsOfTheirOwnInAnyOrder) {
  Array fine(Type::f32, {1, 7, 2, 3}), coarse(Type::f32, {1, 7, 1, 2});  // strides 8 and 16
  fine.mutable_values<float>()[5] = 1;    // x of the last cell
  coarse.mutable_values<float>()[1] = 1;  // x of the second cell
  const auto found = decode("head = \"yolox\"\nstrides = [8, 16]\n", {{"b", coarse}, {"a", fine}}, small);
  ASSERT_EQ(found.size(), 8u);
  expect_box(found[5], 24 - 4, 8 - 4, 24 + 4, 8 + 4);
  expect_box(found[7], 32 - 8, -8, 32 + 8, 8);
}

TEST(Heads, Yolov5AndYolov8) {
  const Array five = Array::of<float>({1, 2, 7}, {10, 8, 4, 2, 0.5f, 0.1f, 0.9f, 1, 1, 2, 2, 1, 0, 0});
  const auto boxes = decode("head = \"yolov5\"\n", {{"out", five}}, small);
  ASSERT_EQ(boxes.size(), 2u);
  expect_box(boxes[0], 8, 7, 12, 9);
  EXPECT_EQ(boxes[0].box.score, 0.5f);
  const Array eight = transposed(Array::of<float>({1, 3, 6}, {0.5f, 0.5f, 0.5f, 0.25f, 0.1f, 0.9f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  const auto columns = decode("head = \"yolov8\"\nnormalized = true\n", {{"out", eight}}, small);
  ASSERT_EQ(columns.size(), 3u);
  expect_box(columns[0], 6, 6, 18, 10);
  EXPECT_EQ(columns[0].box.score, 1);
  EXPECT_EQ(columns[0].scores, (std::vector<float>{0.1f, 0.9f}));
}

TEST(Heads, SsdCornersPriorsAndGrids) {
  const Array scores = Array::of<float>({1, 2, 2}, {0, 0, 0, std::log(3.0f)});
  const Array corners = Array::of<float>({1, 2, 4}, {0, 0, 0.5f, 1, 0.25f, 0.5f, 1, 1});
  const auto found = decode("head = \"ssd\"\nactivation = \"softmax\"\n", {{"s", scores}, {"b", corners}}, small);
  ASSERT_EQ(found.size(), 2u);
  expect_box(found[0], 0, 0, 12, 16);
  EXPECT_NEAR(found[1].scores[1], 0.75, 1e-6);
  // One cell of stride 32, priors of 8 and 16 pixels around (16, 16).
  const Array offsets = Array::of<float>({1, 2, 4}, {0, 0, 0, 0, 5, 0, std::log(2.0f) * 5, 0});
  const auto grid = decode("head = \"ssd\"\nstrides = 32\nprior_sizes = [8, 16]\n",
                           {{"b", offsets}, {"s", scores}, {"landmarks", Array(Type::f32, {1, 2, 10})}}, {16, 24, 2});
  expect_box(grid[0], 12, 12, 20, 20);
  expect_box(grid[1], 16 + 8 - 16, 8, 16 + 8 + 16, 24);
}

TEST(Heads, DistancesAreMeansOfTheirDistributions) {
  Array rows(Type::f32, {1, 6, 2 + 8});  // 2 bins: the distance is the share of the second
  float* cell = rows.mutable_values<float>().data() + 4 * 10;
  const float values[10] = {0.2f, 0.8f, 0, 0, 0, 100, 100, 0, 0, std::log(3.0f)};
  std::copy_n(values, 10, cell);
  const std::string toml = "head = \"distances\"\nstrides = 8\nbins = 2\n";
  const auto found = decode(toml, {{"out", rows}}, small);
  ASSERT_EQ(found.size(), 6u);
  expect_box(found[4], 12 - 4, 12 - 8, 12, 12 + 6);
  EXPECT_EQ(found[4].scores, (std::vector<float>{0.2f, 0.8f}));
  // Plain distances, scores apart, two boxes a cell, from the cell's corner.
  Array boxes(Type::f32, {12, 4}), scores(Type::f32, {12, 2});
  boxes.mutable_values<float>()[11 * 4 + 2] = 1.5f;
  const auto plain = decode("head = \"distances\"\nstrides = 8\nbins = 1\nboxes_a_cell = 2\npoint = 0\n",
                            {{"s", scores}, {"b", boxes}}, small);
  ASSERT_EQ(plain.size(), 12u);
  expect_box(plain[11], 16, 8, 28, 8);
}

TEST(Heads, FinalBoxes) {
  const Array boxes = Array::of<float>({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}), scores = Array::of<float>({2}, {0.5f, 0.25f}),
              labels = Array::of<int64_t>({2}, {7, 0});
  const auto found = decode("head = \"boxes\"\n", {{"l", labels}, {"s", scores}, {"b", boxes}}, small);
  ASSERT_EQ(found.size(), 2u);
  expect_box(found[1], 5, 6, 7, 8);
  EXPECT_EQ(found[0].box.label, 7);
  EXPECT_EQ(found[1].box.score, 0.25f);
  EXPECT_TRUE(found[0].scores.empty());
  const Array classes = Array::of<float>({1, 2}, {3, 1}), flat = Array::of<float>({1, 2}, {0.5f, 0.25f});
  const std::vector<Named> floats = {{"detection_classes", classes}, {"detection_scores", flat},
                                     {"detection_boxes", boxes.reshaped({1, 2, 4})}};
  const std::string names = "outputs = { labels = \"detection_classes\", scores = \"detection_scores\" }\n";
  EXPECT_NE(error_of("head = \"boxes\"\n", floats, small), "") << "classes and scores look the same";
  EXPECT_EQ(decode("head = \"boxes\"\nform = \"yxyx\"\n" + names, floats, small)[0].box.label, 3);
  const Array table = Array::of<float>({1, 1, 1, 7}, {0, 5, 0.5f, 0.25f, 0.5f, 0.75f, 1});
  const auto columns = decode("head = \"boxes\"\nnormalized = true\ncolumns = [\"-\", \"label\", \"score\", \"box\"]\n",
                              {{"out", table}}, small);
  ASSERT_EQ(columns.size(), 1u);
  EXPECT_EQ(columns[0].box.label, 5);
  expect_box(columns[0], 6, 8, 18, 16);
  EXPECT_TRUE(decode("head = \"boxes\"\n", {{"b", Array(Type::f32, {0, 4})}, {"s", Array(Type::f32, {0})},
                                            {"l", Array(Type::i64, {0})}}, small).empty());
}

TEST(Heads, MistakesNameTheOutputs) {
  const std::vector<Named> outputs = {{"first", Array(Type::f32, {1, 6, 9})}, {"second", Array(Type::f32, {1, 6, 9})}};
  const std::string none = error_of("head = \"yolov5\"\n", outputs, small);
  EXPECT_NE(none.find("first 1x6x9, second 1x6x9"), std::string::npos) << none;
  EXPECT_NE(error_of("head = \"yolov5\"\n", outputs, {16, 24, 4}).find("several outputs"), std::string::npos);
  EXPECT_EQ(decode("head = \"yolov5\"\noutputs = { rows = \"second\" }\n", outputs, {16, 24, 4}).size(), 6u);
  EXPECT_NE(error_of("head = \"yolov5\"\noutputs = { rows = \"third\" }\n", outputs, {16, 24, 4}).find("third"),
            std::string::npos);
  for (const char* head : {"yolox", "ssd", "distances", "boxes", "yolov8"})
    EXPECT_NE(error_of("head = \"" + std::string(head) + "\"\n", outputs, small), "") << head;
}

// One picture of 48x32 pixels, letterboxed into 24x16 of the input's 24x24.
class OneScene : public Samples {
 public:
  int64_t size() const override { return 1; }
  Sample get(int64_t) const override { return {{Array(Type::f32, {1, 3, 24, 24})}, -1}; }
  Truth truth(int64_t) const override {
    Truth truth;
    truth.height = 32;
    truth.width = 48;
    truth.boxes = {{8, 8, 24, 24, 1, false}};
    return truth;
  }
};

double judged_map(const std::string& toml, const std::vector<Array>& outputs) {
  DataSet data;
  data.path = "test.toml";
  data.task = "detect";
  data.classes = {"cat", "dog"};
  data.class_ids = {3, 17};
  data.test = std::make_shared<OneScene>();
  data.preprocess.letterbox = {24, 24};
  data.settings = settings_of(toml);
  const auto judge = find_task("detect").start(data, 1);
  const std::vector<int64_t> labels = {-1}, samples = {0};
  const std::vector<Array> inputs = data.test->get(0).inputs;
  const std::vector<std::string> names(outputs.size(), "x");
  judge->see({labels, outputs, {}, false, samples, inputs, names});
  const Quality quality = judge->finish();
  EXPECT_EQ(quality.metric.name, "map");
  EXPECT_EQ(quality.more.at(0).name, "map50");
  return quality.metric.value;
}

TEST(Detect, BoxesAreJudgedInThePicturesPixels) {
  const auto boxes = [](int64_t label) {
    return std::vector<Array>{Array::of<float>({1, 4}, {4, 4, 12, 12}), Array::of<float>({1}, {0.5f}),
                              Array::of<int64_t>({1}, {label})};
  };
  const std::string head = "head = \"boxes\"\n";
  EXPECT_NEAR(judged_map(head, boxes(1)), 1, 1e-12);
  EXPECT_EQ(judged_map(head, boxes(0)), 0);
  EXPECT_NEAR(judged_map(head + "labels = \"id\"\n", boxes(17)), 1, 1e-12);
  EXPECT_EQ(judged_map(head + "labels = \"id\"\n", boxes(4)), 0);
  EXPECT_NEAR(judged_map(head + "background = \"first\"\n", boxes(2)), 1, 1e-12);
  EXPECT_THROW(judged_map(head, boxes(2)), Error);
  EXPECT_EQ(judged_map(head + "score_threshold = 0.6\n", boxes(1)), 0);
  EXPECT_THROW(judged_map("head = \"boxes\"\nstrides = 8\n", boxes(1)), Error) << "not a key of this head";
  const std::vector<Array> ssd = {Array::of<float>({1, 1, 4}, {4 / 24.f, 4 / 24.f, 12 / 24.f, 12 / 24.f}),
                                  Array::of<float>({1, 1, 3}, {0.9f, 0, 0.3f})};
  EXPECT_NEAR(judged_map("head = \"ssd\"\nbackground = \"first\"\n", ssd), 1, 1e-12);
}

}  // namespace
}  // namespace pare
