#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.h"

namespace pare {

// Text for people on stdout; nothing with --quiet, and nothing where stdout carries the JSON.
void say(const Shared& shared, const std::string& text);
// For one of several processes that work together: the first speaks as it is told to, the others say nothing.
Shared for_rank(const Shared& shared);
// What must not be missed although stdout may be a file: to stderr, not with --quiet.
void remark(const Shared& shared, const std::string& text);
// The command's result as --json asks; nothing without --json.
void give_json(const Shared& shared, const nlohmann::json& json);
// Throws Error where stdout did not take everything (a full disk, a closed pipe).
void finish_output();

// A line on stderr that moves along; silent with --quiet and where stderr is no terminal.
Progress terminal_progress(const Shared& shared);
void clear_progress();

int terminal_width();    // columns of stdout; 0 where it is no terminal
bool terminal_colour();  // a terminal, and NO_COLOR is not set

// Cells padded to aligned columns, two spaces between; columns named in `right` are aligned to the right.
// Widths count UTF-8 characters.
std::string aligned(const std::vector<std::vector<std::string>>& lines, const std::vector<size_t>& right = {});

}  // namespace pare
