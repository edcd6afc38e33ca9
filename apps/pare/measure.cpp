#include "measure/measure.h"

#include "command.h"
#include "output.h"
#include "report/report.h"
#include "shapes.h"

namespace pare {
namespace {

struct Arguments {
  std::vector<std::string> models, shapes;
  std::string data;
  int batch = 1;
  double seconds = 3;
};

int run(const Arguments& arguments, const Shared& shared) {
  MeasureOptions options;
  options.threads = shared.threads;
  options.batch = arguments.batch;
  options.shapes = parse_shapes(arguments.shapes);
  options.seed = shared.seed;
  options.seconds = arguments.seconds;
  options.progress = terminal_progress(shared);
  std::optional<DataSet> data;
  if (!arguments.data.empty()) options.data = &data.emplace(read_data_set(arguments.data));
  Table table = measure_models(arguments.models, options);
  table.machine = describe_machine(shared.threads, PARE_VERSION);
  if (table.rows.size() > 1) table.recommendation = recommend(table);
  say(shared, text_table(table, terminal_width(), terminal_colour()));
  if (!table.rows.empty())
    for (const std::string& note : table.rows[0].notes) say(shared, "Note: " + note + "\n");
  give_json(shared, to_json(table));
  if (interrupted()) return kStoppedByUser;
  for (const Row& row : table.rows)
    if (!row.error.empty()) return 1;
  return 0;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->models,
                 "models to measure; the first is the baseline the others are compared with")
      ->required();
  app.add_option("--data", arguments->data,
                 "data description (TOML): quality is judged on its test split; without it only speed and size")
      ->type_name("FILE");
  app.add_option("--batch", arguments->batch, "samples of one inference when timing")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option(
         "--shape", arguments->shapes,
         "extents to time with where the model leaves them open: NAME=1x3x64x64, or 1x3x64x64 for the first input")
      ->type_name("SHAPE")
      ->allow_extra_args(false);
  app.add_option("--seconds", arguments->seconds, "time spent on latency, all models together")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  return [=, &shared] { return run(*arguments, shared); };
}

}  // namespace

extern const Command command_measure;
const Command command_measure = {"measure",
                                 "Size, quality, latency, memory and energy of models, side by side in one run.",
                                 "pare measure model.onnx small.onnx --data data.toml", declare};

}  // namespace pare
