#include <gtest/gtest.h>

#include "base/random.h"
#include "graph/graph.h"

namespace pare {
namespace {

constexpr const char* kEverything = R"(graph "a \"graph\"" ir 9 opset 17, com.microsoft=1
    producer "pytorch"
    doc "two\nlines"
    metadata "author" = "\xc3\xa9\x00"
    functions "\x01\x02"
    input x: float32 Nx3x"max len"x?
    input seq: other "\n\x02"
    input untyped
    input "const": int64 scalar
    const b: float32 3 [0.5, -1e-08, nan]
    const h: float16 2 [1.0, -inf]
    const d: float64 1 [0.1]
    const big: uint64 1 [18446744073709551615]
    const i4: int4 5 [-8, 7, 0, 1, -1]
    const flags: bool 2 [1, 0]
    const none: int64 0 []
    const words: string 2 ["", "a\"b"]
    const f8: float8e4m3fn 3 base64 "AQID"
    const w: int8 17 base64 "AAECAwQFBgcICQoLDA0ODxA="
    value lonely: float32 2
    y: float32 Nx8, _ = Split(x, _, b) {axis=1, num_outputs=2} "the \"first\""
    z = Gelu@com.microsoft(y)
    %0: int64 scalar = Shape(z)
    "a b" = Odd(%0, "const") {a=-3, b=1.0, c="text", d=[1, 2], e=[1.5, -inf], f=["p", "q"], g=ints[], h=floats[], i=strings[], j=graphs[], k=tensor int32 2 [1, 2], "l@proto"=nan}
    cond = If("a b") {else_branch=graph "e" {
        outer z: float32 N
        const one: float32 scalar [1.0]
        r = Add(z, one)
        output r
      }, then_branch=graph opset 16 {
        outer z
        r = Loop(z) {body=graph {
            input i
            output i
          }, more=[graph {
          }, graph {
          }]}
        output r
      }}
    = Sink(cond)
    output cond
    output "a b"
)";

// print() indents nothing at the top.
std::string outdented(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] == '\n' && text.compare(i + 1, 4, "    ") == 0) i += 4;
  }
  return out;
}

TEST(Text, RoundTripsEveryKindOfLine) {
  const std::string text = outdented(kEverything);
  const Graph graph = parse(text);
  EXPECT_EQ(print(graph, true), text);
}

TEST(Text, ReadsWhatItSays) {
  const Graph graph = parse(outdented(kEverything));
  EXPECT_EQ(graph.name, "a \"graph\"");
  EXPECT_EQ(graph.opset(), 17);
  EXPECT_EQ(graph.metadata.at("author"), std::string("\xc3\xa9\0", 3));
  const Shape& shape = *graph.at(graph.inputs[0]).shape;
  EXPECT_EQ(shape, (Shape{{-1, "N"}, {3, ""}, {-1, "max len"}, {-1, ""}}));
  EXPECT_EQ(graph.constant(graph.find("i4"))->array().to_integers(), (std::vector<int64_t>{-8, 7, 0, 1, -1}));
  const Node& split = graph.nodes[0];
  EXPECT_EQ(split.name, "the \"first\"");
  EXPECT_EQ(split.input(1), kNone);
  EXPECT_EQ(split.outputs[1], kNone);
  EXPECT_NE(split.op, nullptr);
  EXPECT_EQ(graph.nodes[1].domain, "com.microsoft");
  EXPECT_EQ(graph.nodes[1].op, nullptr);
  const auto inner = graph.nodes[4].get<std::shared_ptr<Graph>>("then_branch", nullptr);
  ASSERT_NE(inner, nullptr);
  EXPECT_EQ(inner->opset(), 16);
  EXPECT_TRUE(inner->at(inner->find("z")).outer);
  EXPECT_EQ(graph.nodes[4].get<std::shared_ptr<Graph>>("else_branch", nullptr)->opset(), 17);
}

TEST(Text, OneNumberFillsAConstantOfAnyType) {
  for (const char* type : {"int4", "uint4", "int8", "uint64", "float16", "bfloat16", "float64"}) {
    const Graph graph = parse(std::string("graph \"x\" ir 8 opset 13\nconst c: ") + type + " 3x5 all 3\noutput c\n");
    const Array array = graph.constant(graph.find("c"))->array();
    EXPECT_EQ(array.to_floats(), std::vector<float>(15, 3)) << type;
    EXPECT_TRUE(array.same_as(Array::of<float>({3, 5}, std::vector<float>(15, 3)).cast(array.type()))) << type;
  }
}

TEST(Text, PrintsLargeConstantsByDigest) {
  const auto text_of = [](float last) {
    Graph graph;
    std::vector<float> values(17, 0);
    values.back() = last;
    graph.add_constant("w", Array::of<float>({17}, values));
    return print(graph);
  };
  EXPECT_NE(text_of(1).find("const w: float32 17 #"), std::string::npos) << text_of(1);
  EXPECT_NE(text_of(1), text_of(2));
  EXPECT_THROW(parse(text_of(1)), Error);
  EXPECT_NE(text_of(0).find("const w: float32 17 all 0.0"), std::string::npos) << text_of(0);
  EXPECT_EQ(parse(text_of(0)).constant(0)->array().to_floats(), std::vector<float>(17, 0.f));
}

TEST(Text, NamesThatReadAsSomethingElseAreQuoted) {
  for (const char* name : {"const", "_", "a b", "x:", "%1", "#", "a=b", "\"", "\n", "é", "a,b", "(", "graph"}) {
    Graph graph;
    const ValueId x = graph.add_value(name, Type::f32);
    graph.inputs = {x};
    graph.add_node(name, {x}, {graph.add_value(std::string(name) + "2")}).attributes[name] = int64_t(1);
    graph.nodes[0].domain = name;
    graph.opsets[name] = 3;
    const Graph again = parse(print(graph));
    EXPECT_EQ(again.at(again.inputs[0]).name, name);
    EXPECT_EQ(again.nodes[0].op_type, name);
    EXPECT_EQ(again.nodes[0].domain, name);
    EXPECT_TRUE(again.nodes[0].has(name) && again.opsets.count(name)) << name;
    EXPECT_EQ(print(again), print(graph));
  }
}

TEST(Text, NumbersSurviveExactly) {
  Random random(5);
  std::vector<float> values;
  while (values.size() < 16) {
    const float v = std::bit_cast<float>(uint32_t(random.bits()));
    if (!(v != v)) values.push_back(v);
  }
  Graph graph;
  graph.add_constant("c", Array::of<float>({16}, values));
  graph.add_node("Foo", {}, {}).attributes["v"] = values;
  const Graph again = parse(print(graph));
  EXPECT_TRUE(again.constant(0)->array().same_as(graph.constant(0)->array()));
  EXPECT_EQ(again.nodes[0].get("v", std::vector<float>()), values);
}

Tensor encode_stub(const Array& values, int, int64_t) { return Tensor(values); }
Array decode_stub(const Tensor& tensor) { return tensor.parts.at(0).cast(Type::f32); }
const Codec kStub{"stub", "", "", "", decode_stub, encode_stub, nullptr, nullptr, nullptr};

TEST(Text, EncodedConstants) {
  const std::string text =
      "graph \"\" ir 8\n"
      "const w: float32 2x2 as stub axis=1 group=32 {int4 2x2 [1, 2, -3, -8], float32 2 [0.5, 1.0]}\n";
  const CodecLookup lookup = [](std::string_view name) { return name == "stub" ? &kStub : nullptr; };
  const Graph graph = parse(text, "text", lookup);
  EXPECT_EQ(print(graph), text);
  EXPECT_EQ(graph.constant(0)->axis, 1);
  EXPECT_EQ(graph.constant(0)->group, 32);
  EXPECT_EQ(graph.constant(0)->decode().to_floats(), (std::vector<float>{1, 2, -3, -8}));
  EXPECT_THROW(parse(text), Error);
  EXPECT_THROW(parse("graph\nconst w: float32 1 as other {}", "text", lookup), Error);
}

struct Fault {
  const char* text;
  const char* where;    // text:line:column
  const char* problem;  // part of it
};

TEST(Text, ErrorsSayWhereAndWhat) {
  const Fault faults[] = {
      {"", "text:1:1", "found the end of the text, expected graph"},
      {"model x", "text:1:1", "found \"model\", expected graph"},
      {"graph \"a", "text:1:7", "has no end"},
      {"graph \"a\\q\"", "text:1:9", "escape"},
      {"graph ir x", "text:1:10", "expected the IR version"},
      {"graph\ninput x: float33 2", "text:2:10", "expected an element type"},
      {"graph\ninput x: float32 2xx", "text:2:20", "expected an extent"},
      {"graph\ninput x: float32 99999999999999999999", "text:2:18", "expected an extent"},
      {"graph\ninput x\ninput x", "text:3:7", "defined a second time"},
      {"graph\ny = Relu(x)\noutput y", "text:2:10", "refers to 'x'"},
      {"graph\ny = Relu(", "text:2:10", "expected a value's name"},
      {"graph\ninput x\ny = Relu(x x)", "text:3:12", "expected ')'"},
      {"graph\ny = Relu() {a=}", "text:2:15", "expected an attribute's value"},
      {"graph\ny = Relu() {a=1, a=2}", "text:2:18", "given twice"},
      {"graph\ny = Relu() {a=[]}", "text:2:15", "empty list"},
      {"graph\ny = Relu() {a=[1, \"b\"]}", "text:2:15", "several kinds"},
      {"graph\ny = Relu() {a=99999999999999999999}", "text:2:15", "expected an integer"},
      {"graph\ny = Relu() 5", "text:2:12", "expected the end of the line"},
      {"graph\ny = Relu() {a=graph {", "text:2:22", "expected"},
      {"graph\nconst c: float32 3 [1.0]", "text:2:10", "found 1 elements, the shape has 3"},
      {"graph\nconst c: float32 N [1.0]", "text:2:10", "expected numbers only"},
      {"graph\nconst c: float32 1 [true]", "text:2:21", "expected a number"},
      {"graph\nconst c: int8 3 base64 \"AAA\"", "text:2:24", "not base64"},
      {"graph\nconst c: int8 3 base64 \"AAAA!AAA\"", "text:2:24", "not base64"},
      {"graph\nconst c: int8 4 base64 \"AAAA\"", "text:2:24", "found 3 bytes, the shape has 4"},
      {"graph\nconst c: float32 1000000000x1000000000x1000000000 base64 \"\"", "text:2:10", "absurdly large"},
      {"graph\nconst c: float32 1000000x1000000 base64 \"\"", "text:2:41", "found 0 bytes"},
      {"graph\nconst c: float32 17 #01234567", "text:2:21", "digest"},
      {"graph\nconst c: float8e4m3fn 1 [1]", "text:2:10", "base64"},
  };
  for (const Fault& fault : faults) {
    try {
      parse(fault.text);
      ADD_FAILURE() << "accepted: " << fault.text;
    } catch (const Error& error) {
      EXPECT_EQ(error.where(), fault.where) << fault.text << "\n" << error.what();
      EXPECT_NE(error.problem().find(fault.problem), std::string::npos) << fault.text << "\n" << error.what();
    }
  }
}

TEST(Text, DeepNestingIsAnError) {
  std::string text = "graph\n";
  for (int i = 0; i < 100000; ++i) text += "= A() {g=graph {\n";
  EXPECT_THROW(parse(text), Error);
}

// Every prefix and every one-character change of a text is read or refused with an Error.
TEST(Text, BrokenTextsNeverCrash) {
  const std::string text = outdented(kEverything);
  for (size_t i = 0; i < text.size(); ++i) {
    for (char c : {'\0', '"', '}', 'x', '9', '\n', '-'}) {
      std::string broken = text;
      broken[i] = c;
      try {
        const std::string once = print(parse(broken), true);
        EXPECT_EQ(print(parse(once), true), once);
      } catch (const Error&) {
      }
    }
    try {
      parse(text.substr(0, i));
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace pare
