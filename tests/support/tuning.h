#pragma once
// What layers remember of their measuring, changed: so that a test runs every form of a layer.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace pare::testing {

// Gives every remembered choice in `folder` the value that `choose` finds for its line; -1: as it is. Returns how many it changed.
template <class Choose>
int rewrite_choices(const std::string& folder, const Choose& choose) {
  int lines = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream in(entry.path());
    std::string changed, line;
    while (std::getline(in, line)) {
      const int choice = choose(line);
      lines += choice >= 0;
      changed += (choice >= 0 ? line.substr(0, line.rfind('\t') + 1) + std::to_string(choice) : line) + "\n";
    }
    std::ofstream(entry.path()) << changed;
  }
  return lines;
}

// … one value to all whose line `which` says yes to.
template <class Which>
int remember(const std::string& folder, const Which& which, int choice) {
  return rewrite_choices(folder, [&](const std::string& line) { return which(line) ? choice : -1; });
}

// … to float convolutions that `which` says yes to the form of this name, where they have one: lines name all forms behind their key,
// oneDNN's as "onednn …", ours as "float_…", and layouts have different ones.
template <class Which>
int remember_form(const std::string& folder, const Which& which, const std::string& name) {
  return rewrite_choices(folder, [&](const std::string& line) {
    if (!which(line)) return -1;
    std::istringstream words(line.substr(0, line.rfind('\t')));
    std::string word;
    words >> word;  // float_conv
    int before = 0;
    while (words >> word && word != name) before += word == "onednn" || word.starts_with("float_");
    return word == name ? before : -1;
  });
}

}  // namespace pare::testing
