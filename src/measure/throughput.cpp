// Tokens a second of a language model: a prompt read at once, then tokens written one by one behind it.
#include <algorithm>
#include <chrono>

#include "base/threads.h"
#include "language/decoder.h"
#include "measure/measure.h"
#include "measure/statistics.h"

namespace pare {
namespace {

constexpr int64_t kPrompt = 256, kWritten = 64;  // tokens
constexpr int kLeastRounds = 3, kMostRounds = 25;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::optional<Throughput> measure_throughput(const Graph& graph, const std::string& path,
                                             const MeasureOptions& options) {
  if (!Decoder::fits(graph)) return std::nullopt;
  Decoder decoder(graph, kPrompt + kWritten, options.threads > 0 ? options.threads : threads(), path);
  decoder.prepare(kPrompt);
  const std::vector<int64_t> prompt(size_t(kPrompt), 0);  // no token takes longer than another
  std::vector<double> reading, writing;
  for (double spent = 0; int(reading.size()) < kMostRounds && !interrupted();) {
    if (int(reading.size()) >= kLeastRounds && spent > options.seconds) break;
    decoder.forget();
    reading.push_back(seconds_of([&] { decoder.read(prompt); }));
    writing.push_back(seconds_of([&] {
      for (int64_t i = 0; i < kWritten; ++i) decoder.read({prompt.data(), 1});
    }));
    spent += reading.back() + writing.back();
  }
  if (reading.empty()) return std::nullopt;
  return Throughput{double(kPrompt) / median(reading), double(kWritten) / median(writing)};
}

}  // namespace pare
