#include "data/text.h"

#include "fixtures.h"

namespace pare {
namespace {

const std::string head = "task = \"classify-text\"\n[test]\nformat = \"jsonl\"\nfiles = \"t.jsonl\"\n";

std::vector<int64_t> ints(const Array& array) {
  const auto values = array.values<int64_t>();
  return {values.begin(), values.end()};
}

DataSet read(const TemporaryFolder& folder, const std::string& lines, const std::string& more = "") {
  folder.write("t.jsonl", lines);
  return read_data_set(folder.write("d.toml", head + more));
}

std::string as_words(const std::vector<uint16_t>& ids) {
  return {reinterpret_cast<const char*>(ids.data()), ids.size() * 2};
}

TEST(Tokens, AreCutIntoWholeWindows) {
  const TemporaryFolder folder;
  folder.write("ids.u16", as_words({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  const auto read = [&](const std::string& more) {
    return read_data_set(
        folder.write("d.toml", "task = \"language\"\n[test]\nformat = \"tokens\"\nfiles = \"ids.u16\"\n" + more +
                                   "[text]\nlength = 4\ninputs = { input_ids = \"ids\" }\n"));
  };
  const DataSet all = read("");
  ASSERT_EQ(all.test->size(), 2);  // the last three tokens fill none
  EXPECT_EQ(ints(all.test->get(1).inputs[0]), (std::vector<int64_t>{5, 6, 7, 8}));
  const DataSet later = read("first = 3\nwindows = 1\n");
  ASSERT_EQ(later.test->size(), 1);
  EXPECT_EQ(ints(later.test->get(0).inputs[0]), (std::vector<int64_t>{4, 5, 6, 7}));
  expect_contains(error_of([&] { read("first = 9\n"); }), "lower first");
  expect_contains(error_of([&] { read("type = \"u32\"\n"); }), "22 bytes");
}

TEST(Tokens, OfOverlappingWindowsEachTokenIsJudgedOnce) {
  const TemporaryFolder folder;
  folder.write("ids.u16", as_words({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  const auto read = [&](const std::string& more) {
    return read_data_set(
        folder.write("d.toml", "task = \"language\"\n[test]\nformat = \"tokens\"\nfiles = \"ids.u16\"\n" + more +
                                   "[text]\nlength = 5\ninputs = { input_ids = \"ids\" }\n"));
  };
  const DataSet set = read("first = 1\nstride = 2\n");
  ASSERT_EQ(set.test->size(), 3);
  EXPECT_EQ(ints(set.test->get(1).inputs[0]), (std::vector<int64_t>{4, 5, 6, 7, 8}));
  EXPECT_EQ(ints(set.test->get(2).inputs[0]), (std::vector<int64_t>{6, 7, 8, 9, 10}));
  EXPECT_EQ(set.test->get(0).given, 0);
  EXPECT_EQ(set.test->get(1).given, 3);
  EXPECT_EQ(set.test->get(2).given, 3);
  EXPECT_EQ(read("").test->get(1).given, 0);
  EXPECT_EQ(read("context = 2\n").test->get(0).given, 2);
  EXPECT_EQ(read("context = 2\nstride = 2\n").test->get(1).given, 3);
  expect_contains(error_of([&] { read("context = 5\n"); }), "context");
  expect_contains(error_of([&] { read("stride = 6\n"); }), "stride");
  expect_contains(error_of([&] { read("stride = 0\n"); }), "stride");
}

const std::string letters =
    R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, " ": 3, " b": 4, "!": 5}, "merges": [[" ", "b"]]}})";

DataSet read_choices(const TemporaryFolder& folder, const std::string& lines, const std::string& more = "") {
  folder.write("w.json", letters);
  folder.write("t.jsonl", lines);
  return read_data_set(folder.write("d.toml",
                                    "task = \"multiple-choice\"\n[text]\ntokenizer = \"w.json\"\nlength = 6\ninputs = "
                                    "{ input_ids = \"ids\" }\n[test]\nformat = \"choices\"\nfiles = \"t.jsonl\"\n" +
                                        more));
}

TEST(Choices, GiveASampleAnAnswer) {
  const TemporaryFolder folder;
  const DataSet set = read_choices(folder, R"({"prompt": "ac", "choices": ["b", "ca"], "answer": 1}
{"prompt": "a ", "choices": ["b", "c"], "answer": "A"}
)");
  ASSERT_EQ(set.test->size(), 4);
  EXPECT_EQ(ints(set.test->get(0).inputs[0]), (std::vector<int64_t>{0, 2, 4}));
  EXPECT_EQ(ints(set.test->get(1).inputs[0]), (std::vector<int64_t>{0, 2, 3, 2, 0}));
  EXPECT_EQ(ints(set.test->get(2).inputs[0]), (std::vector<int64_t>{0, 4})) << "the space belongs to the answer";
  const int64_t contexts[] = {2, 2, 1, 1}, questions[] = {0, 0, 1, 1}, bytes[] = {1, 2, 1, 1};
  const bool right[] = {false, true, true, false};
  for (int64_t i = 0; i < 4; ++i) {
    const Truth truth = set.test->truth(i);
    EXPECT_EQ(set.test->get(i).given, contexts[i]) << i;
    ASSERT_TRUE(truth.choice) << i;
    EXPECT_EQ(truth.choice->question, questions[i]) << i;
    EXPECT_EQ(truth.choice->bytes, bytes[i]) << i;
    EXPECT_EQ(truth.choice->right, right[i]) << i;
  }
}

TEST(Choices, KeysAndNumberAreDeclared) {
  const TemporaryFolder folder;
  const std::string line = R"({"ctx": "a", "endings": ["b", "c"], "label": "1"})"
                           "\n";
  const DataSet set =
      read_choices(folder, line + line,
                   "prompt = \"ctx\"\nchoices = \"endings\"\nanswer = \"label\"\nseparator = \"!\"\nquestions = 1\n");
  ASSERT_EQ(set.test->size(), 2);
  EXPECT_EQ(ints(set.test->get(1).inputs[0]), (std::vector<int64_t>{0, 5, 2}));
  EXPECT_TRUE(set.test->truth(1).choice->right);
}

TEST(Choices, SayWhatIsWrongAndWhere) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& lines) { return error_of([&] { read_choices(folder, lines); }); };
  expect_contains(error("{\"prompt\": \"a\"}"), "there is no key \"choices\"\n  the line has: prompt");
  expect_contains(error("{\"prompt\": 1}"), "t.jsonl:1: \"prompt\" is not a text");
  expect_contains(error(R"({"prompt": "a", "choices": ["b"], "answer": 0})"), "not a list of two texts or more");
  expect_contains(error(R"({"prompt": "a", "choices": ["b", 2], "answer": 0})"), "not a list of two texts or more");
  expect_contains(error(R"({"prompt": "a", "choices": ["b", "c"], "answer": 2})"), "none of the 2 answers");
  expect_contains(error(R"({"prompt": "a", "choices": ["b", "c"], "answer": "C"})"), "none of the 2 answers");
  expect_contains(error(R"({"prompt": "a", "choices": ["b", "c"], "answer": 18446744073709551615})"),
                  "none of the 2 answers");
  expect_contains(error(R"({"prompt": "a", "choices": ["b", "ccccccc"], "answer": 0})"), "9 tokens, more than 6");
  folder.write("t.jsonl", R"({"label": 0})");
  expect_contains(error_of([&] {
                    read_data_set(folder.write(
                        "d.toml", "task = \"multiple-choice\"\n[test]\nformat = \"jsonl\"\nfiles = \"t.jsonl\"\n"));
                  }),
                  "key \"input_ids\"");
  folder.write("t.jsonl", R"({"label": 0, "input_ids": [1]})");
  expect_contains(error_of([&] {
                    read_data_set(folder.write(
                        "d.toml", "task = \"multiple-choice\"\n[test]\nformat = \"jsonl\"\nfiles = \"t.jsonl\"\n"));
                  }),
                  "format = \"choices\"");
}

TEST(Corpus, NeedsATokenizer) {
  const TemporaryFolder folder;
  folder.write("t.txt", "Once upon a time");
  expect_contains(
      error_of([&] {
        read_data_set(folder.write("d.toml", "task = \"language\"\n[test]\nformat = \"corpus\"\nfiles = \"t.txt\"\n"));
      }),
      "tokenizer");
}

TEST(Jsonl, GivesIdsMaskAndLabels) {
  const TemporaryFolder folder;
  const DataSet set =
      read(folder, "{\"input_ids\": [5, 6, 7], \"label\": 1, \"text\": \"x\"}\r\n\n{\"label\": 0, \"input_ids\": [9]}");
  EXPECT_EQ(set.summary, "classify-text: 2 test samples of 1 to 3 tokens");
  EXPECT_EQ(set.input_names,
            (std::vector<std::string>{"attention_mask", "input_ids", "position_ids", "token_type_ids"}));
  const Sample sample = set.test->get(0);
  EXPECT_EQ(sample.label, 1);
  EXPECT_EQ(sample.inputs[1].dims(), (Dims{1, 3}));
  EXPECT_EQ(ints(sample.inputs[0]), (std::vector<int64_t>{1, 1, 1}));
  EXPECT_EQ(ints(sample.inputs[1]), (std::vector<int64_t>{5, 6, 7}));
  EXPECT_EQ(ints(sample.inputs[2]), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(ints(sample.inputs[3]), (std::vector<int64_t>{0, 0, 0}));
  EXPECT_EQ(set.test->length(1), 1);
  EXPECT_EQ(set.padding.values, (std::vector<int64_t>{0, 0, 0, 0}));
}

TEST(Jsonl, KeysInputsAndLengthAreDeclared) {
  const TemporaryFolder folder;
  const DataSet set = read(folder, "{\"tokens\": [5, 6, 7], \"intent\": \"b\"}",
                           "ids = \"tokens\"\nlabel = \"intent\"\n[text]\nlength = 2\npad_id = 9\n"
                           "inputs = { words = \"ids\", seen = \"mask\" }\n[classes]\nnames = [\"a\", \"b\"]\n");
  EXPECT_EQ(set.input_names, (std::vector<std::string>{"seen", "words"}));
  EXPECT_EQ(ints(set.test->get(0).inputs[1]), (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(set.test->get(0).label, 1);
  EXPECT_EQ(set.padding.values, (std::vector<int64_t>{0, 9}));
  EXPECT_EQ(set.padding.most, 2);
}

TEST(Jsonl, WithoutPaddingOnlyEqualLengthsStandTogether) {
  const TemporaryFolder folder;
  EXPECT_TRUE(read(folder, "{\"input_ids\": [5], \"label\": 1}", "[text]\npadding = false\n").padding.values.empty());
}

// Bytes as tokens, so that ids are the letters.
std::string letters_tokenizer(const TemporaryFolder& folder) {
  std::string vocabulary;
  for (char c = 'a'; c <= 'z'; ++c)
    vocabulary += std::string(c == 'a' ? "" : ", ") + "\"" + c + "\": " + std::to_string(c);
  return folder.write("letters.json",
                      "{\"model\": {\"type\": \"BPE\", \"vocab\": {" + vocabulary + "}, \"merges\": []}}");
}

TEST(Jsonl, TellsInstructionsAndAsksForAnswers) {
  const TemporaryFolder folder;
  folder.write("t.jsonl", "{\"ask\": \"ab\", \"say\": \"cd\"}\n{\"ask\": \"x\", \"say\": \"y\"}\n");
  letters_tokenizer(folder);
  const auto read = [&](const std::string& keys, const std::string& length = "9") {
    return read_data_set(folder.write(
        "d.toml", "task = \"language\"\n[test]\nformat = \"jsonl\"\nfiles = \"t.jsonl\"\n" + keys +
                      "[text]\ntokenizer = \"letters.json\"\ninputs = { input_ids = \"ids\" }\nlength = " + length +
                      "\n"));
  };
  const std::string both = "prompt = \"ask\"\nanswer = \"say\"\n";
  const Sample plain = read(both).test->get(0);
  EXPECT_EQ(ints(plain.inputs[0]), (std::vector<int64_t>{'a', 'b', 'c', 'd'}));
  EXPECT_EQ(plain.given, 2);
  const Sample formed = read(both + "form = \"q{prompt}r{answer}s\"\n").test->get(1);
  EXPECT_EQ(ints(formed.inputs[0]), (std::vector<int64_t>{'q', 'x', 'r', 'y', 's'}));
  EXPECT_EQ(formed.given, 3);
  expect_contains(error_of([&] { read("prompt = \"ask\"\n"); }), "an instruction has a prompt and an answer");
  expect_contains(error_of([&] { read(both + "form = \"{answer}{prompt}\"\n"); }), "{prompt} followed by {answer}");
  expect_contains(error_of([&] { read(both, "2"); }), "no room is left");
  folder.write("t.jsonl", "{\"ask\": \"ab\", \"say\": \"\"}\n");
  expect_contains(error_of([&] { read(both); }), "\"say\" is empty");
}

TEST(Jsonl, SaysWhatIsWrongAndWhere) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& lines, const std::string& more = "") {
    return error_of([&] { read(folder, lines, more); });
  };
  expect_contains(error("{\"input_ids\": [1], \"label\": 1}\n{\"input_ids\": [1], \"label\": 1"),
                  "t.jsonl:2: the line is not a JSON object");
  expect_contains(error("[1, 2]"), "not a JSON object");
  expect_contains(error("{\"ids\": [1], \"label\": 1}"), "there is no key \"input_ids\"\n  the line has: ids, label");
  expect_contains(error("{\"input_ids\": [1]}"), "there is no key \"label\"");
  expect_contains(error("{\"input_ids\": [1.5], \"label\": 1}"), "not a list of whole numbers");
  expect_contains(error("{\"input_ids\": 7, \"label\": 1}"), "not a list of whole numbers");
  expect_contains(error("{\"input_ids\": [], \"label\": 1}"), "the text has no token");
  expect_contains(error("{\"input_ids\": [-1], \"label\": 1}"), "-1 is not a token id");
  expect_contains(error("{\"input_ids\": [18446744073709551615], \"label\": 1}"), "is not a token id");
  expect_contains(error("{\"input_ids\": [4294967296], \"label\": 1}"), "4294967296 is not a token id");
  expect_contains(error("{\"input_ids\": [1], \"label\": -3}"), "label -3 is not one of");
  expect_contains(error("{\"input_ids\": [1], \"label\": 18446744073709551615}"), "label -1 is not one of");
  expect_contains(error("{\"input_ids\": [1], \"label\": 2}", "[classes]\nnames = [\"a\", \"b\"]\n"),
                  "label 2 is not one of the 2 classes");
  expect_contains(error("{\"input_ids\": [1], \"label\": \"bb\"}", "[classes]\nnames = [\"a\", \"b\"]\n"),
                  "did you mean \"b\"?");
  expect_contains(error("{\"input_ids\": [1], \"label\": \"b\"}"), "name the classes");
  expect_contains(error("\n\n"), "there is not a single sample");
  expect_contains(error("{\"input_ids\": [1], \"label\": 1}", "[text]\ninputs = { m = \"mask\" }\n"),
                  "no input takes the token ids");
  expect_contains(error("{\"input_ids\": [1], \"label\": 1}", "[text]\ninputs = { m = \"idds\" }\n"),
                  "did you mean \"ids\"?");
  expect_contains(error("{\"input_ids\": [1], \"label\": 1}", "[preprocess]\nscale = 1\n"), "applies to images");
}

const std::string words =
    R"({"model": {"type": "WordPiece", "vocab": {"[UNK]": 0, "a": 1, "b": 2, "##c": 3}}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "truncation": {"max_length": 3}, "padding": {"pad_id": 2}})";
const std::string csv =
    "task = \"classify-text\"\n[text]\ntokenizer = \"w.json\"\n[classes]\nnames = [\"x\", \"y, z\"]\n[test]\nformat = "
    "\"csv\"\nfiles = \"t.csv\"\n";

DataSet read_csv(const TemporaryFolder& folder, const std::string& rows,
                 const std::string& keys = "text = \"t\"\nlabel = \"l\"\n") {
  folder.write("t.csv", rows);
  folder.write("w.json", words);
  return read_data_set(folder.write("d.toml", csv + keys));
}

TEST(Csv, ReadsQuotedFieldsByTitle) {
  const TemporaryFolder folder;
  const DataSet set = read_csv(folder, "\xEF\xBB\xBFid,t,l\r\n1,a bc,x\r\n\r\n2,\"b, \"\"a\"\"\nq a a\",\"y, z\"");
  ASSERT_EQ(set.test->size(), 2);
  EXPECT_EQ(ints(set.test->get(0).inputs[1]), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(set.test->get(0).label, 0);
  EXPECT_EQ(ints(set.test->get(1).inputs[1]), (std::vector<int64_t>{2, 0, 0})) << "cut at the tokenizer's length";
  EXPECT_EQ(set.test->get(1).label, 1);
  EXPECT_EQ(set.padding.values[1], 2) << "the tokenizer's";
  EXPECT_EQ(set.padding.most, 3);
}

TEST(Csv, ColumnsByNumberAndOtherDelimiters) {
  const TemporaryFolder folder;
  const DataSet set = read_csv(folder, "x\ta\n1\tb\n", "text = 1\nlabel = 0\nheader = false\ndelimiter = \"\\t\"\n");
  ASSERT_EQ(set.test->size(), 2);
  EXPECT_EQ(set.test->get(0).label, 0);
  EXPECT_EQ(set.test->get(1).label, 1) << "a label may be the class's number";
}

TEST(Csv, SaysWhatIsWrongAndWhere) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& rows, const std::string& keys = "text = \"t\"\nlabel = \"l\"\n") {
    return error_of([&] { read_csv(folder, rows, keys); });
  };
  expect_contains(error("t,l\na,x\n\"b\n,x\n"), "t.csv:3: a quote that opens here is never closed");
  expect_contains(error("t,l\na,x\n\"b\nc\",x\na\n"), "t.csv:5: the row has 1 fields");
  expect_contains(error("t,l\na,q\n"), "t.csv:2: \"q\" is not the name of a class");
  expect_contains(error("text,l\na,x\n"), "there is no column \"t\"\n  the first line has: text, l");
  expect_contains(error("t,l\n,x\n"), "t.csv:2: the text has no token");
  expect_contains(error(""), "t.csv is empty");
  expect_contains(error("a,x\n", "header = false\nlabel = 1\n"), "columns are numbers from 0");
  expect_contains(error("a,x\n", "delimiter = \"ab\"\n"), "not one character");
  folder.write("t.csv", "t,l\na,x\n");
  expect_contains(error_of([&] {
                    read_data_set(folder.write(
                        "d.toml", "task = \"classify-text\"\n[test]\nformat = \"csv\"\nfiles = \"t.csv\"\n"));
                  }),
                  "texts need a tokenizer");
}

TEST(Jsonl, ReadsTextsToo) {
  const TemporaryFolder folder;
  folder.write("w.json", words);
  const DataSet set =
      read(folder, "{\"sentence\": \"bc a\", \"label\": 1}", "text = \"sentence\"\n[text]\ntokenizer = \"w.json\"\n");
  EXPECT_EQ(ints(set.test->get(0).inputs[1]), (std::vector<int64_t>{2, 3, 1}));
  expect_contains(
      error_of([&] { read(folder, "{\"t\": 3, \"label\": 1}", "text = \"t\"\n[text]\ntokenizer = \"w.json\"\n"); }),
      "\"t\" is not a text");
  expect_contains(error_of([&] { read(folder, "{}", "text = \"t\"\nids = \"i\"\n"); }), "one of them is enough");
}

TEST(Jsonl, TextOptionsNeedTexts) {
  const TemporaryFolder folder;
  folder.write("a.bin", cifar_record(1, 2, 3, 4));
  expect_contains(
      error_of([&] {
        read_data_set(folder.write(
            "d.toml", "task = \"classify\"\n[test]\nformat = \"cifar\"\nfiles = \"a.bin\"\n[text]\nlength = 3\n"));
      }),
      "applies to texts");
}

}  // namespace
}  // namespace pare
