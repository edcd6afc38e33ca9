#pragma once
// Parts of the program that are libraries of their own, loaded when they are needed.
#include <filesystem>
#include <string>

namespace pare {

// Beside the program, in ../lib or in the folder above; empty: in none of these.
std::filesystem::path find_library(const std::string& name);
// The function `entry` of a library. `global`: its symbols are there for what it loads itself. Throws Error with `advice`.
void* load_library(const std::filesystem::path& path, const char* entry, bool global, const std::string& advice);

}  // namespace pare
