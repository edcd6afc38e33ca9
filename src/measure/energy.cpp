// RAPL through Linux's powercap: /sys/class/powercap/intel-rapl:<package>/energy_uj, microjoules that wrap around at
// max_energy_range_uj (Linux Documentation/power/powercap/powercap.rst). AMD's counters appear under the same names.
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "measure/measure.h"

namespace pare {
namespace {

constexpr double kSeconds = 1;  // the counter moves every millisecond: 0.1 % of this

std::optional<double> read_number(const std::filesystem::path& path) {
  std::ifstream file(path);
  double value = 0;
  return file >> value ? std::optional(value) : std::nullopt;
}

struct Counter {
  std::filesystem::path folder;
  double range = 0, start = 0;
};

// Whole packages only ("intel-rapl:0"): their parts ("intel-rapl:0:0") are contained in them.
std::vector<std::filesystem::path> packages() {
  std::vector<std::filesystem::path> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/class/powercap", ignored)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("intel-rapl:") && name.find(':') == name.rfind(':')) found.push_back(entry.path());
  }
  return found;
}

}  // namespace

Energy measure_energy(Session& session, const std::vector<Array>& inputs) {
  const auto folders = packages();
  if (folders.empty())
    return {std::nullopt, "this machine shows no energy counter (no RAPL under /sys/class/powercap)"};
  std::vector<Counter> counters;
  for (const auto& folder : folders) {
    const auto start = read_number(folder / "energy_uj");
    if (!start)
      return {std::nullopt, "the energy counter " + (folder / "energy_uj").string() + " may not be read by this user"};
    counters.push_back({folder, read_number(folder / "max_energy_range_uj").value_or(0), *start});
  }
  const auto begin = std::chrono::steady_clock::now();
  int64_t runs = 0;
  while (std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() < kSeconds || runs == 0) {
    session.run_only(inputs);
    ++runs;
  }
  double microjoules = 0;
  for (const Counter& counter : counters) {
    const auto now = read_number(counter.folder / "energy_uj");
    if (!now) return {std::nullopt, "the energy counter stopped being readable"};
    microjoules += *now - counter.start + (*now < counter.start ? counter.range : 0);
  }
  return {microjoules * 1e-6 / double(runs), "whole CPU packages (RAPL), idle power and other programs included"};
}

}  // namespace pare
