#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <fstream>

#include "base/threads.h"
#include "measure/measure.h"

namespace pare {
namespace {

// The value behind `key` in a file of "key: value" or KEY="value" lines; "" if there is none.
std::string value_in(const char* path, const std::string& key, char separator) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t at = line.find(separator);
    if (at == std::string::npos) continue;
    const size_t first = line.find_first_not_of(" \t\"", at + 1), last = line.find_last_not_of(" \t\"");
    if (first != std::string::npos && first <= last) return line.substr(first, last - first + 1);
  }
  return "";
}

// What matters to the kernels, widest last.
std::string instruction_sets() {
#if defined(__x86_64__)
  std::string text = "x86-64";
  const auto add = [&text](const char* name, bool present) {
    if (present) text += std::string(" ") + name;
  };
  add("avx2", __builtin_cpu_supports("avx2"));
  add("fma", __builtin_cpu_supports("fma"));
  add("avx512f", __builtin_cpu_supports("avx512f"));
  add("avx512vnni", __builtin_cpu_supports("avx512vnni"));
  add("avx512bf16", __builtin_cpu_supports("avx512bf16"));
  return text;
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "unknown";
#endif
}

std::string date_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace

nlohmann::json describe_machine(int threads, const std::string& version) {
  std::string cpu = value_in("/proc/cpuinfo", "model name", ':');
  std::string os = value_in("/etc/os-release", "PRETTY_NAME", '=');
  utsname system{};
  if (uname(&system) == 0) os += std::string(os.empty() ? "" : ", ") + system.sysname + " " + system.release;
  return {{"cpu", cpu.empty() ? std::string("unknown") : cpu},
          {"cores", hardware_threads()},
          {"isa", instruction_sets()},
          {"memory_bytes", int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE)},
          {"os", os},
          {"threads", threads > 0 ? threads : pare::threads()},
          {"pare", version},
          {"date", date_now()}};
}

}  // namespace pare
