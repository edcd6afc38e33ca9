// Peak memory is a process's, and this one has held other models: the program is run anew with a hidden command that
// loads the model, runs it once and prints its own peak.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base/threads.h"
#include "measure/measure.h"

extern char** environ;

namespace pare {
namespace {

struct ChildResult {
  int status = 0;
  std::string output;
};

// stdout and stderr into one pipe.
ChildResult run_child(const std::vector<std::string>& arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error("memory", std::string("cannot open a pipe: ") + std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t child = 0;
  const int code = posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (code != 0) {
    close(ends[0]);
    throw Error("memory", "cannot run " + arguments[0] + " anew: " + std::strerror(code));
  }
  ChildResult result;
  char buffer[4096];
  ssize_t got = 0;
  while ((got = read(ends[0], buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR))
    if (got > 0) result.output.append(buffer, size_t(got));
  close(ends[0]);
  while (waitpid(child, &result.status, 0) < 0 && errno == EINTR) {
  }
  return result;
}

}  // namespace

int64_t measure_memory(const std::string& path, const std::vector<Array>& inputs, const MeasureOptions& options) {
  const int count = options.threads > 0 ? options.threads : threads();
  std::vector<std::string> arguments = {options.program, "measure-memory", path, "--threads", std::to_string(count)};
  for (const Array& input : inputs) {
    arguments.push_back("--shape");
    arguments.push_back(dims_text(input.dims()));
  }
  const ChildResult result = run_child(arguments);
  char* end = nullptr;
  const long long bytes = std::strtoll(result.output.c_str(), &end, 10);
  if (!WIFEXITED(result.status) || WEXITSTATUS(result.status) != 0 || bytes <= 0)
    throw Error(path, "its peak memory could not be measured: " +
                          (WIFSIGNALED(result.status)
                               ? std::string("the process was ended by signal ") + strsignal(WTERMSIG(result.status))
                               : result.output));
  return bytes;
}

int64_t peak_memory_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::strtoll(line.c_str() + 6, nullptr, 10) * 1024;
  return 0;
}

}  // namespace pare
