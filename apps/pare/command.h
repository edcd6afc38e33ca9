#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/error.h"
#include "base/progress.h"

namespace pare {

// What every command takes.
struct Shared {
  std::string json;  // file, "-" for stdout, empty: none
  int threads = 1;   // main sets the cores this process may use
  uint64_t seed = 1;
  bool quiet = false;
};

// A command: one file and one row of commands.inc. declare() adds its arguments to `app` and returns what runs after
// all of the command line has been read; it returns the exit status and throws Error (1) or UsageError (2).
struct Command {
  const char* name;
  const char* summary;  // one line
  const char* example;  // shown under its --help
  std::function<int()> (*declare)(CLI::App& app, const Shared& shared);
  bool hidden = false;
};

std::span<const Command* const> commands();  // the catalog, in the order people meet them

constexpr int kStoppedByUser = 130;  // the shell's status for Ctrl-C: what was finished is written, the rest is missing

}  // namespace pare
