#pragma once
// What layers remember of their measuring, changed: so that a test runs every form of a layer.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace pare::testing {

// Gives every remembered choice in `folder` whose line `which` says yes to another value; returns how many lines there were.
template <class Which>
int remember(const std::string& folder, const Which& which, int choice) {
  int lines = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream in(entry.path());
    std::string changed, line;
    while (std::getline(in, line)) {
      const bool own = which(line);
      lines += own;
      changed += (own ? line.substr(0, line.rfind('\t') + 1) + std::to_string(choice) : line) + "\n";
    }
    std::ofstream(entry.path()) << changed;
  }
  return lines;
}

// Gives every remembered float convolution that has a form of this name, and whose line `which` says yes to, that form: lines name
// them all behind their key, oneDNN's as "onednn …", ours as "float_…", and layouts have different ones.
template <class Which>
int remember_form(const std::string& folder, const Which& which, const std::string& name) {
  int lines = 0;
  const auto index = [&](const std::string& line) {
    std::istringstream words(line.substr(0, line.rfind('\t')));
    std::string word;
    words >> word;  // float_conv
    int before = 0;
    while (words >> word && word != name) before += word == "onednn" || word.starts_with("float_");
    return word == name ? before : -1;
  };
  for (int choice = 0; choice < 8; ++choice) lines += remember(folder, [&](const std::string& line) { return which(line) && index(line) == choice; }, choice);
  return lines;
}

}  // namespace pare::testing
