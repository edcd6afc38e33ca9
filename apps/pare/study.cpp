#include <fmt/format.h>

#include <filesystem>

#include "base/files.h"
#include "base/ranks.h"
#include "command.h"
#include "compress.h"
#include "formats/format.h"
#include "measure/measure.h"
#include "output.h"
#include "report/report.h"
#include "study_state.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string model, data, recipes, out, format = "onnx";
  double seconds = 4;
};

// Where processes leave the rows of their shares, in the folder.
std::string share_file(int rank) { return fmt::format("rows.{}.json", rank); }
std::vector<fs::path> share_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (const std::string name = entry.path().filename(); name.starts_with("rows.") && name.ends_with(".json") && name != "rows.json") files.push_back(entry.path());
  return files;
}
// Every row that a process left there, else an earlier run.
std::map<std::string, Row> all_finished_rows(const fs::path& folder) {
  std::map<std::string, Row> rows;
  for (const fs::path& file : share_files(folder)) rows.merge(read_finished_rows(file));
  rows.merge(read_finished_rows(folder / "rows.json"));
  return rows;
}

// What a killed run may have left half written.
void remove_leftovers(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string ending = entry.path().extension();
    if (ending.starts_with(".part") && ending.find_first_not_of("0123456789", 5) == std::string::npos)
      fs::remove(entry.path(), ignored);
  }
}

class Study {
 public:
  Study(const Arguments& arguments, const Shared& shared, const DataSet& data, std::vector<StudyRecipe> recipes, std::string rows_file = "rows.json")
      : arguments_(arguments),
        shared_(shared),
        data_(data),
        recipes_(std::move(recipes)),
        rows_file_(std::move(rows_file)),
        finished_(all_finished_rows(arguments.out)) {
    progress_ = terminal_progress(shared);
    for (const Format* format : formats())
      if (arguments.format == format->name) ending_ = format->extension;
    measuring_.threads = shared.threads;
    measuring_.seed = shared.seed;
    measuring_.seconds = arguments.seconds;
    measuring_.data = &data_;
    measuring_.progress = progress_;
    models_.reserve(recipes_.size() + 1);  // the baseline is referred to while others are added
  }

  static void prepare_folders(const std::string& out) {
    const fs::path artifacts = fs::path(out) / "artifacts";
    std::error_code code;
    fs::create_directories(artifacts, code);
    if (code) throw Error(artifacts.string(), "cannot be made: " + code.message(), "choose another --out");
    remove_leftovers(artifacts);
    remove_leftovers(out);
  }

  // Of several processes one's share: rows for the others to find, no latencies, no page.
  void run_share(int rank, int count) {
    make_baseline();
    for (size_t i = 0; i < recipes_.size() && !interrupted(); ++i)
      if (int(i) % count == rank) make_row(i);
  }

  int run() {
    make_baseline();
    for (size_t i = 0; i < recipes_.size() && !interrupted(); ++i) make_row(i);
    return finish();
  }

 private:
  std::string rows_path() const { return (fs::path(arguments_.out) / rows_file_).string(); }
  fs::path artifacts() const { return fs::path(arguments_.out) / "artifacts"; }

  // Figures that depend on nothing but the key; latency is only comparable within a run and measured anew.
  bool take_finished(const std::string& key, const std::string& path, const std::string& name) {
    const auto old = finished_.find(key);
    if (old == finished_.end() || old->second.model != path || !fs::exists(path) ||
        artifact_bytes(path) != old->second.size_bytes)
      return false;
    OpenModel model = open_model(path, measuring_);
    model.row = old->second;
    model.row.name = name;
    model.row.latency.reset();
    models_.push_back(std::move(model));
    keys_.push_back(key);
    ++reused_;
    return true;
  }

  void make_baseline() {
    const std::string key = study_key(arguments_.model, arguments_.data, "", shared_.seed);
    if (take_finished(key, arguments_.model, "baseline")) return;
    models_.push_back(open_model(arguments_.model, measuring_));
    keys_.push_back(key);
    models_[0].row.name = "baseline";
    fill_row(models_[0], models_[0].graph, baseline_quality_, measuring_);
    save();
  }

  void make_row(size_t index) {
    const StudyRecipe& recipe = recipes_[index];
    const std::string path = (artifacts() / (artifact_stem(index + 1, recipe) + ending_)).string();
    const std::string key = study_key(arguments_.model, arguments_.data, recipe.recipe, shared_.seed);
    if (take_finished(key, path, recipe.name)) return;
    const std::string where =
        fmt::format("[{}/{}] {}", index + 1, recipes_.size(), recipe.name.empty() ? recipe.recipe : recipe.name);
    const auto told = [this, where](const std::string& what, double done, double total) {
      progress_(where + ": " + what, done, total);
    };
    OpenModel& model = models_.emplace_back();
    keys_.push_back(key);
    model.row.model = path;
    model.row.recipe = recipe.recipe;
    model.row.name = recipe.name;
    try {
      fill(model, recipe, progress_ ? Progress(told) : Progress());
    } catch (const Error& error) {
      if (interrupted()) {
        models_.pop_back();
        keys_.pop_back();
        return;
      }
      model.row.error = error.what();
    }
    save();
  }

  void fill(OpenModel& model, const StudyRecipe& recipe, const Progress& progress) {
    const std::string path = model.row.model;
    const PipelineResult result =
        compress_model({arguments_.model, recipe.recipe, path, &data_, shared_.seed, progress});
    // What training had when it was stopped is no row of a study: the next run continues it.
    if (result.stopped) throw Error(path, "interrupted while it was trained");
    double seconds = 0;
    std::vector<std::string> notes;
    for (const PassRecord& record : result.passes) {
      seconds += record.seconds;
      notes.insert(notes.end(), record.notes.begin(), record.notes.end());
    }
    model = open_model(path, measuring_);
    model.row.name = recipe.name;
    model.row.compress_seconds = seconds;
    model.row.notes = std::move(notes);
    MeasureOptions measuring = measuring_;
    measuring.progress = progress;
    fill_row(model, models_[0].graph, baseline_quality_, measuring);
  }

  Table table() const {
    Table table;
    table.machine = describe_machine(shared_.threads, PARE_VERSION);
    table.title = fs::path(arguments_.model).filename().string();
    table.data = data_.summary;
    for (const OpenModel& model : models_) table.rows.push_back(model.row);
    return table;
  }

  void save() {
    changed_ = true;
    write_rows(rows_path(), table(), keys_);
  }

  int finish() {
    if (!interrupted()) fill_latency(models_, measuring_);
    Table result = table();
    if (!interrupted()) fill_examples(result, models_, measuring_);
    result.recommendation = recommend(result);
    // Stopped before anything new was made: what an earlier run wrote, with its latencies, is worth more.
    const bool write = changed_ || !interrupted();
    const std::string page = (fs::path(arguments_.out) / "report.html").string();
    if (write) {
      write_rows(rows_path(), result, keys_);
      write_text(page, html_page(result));
    }
    say(shared_, text_table(result, terminal_width(), terminal_colour()));
    say(shared_, "\n" + result.recommendation + (result.recommendation.ends_with('\n') ? "\n" : "\n\n"));
    for (const std::string& line : pruning_words(result)) say(shared_, line + "\n");
    for (const std::string& note : result.rows[0].notes) say(shared_, "Note: " + note + "\n");
    if (reused_ > 0)
      say(shared_,
          fmt::format("{} of {} rows taken from the earlier run in {}\n", reused_, models_.size(), arguments_.out));
    if (write) say(shared_, page + "\n" + rows_path() + "\n");
    give_json(shared_, to_json(result));
    if (!interrupted()) return 0;
    remark(shared_, fmt::format("stopped: {} of {} rows are done; the same command again goes on from here\n",
                                models_.size(), recipes_.size() + 1));
    return kStoppedByUser;
  }

  const Arguments& arguments_;
  const Shared& shared_;
  const DataSet& data_;
  std::vector<StudyRecipe> recipes_;
  std::string rows_file_;
  std::map<std::string, Row> finished_;
  std::string ending_;             // of artifacts
  MeasureOptions measuring_;
  Progress progress_;
  std::vector<OpenModel> models_;  // the first is the baseline
  std::vector<std::string> keys_;  // of models_
  std::optional<Quality> baseline_quality_;
  size_t reused_ = 0;
  bool changed_ = false;
};

int run(const Arguments& arguments, const Shared& shared) {
  const Ranks& all = ranks();
  std::vector<StudyRecipe> recipes = arguments.recipes.empty() ? default_recipes() : read_recipes(arguments.recipes);
  const DataSet data = read_data_set(arguments.data);
  if (all.first()) Study::prepare_folders(arguments.out);
  all.meet();
  if (all.count() > 1) {
    const Shared speaking = for_rank(shared);
    {
      const RanksApart apart;
      Study(arguments, speaking, data, recipes, share_file(all.rank())).run_share(all.rank(), all.count());
    }
    all.meet();
    if (!all.first()) return 0;
  }
  // One process gathers what all have made, and times the models with the machine to itself.
  const RanksApart apart;
  const int status = Study(arguments, shared, data, std::move(recipes)).run();
  std::error_code ignored;
  if (status == 0)
    for (const fs::path& file : share_files(arguments.out)) fs::remove(file, ignored);
  return status;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "the model to study; it is the baseline")->required();
  app.add_option("--data", arguments->data, "data description (TOML) with a test and a calibration split")
      ->required()
      ->type_name("FILE");
  app.add_option("--recipes", arguments->recipes,
                 "recipes to try, one a line, # for comments; default: float16, bfloat16 and four kinds of int8")
      ->type_name("FILE");
  app.add_option("--out", arguments->out,
                 "folder for report.html, rows.json and artifacts/; an interrupted study in it is continued")
      ->required()
      ->type_name("DIR");
  std::vector<std::string> names;
  for (const Format* format : formats()) names.emplace_back(format->name);
  app.add_option("--format", arguments->format,
                 "of the artifacts: pack shows what pruning saves on disk, an onnx file stores zeros in full")
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  app.add_option("--seconds", arguments->seconds, "time spent on latency, all models together")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  return [=, &shared] { return run(*arguments, shared); };
}

}  // namespace

extern const Command command_study;
const Command command_study = {"study", "Tries many recipes on a model; one table, one page, the smaller models.",
                               "pare study model.onnx --data data.toml --out study", declare};

}  // namespace pare
