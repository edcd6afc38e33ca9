#include <fmt/format.h>

#include "report/figures.h"
#include "report/html.h"

namespace pare {
namespace {

using Json = nlohmann::json;

std::string machine_text(const Json& value, const std::string& key) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() && key.ends_with("_bytes")) return size_text(value.get<double>());
  if (value.is_array()) {
    std::string text;
    for (const Json& element : value)
      text += (text.empty() ? "" : ", ") + machine_text(element.is_structured() ? Json("…") : element, "");
    return text;
  }
  if (value.is_object()) return "{…}";  // writing it out would follow any depth
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string entry(const std::string& term, const std::string& text) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", escaped(term, 80), escaped(text, 600));
}

struct MachineWord {
  const char *key, *title;
};
constexpr MachineWord machine_words[] = {{"cpu", "Processor"},       {"cores", "Cores"}, {"isa", "Instruction set"},
                                         {"memory_bytes", "Memory"}, {"os", "System"},   {"threads", "Threads"},
                                         {"pare", "pare"},           {"date", "Date"}};

std::string machine_entries(const Json& machine) {
  std::string html;
  if (!machine.is_object()) return html;
  for (const auto& [key, title] : machine_words) {
    const auto found = machine.find(key);
    if (found != machine.end() && !found->is_null()) html += entry(title, machine_text(*found, key));
  }
  constexpr size_t most_others = 12;
  size_t others = 0;
  for (const auto& [key, value] : machine.items()) {
    bool known = value.is_null();
    for (const MachineWord& word : machine_words) known |= key == word.key;
    if (!known && others++ < most_others) html += entry(key, machine_text(value, key));
  }
  return html;
}

}  // namespace

std::string about_section(const Sheet& sheet) {
  std::string columns, energy;
  bool measured = false;
  for (const Column* column : sheet.columns) {
    measured |= column->key == std::string("energy");
    columns += entry(column->title, column->help);
  }
  const std::string note = sheet.energy_note();
  energy = measured ? (note.empty() ? "Read from the processor’s own counter." : note)
                    : "Not measured" + (note.empty() ? std::string(".") : ": " + note);
  std::string html = "<section id=\"about\"><h2>How this was measured</h2><p>";
  html +=
      "Latency comes from runs that alternate between the model and the baseline in one process, so that both see the "
      "same machine; the "
      "speed is the ratio of the two with its 95&nbsp;% interval. Quality carries a 95&nbsp;% interval (Wilson for "
      "counts, "
      "bootstrap otherwise) and "
      "is compared sample by sample with the baseline’s, by McNemar’s exact test where answers are right or wrong, else by drawing the same samples anew for both.</p>";
  html += "<h3>Machine</h3><dl class=\"facts\" id=\"machine\">" + machine_entries(sheet.table.machine) + "</dl>";
  html += "<h3>Data and energy</h3><dl class=\"facts\">" +
          entry("Data", sheet.table.data.empty() ? "None given." : sheet.table.data) + entry("Energy", energy) +
          "</dl>";
  if (!columns.empty()) html += "<h3>What the columns say</h3><dl class=\"columns\">" + columns + "</dl>";
  return html + "</section>";
}

}  // namespace pare
