#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/files.h"
#include "engine/clock.h"
#include "engine/plan.h"

namespace pare {
namespace {

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  std::string line, name;
  for (const char* key : {"model name", "cpu family", "model\t", "stepping"}) {
    info.clear();
    info.seekg(0);
    while (std::getline(info, line))
      if (line.rfind(key, 0) == 0) {
        name += line.substr(line.find(':') + 1);
        break;
      }
  }
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

std::string cache_path() {
  const char *given = std::getenv("PARE_CACHE"), *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  const std::string folder = given ? given : cache ? std::string(cache) + "/pare" : home ? std::string(home) + "/.cache/pare" : "";
  return folder.empty() ? "" : folder + "/tuning-" + cpu_name() + ".txt";
}

void make_folders(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) mkdir(path.substr(0, slash).c_str(), 0755);
}

constexpr char kGuess = '~';

std::map<std::string, TuningCache::Choice> read_choices(const std::string& path) {
  std::map<std::string, TuningCache::Choice> choices;
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line)) {
    const size_t tab = line.rfind('\t');
    if (tab != std::string::npos) choices[line.substr(0, tab)] = {std::atoi(line.c_str() + tab + 1), line.back() == kGuess, false};
  }
  return choices;
}

}  // namespace

int runnable_threads() {
  std::ifstream load("/proc/loadavg");
  double averages[3];
  int runnable = 0;
  load >> averages[0] >> averages[1] >> averages[2] >> runnable;
  return load ? runnable : 0;
}

// One line a choice: key, tab, number, and a mark where it is a guess. A damaged line is as good as none.
TuningCache::TuningCache(bool persistent, int threads, int (*runnable)()) : threads_(threads), runnable_(runnable) {
  static const int at_start = runnable_threads();
  calm_ = (runnable == runnable_threads ? at_start : runnable()) <= 1;
  if (!persistent) return;
  path_ = cache_path();
  choices_ = read_choices(path_);
}

TuningCache::~TuningCache() { save(); }

void TuningCache::save() {
  if (!changed_ || path_.empty()) return;
  changed_ = false;
  try {  // a cache that cannot be written costs time, nothing else
    make_folders(path_);
    std::map<std::string, Choice> all = read_choices(path_);
    for (const auto& [key, choice] : choices_)
      if (choice.own) all[key] = choice;
    write_file(path_, [&](std::ostream& out) {
      for (const auto& [key, choice] : all) out << key << '\t' << choice.value << (choice.guess ? std::string(1, kGuess) : "") << '\n';
    });
  } catch (const Error&) {
  }
}

std::optional<int> TuningCache::find(const std::string& key) const {
  const auto it = choices_.find(key);
  return it == choices_.end() || (it->second.guess && calm_ && !it->second.own) ? std::nullopt : std::optional(it->second.value);
}

void TuningCache::store(const std::string& key, int choice) {
  choices_[key] = {choice, runnable_() > threads_, true};
  changed_ = true;
}

std::vector<double> least_times(int count, const std::function<void(int)>& run, const std::function<void(int)>& warm) {
  std::vector<double> best(size_t(count), 1e300);
  const double start = now_us();
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < count; ++i) {
      if (warm) warm(i);
      const double begin = now_us();
      run(i);
      if (round > 0) best[size_t(i)] = std::min(best[size_t(i)], now_us() - begin);  // the first round warms up
    }
    if (round >= 3 && now_us() - start > 60e3) break;  // large layers repeat themselves inside one run
  }
  return best;
}

int fastest_of(int count, const std::function<void(int)>& run) {
  if (count <= 1) return 0;
  const std::vector<double> times = least_times(count, run);
  return int(std::min_element(times.begin(), times.end()) - times.begin());
}

}  // namespace pare
