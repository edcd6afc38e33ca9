// Chooses the command, shows errors, sets the exit status; what a command does stands in its own file.
#include <csignal>
#include <cstdio>
#include <new>

#include "base/error.h"
#include "base/fields.h"
#include "base/ranks.h"
#include "base/threads.h"
#include "command.h"
#include "output.h"

namespace pare {

#define COMMAND(name) extern const Command command_##name;
#include "commands.inc"
#undef COMMAND

std::span<const Command* const> commands() {
  static const Command* const all[] = {
#define COMMAND(name) &command_##name,
#include "commands.inc"
#undef COMMAND
  };
  return all;
}

namespace {

// The first Ctrl-C asks long work to stop with what it has; the second ends the program.
void stop(int) {
  set_interrupted();
  std::signal(SIGINT, SIG_DFL);
}

std::string way_in() {
  std::string text =
      "pare " PARE_VERSION ": makes trained models smaller and faster, and measures what that costs.\n\nStart with\n";
  text += aligned(
      {{"  pare inspect model.onnx", "what is in it and where the time goes"},
       {"  pare study model.onnx --data data.toml --out study", "try the usual ways, one table and report.html"},
       {"  pare compress model.onnx --recipe quantize-static --data data.toml -o small.onnx", ""}});
  text += "\nCommands (pare COMMAND --help tells more)\n";
  std::vector<std::vector<std::string>> lines;
  for (const Command* command : commands())
    if (!command->hidden) lines.push_back({std::string("  ") + command->name, command->summary});
  return text + aligned(lines);
}

void add_shared(CLI::App& app, Shared& shared) {
  app.add_option("--json", shared.json, "write the result as JSON to this file, - for standard output")
      ->type_name("FILE");
  app.add_option("--threads", shared.threads, "threads to compute with")
      ->check(CLI::Range(1, hardware_threads()))
      ->capture_default_str();
  app.add_option("--seed", shared.seed, "of everything random")->capture_default_str();
  app.add_flag("--quiet", shared.quiet, "print nothing but errors");
}

// "did you mean --recipe?" for what the parser did not expect.
std::string typo_hint(const CLI::App& app, int argc, char** argv) {
  const auto chosen = app.get_subcommands();
  if (chosen.empty()) {
    std::vector<std::string> names;
    for (const Command* command : commands())
      if (!command->hidden) names.push_back(command->name);
    const std::string near = argc > 1 ? nearest_word(argv[1], names) : "";
    return near.empty() ? "`pare` lists the commands" : "did you mean `pare " + near + "`?";
  }
  std::vector<std::string> known;
  for (const CLI::Option* option : chosen[0]->get_options())
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  for (int i = 2; i < argc; ++i) {
    const std::string given = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
    if (!given.starts_with("--") || std::find(known.begin(), known.end(), given) != known.end()) continue;
    const std::string near = nearest_word(given, known);
    if (!near.empty()) return "did you mean " + near + "?";
  }
  return "`pare " + chosen[0]->get_name() + " --help` shows what it takes";
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Makes trained models smaller and faster, and measures what that costs.", "pare");
  app.set_version_flag("--version", "pare " PARE_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  Shared shared;
  shared.threads = hardware_threads();
  std::function<int()> run;
  for (const Command* command : commands()) {
    std::string name = command->name;
    CLI::App* sub = app.add_subcommand(name, command->summary);
    if (command->hidden) sub->group("");
    sub->footer(std::string("\nExample:\n  ") + command->example);
    const auto declared = command->declare(*sub, shared);
    sub->callback([&run, declared] { run = declared; });
    add_shared(*sub, shared);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    const bool no_command = app.get_subcommands().empty();
    throw UsageError("", no_command ? std::string("there is no command '") + argv[1] + "'" : error.what(),
                     typo_hint(app, argc, argv));
  }
  set_threads(shared.threads);
  return run();
}

int report_error(const std::string& text, int status) {
  clear_progress();
  std::fprintf(stderr, "pare: %s\n", text.c_str());
  std::fflush(stderr);
  leave_ranks(true);  // others that wait for this process would wait for ever
  return status;
}

}  // namespace
}  // namespace pare

int main(int argc, char** argv) {
  std::signal(SIGINT, pare::stop);
  try {
    int status = 0;
    if (argc == 1)
      std::fputs(pare::way_in().c_str(), stdout);
    else
      status = pare::parse_and_run(argc, argv);
    pare::finish_output();
    pare::leave_ranks(false);
    return status;
  } catch (const pare::UsageError& error) {
    return pare::report_error(error.what(), 2);
  } catch (const pare::Error& error) {
    return pare::report_error(error.what(), 1);
  } catch (const std::bad_alloc&) {
    return pare::report_error("out of memory\n  close other programs, or use a machine with more", 1);
  } catch (const std::exception& error) {
    return pare::report_error(
        std::string("internal error: ") + error.what() + "\n  please report this with the command line that caused it",
        1);
  }
}
