#include "report/report.h"

#include "base/files.h"
#include "command.h"
#include "output.h"

namespace pare {
namespace {

int run(const std::string& rows, const std::string& out, const Shared& shared) {
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(read_text(rows));
  } catch (const nlohmann::json::exception& error) {
    throw Error(rows, std::string("is not JSON: ") + error.what(),
                "give the rows.json of `pare study`, or what `pare measure --json` wrote");
  }
  Table table = table_from_json(json, rows);
  if (table.recommendation.empty()) table.recommendation = recommend(table);
  write_text(out, html_page(table));
  say(shared, text_table(table, terminal_width(), terminal_colour()) + "\n" + out + " written\n");
  give_json(shared, to_json(table));
  return 0;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  const auto rows = std::make_shared<std::string>();
  const auto out = std::make_shared<std::string>("report.html");
  app.add_option("ROWS", *rows, "rows of a study or measurement (JSON)")->required();
  app.add_option("-o,--output", *out, "the page to write")->type_name("FILE")->capture_default_str();
  return [=, &shared] { return run(*rows, *out, shared); };
}

}  // namespace

extern const Command command_report;
const Command command_report = {"report", "One self-contained HTML page from measured rows.",
                                "pare report study/rows.json -o report.html", declare};

}  // namespace pare
