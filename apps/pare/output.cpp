#include "output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/ranks.h"

namespace pare {
namespace {

bool progress_shown = false;

size_t characters(const std::string& text) {
  return size_t(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

void say(const Shared& shared, const std::string& text) {
  if (shared.quiet || shared.json == "-") return;
  clear_progress();
  std::fwrite(text.data(), 1, text.size(), stdout);
}

Shared for_rank(const Shared& shared) {
  if (ranks().first()) return shared;
  Shared silent = shared;
  silent.quiet = true;
  silent.json.clear();
  return silent;
}

void remark(const Shared& shared, const std::string& text) {
  if (shared.quiet) return;
  clear_progress();
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void give_json(const Shared& shared, const nlohmann::json& json) {
  if (shared.json.empty()) return;
  const std::string text = json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (shared.json != "-") return write_text(shared.json, text);
  clear_progress();
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void finish_output() {
  clear_progress();
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  throw Error("standard output",
              std::string("cannot be written") + (errno != 0 ? std::string(": ") + std::strerror(errno) : ""));
}

Progress terminal_progress(const Shared& shared) {
  if (shared.quiet || isatty(STDERR_FILENO) == 0) return {};
  using Clock = std::chrono::steady_clock;
  const auto last = std::make_shared<Clock::time_point>();
  return [last](const std::string& what, double done, double total) {
    const auto now = Clock::now();
    if (progress_shown && now - *last < std::chrono::milliseconds(100)) return;
    *last = now;
    std::string line = what.substr(0, 100);
    if (total > 0) line += ": " + std::to_string(int(100 * done / total)) + " %";
    std::fprintf(stderr, "\r\033[K%s", line.c_str());
    std::fflush(stderr);
    progress_shown = true;
  };
}

void clear_progress() {
  if (!progress_shown) return;
  std::fputs("\r\033[K", stderr);
  progress_shown = false;
}

int terminal_width() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

bool terminal_colour() {
  return isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
}

std::string aligned(const std::vector<std::vector<std::string>>& lines, const std::vector<size_t>& right) {
  std::vector<size_t> widths;
  for (const auto& line : lines) {
    if (widths.size() < line.size()) widths.resize(line.size());
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], characters(line[i]));
  }
  std::string text;
  for (const auto& line : lines) {
    std::string row;
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string padding(widths[i] - characters(line[i]), ' ');
      const bool to_right = std::find(right.begin(), right.end(), i) != right.end();
      row += (i > 0 ? "  " : "") + (to_right ? padding + line[i] : line[i] + padding);
    }
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  }
  return text;
}

}  // namespace pare
