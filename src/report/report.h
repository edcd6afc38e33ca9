#pragma once
#include <string>

#include "base/row.h"

namespace pare {

// Rows as aligned columns for a terminal `width` columns wide (0: as wide as it takes), with foot notes. Columns that
// do not fit are left out, the least important first, and named. `colour` adds ANSI colours.
std::string text_table(const Table& table, int width, bool colour);

// One self-contained HTML file: works offline, asks nobody for anything, stays below 1 MB.
std::string html_page(const Table& table);

// What to use, in plain words. The first line is the decision, each further line a reservation or an alternative.
std::string recommend(const Table& table);

// Up to where pruning is free, from where on it is faster: a sentence for each recipe measured at three sparsities or
// more; none where the table has no such recipe.
std::vector<std::string> pruning_words(const Table& table);

// The columns of both as a Markdown table, for the documentation.
std::string columns_markdown();

}  // namespace pare
