// Texts of different lengths: batches are filled up, and the results are those of one text at a time.
#include <gtest/gtest.h>

#include "measure/measure.h"

namespace pare {
namespace {

// The mean of the tokens' embeddings, those the mask leaves out not counted, is the score of four classes. `tokens`:
// the second extent of the inputs. Without the mask, filling up would change the mean.
Graph text_classifier(const std::string& tokens, bool masked) {
  std::string rows;
  for (int i = 0; i < 40; ++i) rows += (i ? ", " : "") + std::to_string((i * 7919 + 13) % 101 - 50) + ".0";
  std::string text =
      "graph \"bag\" ir 8 opset 13\n"
      "input ids: int64 Nx" +
      tokens + "\n" + (masked ? "input mask: int64 Nx" + tokens + "\n" : "") + "const table: float32 10x4 [" + rows +
      "]\nconst ax: int64 1 [1]\nconst last: int64 1 [2]\n"
      "e: float32 = Gather(table, ids)\n";
  text += masked ? "m: float32 = Cast(mask) {to=1}\nm3: float32 = Unsqueeze(m, last)\nem: float32 = Mul(e, m3)\n"
                   "s: float32 = ReduceSum(em, ax) {keepdims=0}\nc: float32 = ReduceSum(m3, ax) {keepdims=0}\n"
                   "y: float32 Nx4 = Div(s, c)\n"
                 : "y: float32 Nx4 = ReduceMean(e) {axes=[1], keepdims=0}\n";
  return parse(text + "output y\n");
}

// Sample i has 1 + i * 5 % 23 tokens.
class Texts : public Samples {
 public:
  explicit Texts(bool masked) : masked_(masked) {}
  int64_t size() const override { return 150; }
  int64_t length(int64_t index) const override { return 1 + index * 5 % 23; }
  Sample get(int64_t index) const override {
    std::vector<int64_t> ids, ones;
    for (int64_t i = 0; i < length(index); ++i) ids.push_back((index * 31 + i * i * 7 + 3) % 10), ones.push_back(1);
    Sample sample{{Array::of<int64_t>({1, length(index)}, ids)}, index % 4};
    if (masked_) sample.inputs.push_back(Array::of<int64_t>({1, length(index)}, ones));
    return sample;
  }

 private:
  bool masked_;
};

DataSet texts(bool masked) {
  DataSet data;
  data.path = "test.toml";
  data.task = "classify-text";
  data.test = std::make_shared<Texts>(masked);
  data.input_names = {"ids", "mask"};
  if (masked) data.padding = {{0, 0}, 32};
  return data;
}

int64_t right_by_reference(const Graph& graph, const DataSet& data) {
  int64_t right = 0;
  for (int64_t i = 0; i < data.test->size(); ++i) {
    const Sample sample = data.test->get(i);
    const std::vector<float> scores = run_reference(graph, model_inputs(graph, data, sample))[0].to_floats();
    right += std::max_element(scores.begin(), scores.end()) - scores.begin() == sample.label;
  }
  return right;
}

Quality judged(const Graph& graph, const DataSet& data, int threads) {
  MeasureOptions options;
  options.data = &data;
  options.threads = threads;
  options.program = "";
  return measure_quality(graph, graph, options);
}

TEST(Lengths, FilledUpBatchesJudgeAsSingleTexts) {
  const DataSet data = texts(true);
  const Graph graph = text_classifier("T", true);
  const int64_t expected = right_by_reference(graph, data);
  for (int threads : {1, 2}) {
    const Quality quality = judged(graph, data, threads);
    EXPECT_EQ(quality.metric.name, "accuracy");
    EXPECT_EQ(quality.batch, 32);
    EXPECT_EQ(std::count(quality.correct.begin(), quality.correct.end(), 1), expected);
    EXPECT_EQ(quality.correct.size(), 150u);
  }
}

TEST(Lengths, WithoutPaddingOnlyEqualLengthsAreBatched) {
  const DataSet data = texts(false);
  const Graph graph = text_classifier("T", false);
  const Quality quality = judged(graph, data, 2);
  EXPECT_EQ(std::count(quality.correct.begin(), quality.correct.end(), 1), right_by_reference(graph, data));
}

TEST(Lengths, AModelOfOneLengthGetsThatLength) {
  const DataSet data = texts(true);
  const Graph graph = text_classifier("32", true);
  const Quality quality = judged(graph, data, 2);
  EXPECT_EQ(std::count(quality.correct.begin(), quality.correct.end(), 1),
            right_by_reference(text_classifier("T", true), data));
  EXPECT_EQ(model_inputs(graph, data, data.test->get(0))[1].dims(), (Dims{1, 32}));
  const Graph shorter = text_classifier("16", true);
  EXPECT_THROW(judged(shorter, data, 1), Error);
}

TEST(Lengths, FilledUpNoFurtherThanTheDataAllows) {
  DataSet data = texts(true);
  data.padding = {{7, 0}, 21};
  const Graph graph = text_classifier("T", true);
  const std::vector<int64_t> two = {0, 4};  // 1 and 21 tokens
  const std::vector<Array> batch = gather_samples(graph, data, *data.test, two, 2);
  EXPECT_EQ(batch[0].dims(), (Dims{2, 21}));
  EXPECT_EQ(batch[0].values<int64_t>()[1], 7);
  EXPECT_EQ(batch[1].values<int64_t>()[0], 1);
  EXPECT_EQ(batch[1].values<int64_t>()[1], 0);
  EXPECT_EQ(batch_length(graph, data, 9, 2), 16);
  EXPECT_EQ(batch_length(graph, data, 9, 1), 9);
}

TEST(Lengths, AStateBesideSamplesMeansOneAtATime) {
  const std::string rest = "y: float32 = ReduceSum(s)\nz: float32 = Add(y, x)\noutput z\n";
  EXPECT_EQ(declared_batch(parse("graph \"r\" ir 8 opset 13\ninput x: float32 1x4\ninput s: float32 2x1x8\n" + rest)), 1);
  EXPECT_EQ(declared_batch(parse("graph \"r\" ir 8 opset 13\ninput x: float32 3x4\ninput s: float32 3x8\n" + rest)), 3);
}

TEST(Lengths, PairedOrderIsTheSameForEveryBatch) {
  const DataSet data = texts(true);
  const Graph open = text_classifier("T", true);
  Graph single = open;  // judged one by one
  for (ValueId id : single.inputs) (*single.at(id).shape)[0] = Dim{1, ""};
  EXPECT_EQ(judged(open, data, 2).correct, judged(single, data, 2).correct);
}

}  // namespace
}  // namespace pare
