#include "catalog_page.h"

#include <fmt/format.h>

#include "output.h"

namespace pare {
namespace {

struct Arguments {
  std::string name;
  bool markdown = false;
};

// "0 to 1", "max, percentile or mse".
std::string values_text(const Field& field) {
  if (!field.choices.empty()) {
    std::string text;
    for (size_t i = 0; i < field.choices.size(); ++i)
      text += (i == 0 ? "" : i + 1 == field.choices.size() ? " or " : ", ") + field.choices[i];
    return text;
  }
  if (field.least == 0 && field.most == 0) return "text";
  return number_text(field.least) + " to " + number_text(field.most) + (field.unit.empty() ? "" : " " + field.unit);
}

std::string details_text(const CatalogEntry& entry) {
  std::string text = entry.name + (entry.mark.empty() ? "" : " (" + entry.mark + ")") + "\n" + entry.summary + "\n";
  std::vector<std::vector<std::string>> facts;
  for (const auto& [label, fact] : entry.facts)
    if (!fact.empty()) facts.push_back({"  " + label, fact});
  text += (facts.empty() ? "" : "\n") + aligned(facts);
  if (!entry.fields.empty()) text += "\noptions\n";
  for (const Field& field : entry.fields)
    text += fmt::format("  {}={}\n      {}\n      {}\n", field.name, field.fallback, field.help, values_text(field));
  return text + (entry.drawing.empty() ? "" : "\n" + entry.drawing + (entry.drawing.ends_with('\n') ? "" : "\n"));
}

std::string list_text(const CatalogPage& page) {
  std::vector<std::vector<std::string>> lines;
  for (const CatalogEntry& entry : page.entries)
    lines.push_back({entry.name, entry.summary + (entry.mark.empty() ? "" : " (" + entry.mark + ")")});
  return aligned(lines);
}

std::string escaped(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

std::string markdown(const CatalogPage& page) {
  std::string text = "# " + page.title + "\n\n" + page.intro + "\n";
  for (const CatalogEntry& entry : page.entries) {
    text += "\n## " + entry.name + "\n\n" + entry.summary + "\n";
    std::string facts;
    for (const auto& [label, fact] : entry.facts)
      if (!fact.empty()) facts += "- " + label + ": " + fact + "\n";
    if (!facts.empty()) text += "\n" + facts;
    if (!entry.fields.empty()) text += "\n| option | default | values | meaning |\n|---|---|---|---|\n";
    for (const Field& field : entry.fields)
      text += fmt::format("| `{}` | {} | {} | {} |\n", field.name,
                          field.fallback.empty() ? "" : "`" + escaped(field.fallback) + "`",
                          escaped(values_text(field)), escaped(field.help));
    if (!entry.drawing.empty())
      text += "\n```\n" + entry.drawing + (entry.drawing.ends_with('\n') ? "" : "\n") + "```\n";
  }
  return text;
}

nlohmann::json entry_json(const CatalogEntry& entry) {
  nlohmann::json json = {{"name", entry.name}, {"summary", entry.summary}};
  for (const auto& [label, fact] : entry.facts) json[label] = fact;
  if (!entry.mark.empty()) json["note"] = entry.mark;
  if (!entry.drawing.empty()) json["layout"] = entry.drawing;
  for (const Field& field : entry.fields) {
    nlohmann::json option = {{"name", field.name},
                             {"unit", field.unit},
                             {"help", field.help},
                             {"default", field.fallback},
                             {"search", field.search}};
    if (!field.choices.empty()) option["choices"] = field.choices;
    if (field.least != 0 || field.most != 0) option.update({{"least", field.least}, {"most", field.most}});
    json["options"].push_back(std::move(option));
  }
  return json;
}

int show(CatalogPage page, const Arguments& arguments, const Shared& shared) {
  if (!arguments.name.empty()) {
    std::vector<std::string> names;
    for (const CatalogEntry& entry : page.entries) names.push_back(entry.name);
    std::erase_if(page.entries, [&](const CatalogEntry& entry) { return entry.name != arguments.name; });
    const std::string near = nearest_word(arguments.name, names);
    if (page.entries.empty())
      throw UsageError("", "there is no '" + arguments.name + "' in this list",
                       near.empty() ? "leave the name out for the list" : "did you mean '" + near + "'?");
  }
  if (arguments.markdown)
    say(shared, markdown(page));
  else if (!arguments.name.empty())
    say(shared, details_text(page.entries[0]));
  else
    say(shared, list_text(page));
  nlohmann::json json = nlohmann::json::array();
  for (const CatalogEntry& entry : page.entries) json.push_back(entry_json(entry));
  give_json(shared, json);
  return 0;
}

}  // namespace

std::function<int()> declare_catalog(CLI::App& app, const Shared& shared, CatalogPage (*page)()) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("NAME", arguments->name, "show all about this one");
  app.add_flag("--markdown", arguments->markdown, "as a page of the reference documentation");
  return [=, &shared] { return show(page(), *arguments, shared); };
}

}  // namespace pare
