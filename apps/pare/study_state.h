#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/row.h"

namespace pare {

struct StudyRecipe {
  std::string name;    // for people; empty: the report derives one
  std::string recipe;  // canonical
};
// The usual ways, from the safest to the boldest.
std::vector<StudyRecipe> default_recipes();
// One recipe a line, # starts a comment. Throws UsageError naming file and line.
std::vector<StudyRecipe> read_recipes(const std::string& path);
// "03-quantize-static-entropy": a file name that tells the recipe.
std::string artifact_stem(size_t index, const StudyRecipe& recipe);

// What a row depends on; a row whose key is the same need not be made again.
std::string study_key(const std::string& model, const std::string& data, const std::string& recipe, uint64_t seed);

// Finished rows of an earlier run by key; empty where there are none or the file is damaged.
std::map<std::string, Row> read_finished_rows(const std::string& path);
// rows.json, with each row's key beside its figures. Written under its name only when complete.
void write_rows(const std::string& path, const Table& table, const std::vector<std::string>& keys);

}  // namespace pare
