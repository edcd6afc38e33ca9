// ONNX's own backend node tests, as tools/export_onnx_cases.py writes them: each is read, run by the reference engine and
// by a Session, and compared with the recorded outputs. `./dev onnx-cases` runs it.
//   onnx_cases FOLDER [--only SUBSTRING]
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <sstream>

#include "base/files.h"
#include "engine/engine.h"
#include "formats/onnx/onnx.h"
#include "graph/op.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string name;
  double relative = 0, absolute = 0;
};

// What pare leaves out on purpose: operators by the start of their name.
struct Reason {
  const char* domain;  // of the operator
  const char* op;      // null: every operator of the domain
  const char* why;
};
const Reason kReasons[] = {
    {"ai.onnx.ml", nullptr, "ai.onnx.ml: classical machine learning, no neural network"},
    {"ai.onnx.preview.training", nullptr, "optimizers of training"},
    {"ai.onnx.preview", nullptr, "ai.onnx.preview: operators that may still change"},
    {"", "Sequence", "sequences of tensors"},
    {"", "SplitToSequence", "sequences of tensors"},
    {"", "ConcatFromSequence", "sequences of tensors"},
    {"", "Optional", "optional values"},
    {"", "String", "strings"},
    {"", "Regex", "strings"},
    {"", "ImageDecoder", "image files inside a graph"},
    {"", "Random", "random numbers"},
    {"", "Bernoulli", "random numbers"},
    {"", "Multinomial", "random numbers"},
};

std::string why_not_listed(const Node& node) {
  for (const Reason& reason : kReasons)
    if (node.domain == reason.domain && (reason.op == nullptr || node.op_type.starts_with(reason.op)))
      return reason.why;
  return "operator " + (node.domain.empty() ? "" : node.domain + ".") + node.op_type;
}

// Why the case lies outside of what pare computes; empty where it does not.
std::string skip_reason(const Graph& graph) {
  for (const Value& value : graph.values) {
    if (!value.other_type.empty()) return "sequences of tensors, optional values and maps";
    if (value.type == Type::string) return "strings";
  }
  for (const Node& node : graph.nodes) {
    if (node.op == nullptr) return why_not_listed(node);
    if (node.integer("training_mode", 0) != 0) return "training mode";
    // Since opset 12 Dropout has training_mode as an input: such a case is recorded in training mode.
    if (node.is("Dropout") && node.input(2) != kNone) return "training mode";
    for (const auto& [key, attribute] : node.attributes)
      if (auto* inner = std::get_if<std::shared_ptr<Graph>>(&attribute))
        if (const std::string why = skip_reason(**inner); !why.empty()) return why;
  }
  return "";
}

std::vector<Array> read_arrays(const fs::path& folder, const std::string& prefix) {
  std::vector<Array> arrays;
  for (int k = 0;; ++k) {
    const fs::path path = folder / (prefix + std::to_string(k) + ".pb");
    if (!fs::exists(path)) return arrays;
    arrays.push_back(read_onnx_tensor(path.string()));
  }
}

// Empty where they agree: types and extents exactly, elements within |found − expected| ≤ absolute + relative·|expected|.
std::string difference(const Array& found, const Array& expected, const Case& one) {
  if (found.type() != expected.type()) return fmt::format("has type {}, expected {}", type_text(found.type()), type_text(expected.type()));
  if (found.dims() != expected.dims()) return fmt::format("has shape {}, expected {}", dims_text(found.dims()), dims_text(expected.dims()));
  if (std::memcmp(found.bytes(), expected.bytes(), expected.size_bytes()) == 0) return "";
  if (is_integer(expected.type()) || expected.type() == Type::boolean) {
    const auto a = found.to_integers(), b = expected.to_integers();
    for (size_t i = 0; i < b.size(); ++i)
      if (a[i] != b[i]) return fmt::format("element {} is {}, expected {}", i, a[i], b[i]);
    return "";
  }
  // onnx's own runner allows bfloat16 two last places; float16 needs them where a chain of nodes rounds after each.
  const double least = expected.type() == Type::bf16 ? 0x1p-6 : expected.type() == Type::f16 ? 0x1p-9 : 0;
  const double relative = std::max(one.relative, least);
  const Array a = found.cast(Type::f64), b = expected.cast(Type::f64);
  // Two cases of DFT record what float32 sums leave of a zero: half a last place of the largest element is no difference.
  double most = 0;
  for (double v : b.values<double>()) most = std::isfinite(v) ? std::max(most, std::abs(v)) : most;
  const double absolute = std::max(one.absolute, 0x1p-24 * most);
  for (size_t i = 0; i < size_t(b.count()); ++i) {
    const double x = a.values<double>()[i], y = b.values<double>()[i];
    if (x == y || (std::isnan(x) && std::isnan(y)) || std::abs(x - y) <= absolute + relative * std::abs(y)) continue;
    return fmt::format("element {} is {}, expected {}", i, x, y);
  }
  return "";
}

std::string first_difference(const char* engine, const std::vector<Array>& found, const std::vector<Array>& expected, const Case& one) {
  if (found.size() != expected.size()) return fmt::format("{}: {} outputs, expected {}", engine, found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    if (const std::string what = difference(found[i], expected[i], one); !what.empty()) return fmt::format("{}: output {} {}", engine, i, what);
  return "";
}

std::vector<Array> run_session(const Graph& graph, const std::vector<Array>& inputs) {
  SessionOptions options;
  options.tune = options.use_cache = false;
  std::vector<Dims> dims;
  for (const Array& input : inputs) dims.push_back(input.dims());
  return Session(graph, dims, options).run(inputs);
}

// Empty where all data sets pass.
std::string run_case(const Graph& graph, const fs::path& folder, const Case& one) {
  for (int n = 0; fs::exists(folder / ("test_data_set_" + std::to_string(n))); ++n) {
    const fs::path data = folder / ("test_data_set_" + std::to_string(n));
    const auto inputs = read_arrays(data, "input_"), expected = read_arrays(data, "output_");
    std::string engine = "reference";
    try {
      if (const std::string what = first_difference("reference", run_reference(graph, inputs), expected, one); !what.empty()) return what;
      engine = "session";
      if (const std::string what = first_difference("session", run_session(graph, inputs), expected, one); !what.empty()) return what;
    } catch (const std::exception& error) {
      return engine + ": " + error.what();
    }
  }
  return "";
}

struct Tally {
  int passed = 0, failed = 0, skipped = 0;
  std::map<std::string, int> reasons;
};

void judge(const Case& one, const fs::path& folder, bool verbose, Tally& tally) {
  std::string skip, failure;
  try {
    const Graph graph = read_onnx((folder / "model.onnx").string());
    if (verbose) fmt::print("{}\n", print(graph));
    skip = skip_reason(graph);
    if (skip.empty()) {
      verify(graph);
      failure = run_case(graph, folder, one);
    }
  } catch (const std::exception& error) {
    failure = error.what();
  }
  if (!skip.empty()) {
    ++tally.skipped;
    ++tally.reasons[skip];
  } else {
    ++(failure.empty() ? tally.passed : tally.failed);
  }
  if (!failure.empty()) fmt::print("FAIL {}: {}\n", one.name, failure);
  else if (verbose) fmt::print("{} {}\n", skip.empty() ? "pass" : "skip", one.name + (skip.empty() ? "" : ": " + skip));
}

int run_all(const fs::path& folder, const std::string& only) {
  std::istringstream lines(read_text((folder / "cases.txt").string()));
  Tally tally;
  for (Case one; lines >> one.name >> one.relative >> one.absolute;)
    if (one.name.find(only) != std::string::npos) judge(one, folder / one.name, !only.empty(), tally);
  if (tally.skipped > 0) fmt::print("skipped, by reason:\n");
  for (const auto& [reason, count] : tally.reasons) fmt::print("{:5}  {}\n", count, reason);
  fmt::print("{} passed, {} failed, {} skipped\n", tally.passed, tally.failed, tally.skipped);
  return tally.failed > 0 || tally.passed == 0 ? 1 : 0;
}

}  // namespace
}  // namespace pare

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() != 1 && !(words.size() == 3 && words[1] == "--only")) {
    fmt::print(stderr, "usage: onnx_cases FOLDER [--only SUBSTRING]\n");
    return 2;
  }
  try {
    return pare::run_all(words[0], words.size() == 3 ? words[2] : "");
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
