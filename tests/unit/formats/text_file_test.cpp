#include <gtest/gtest.h>

#include <fstream>

#include "formats/format.h"
#include "support/networks.h"
#include "support/places.h"

namespace pare {
namespace {

TEST(TextFile, RoundTripsAndIsTold) {
  const testing::TemporaryFolder folder;
  const std::string path = folder / "a.graph";
  const Graph network = testing::residual_network(1, true);
  write_model(network, path);
  EXPECT_STREQ(format_of_file(path).name, "text");
  const Graph again = read_model(path);
  EXPECT_EQ(print(again, true), print(network, true));
}

// What examples are trained from, in their text form, is what their models are.
TEST(TextFile, HoldsTheNetworksOfTheExamples) {
  const std::string examples = testing::source_dir() + "/examples/";
  const Graph classifier = read_model(examples + "fashion/network.graph"), trained = read_model(examples + "fashion/fashion.onnx");
  EXPECT_EQ(count_weights(classifier).count, count_weights(trained).count);
  EXPECT_EQ(count_weights(classifier).nonzero, 0);
  EXPECT_EQ(classifier.nodes.size(), trained.nodes.size());
  EXPECT_EQ(count_macs(classifier), count_macs(trained));
  const Graph autoencoder = read_model(examples + "fashion-generator/vae.graph"), generator = read_model(examples + "fashion-generator/generator.onnx");
  EXPECT_NE(autoencoder.find("latent"), kNone);
  EXPECT_NE(autoencoder.find("picture"), kNone);
  EXPECT_EQ(generator.at(generator.inputs.at(0)).name, "latent");
  EXPECT_LT(generator.nodes.size(), autoencoder.nodes.size());
}

TEST(TextFile, SaysWhereItIsBroken) {
  const testing::TemporaryFolder folder;
  const std::string path = folder / "broken.graph";
  for (const char* text :
       {"graph \"x\" ir 8 opset 13\ninput a: float32 1\nconst b: float32 999999x999999x9 all 0.0\noutput b\n",
        "graph \"x\" ir 8 opset 13\nconst b: float32 4 all \"y\"\noutput b\n",
        "graph \"x\" ir 8 opset 13\nconst b: string 4 all 1\noutput b\n"}) {
    std::ofstream(path) << text;
    try {
      read_model(path);
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(path + ":"), std::string::npos) << error.what();
    }
  }
}

TEST(TextFile, WritesOneNumberOnce) {
  Graph graph;
  graph.opsets[""] = 13;
  graph.outputs.push_back(graph.add_constant("zeros", Tensor(Array(Type::f32, {100, 100}))));
  const std::string text = print(graph, true);
  EXPECT_LT(text.size(), 200u);
  EXPECT_NE(text.find("100x100 all 0.0"), std::string::npos) << text;
  EXPECT_EQ(parse(text).constant(0)->dims, (Dims{100, 100}));
}

}  // namespace
}  // namespace pare
