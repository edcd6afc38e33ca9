#include "study_state.h"

#include <fmt/format.h>

#include <cctype>
#include <sstream>

#include "base/files.h"
#include "formats/format.h"
#include "passes/pass.h"

namespace pare {
namespace {

// FNV-1a, 64 bits: tells files apart, protects against nothing.
uint64_t digest(std::span<const std::byte> bytes, uint64_t hash = 0xcbf29ce484222325u) {
  for (std::byte byte : bytes) hash = (hash ^ uint64_t(byte)) * 0x100000001b3u;
  return hash;
}

uint64_t digest_text(const std::string& text, uint64_t hash) {
  return digest(std::as_bytes(std::span(text)), hash);
}

}  // namespace

std::vector<StudyRecipe> default_recipes() {
  std::vector<StudyRecipe> recipes = {
      {"float16", "fold-batchnorm, cast-weights{type=f16}"},
      {"bfloat16", "fold-batchnorm, cast-weights{type=bf16}"},
      {"int8 dynamic", "fold-batchnorm, quantize-dynamic"},
      {"int8", "fold-batchnorm, quantize-static"},
      {"int8 entropy", "fold-batchnorm, quantize-static{calibration=entropy}"},
      {"int8 equalized", "fold-batchnorm, equalize-layers, quantize-static{calibration=mse}, correct-bias"},
  };
  for (StudyRecipe& recipe : recipes) recipe.recipe = canonical_recipe(recipe.recipe);
  return recipes;
}

std::vector<StudyRecipe> read_recipes(const std::string& path) {
  std::vector<StudyRecipe> recipes;
  std::istringstream lines(read_text(path));
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      recipes.push_back({"", canonical_recipe(line)});
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}:{}: {}", path, number, error.where()), error.problem(), error.fix());
    }
  }
  if (recipes.empty()) throw UsageError(path, "holds no recipe", "write one recipe a line; # starts a comment");
  return recipes;
}

std::string artifact_stem(size_t index, const StudyRecipe& recipe) {
  std::string words = recipe.name;
  if (words.empty())
    for (const RecipeStep& step : parse_recipe(recipe.recipe)) words += (words.empty() ? "" : " ") + step.name;
  std::string stem;
  for (char c : words) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (plain)
      stem += c;
    else if (!stem.empty() && stem.back() != '-')
      stem += '-';
  }
  return fmt::format("{:02}-{}", index, stem.substr(0, 60));
}

std::string study_key(const std::string& model, const std::string& data, const std::string& recipe, uint64_t seed) {
  uint64_t hash = digest({});
  for (const std::string& file : model_files(model)) hash = digest(MappedFile::open(file)->bytes(), hash);
  hash = digest(MappedFile::open(data)->bytes(), hash);
  hash = digest_text(recipe, hash);
  return fmt::format("{:016x}-{}", hash, seed);
}

std::map<std::string, Row> read_finished_rows(const std::string& path) {
  std::map<std::string, Row> rows;
  try {
    const auto json = nlohmann::json::parse(read_text(path));
    for (const auto& row : json.at("rows"))
      if (row.at("key").is_string() && row.at("error").is_null())
        rows[row.at("key").get<std::string>()] = row_from_json(row, path);
  } catch (const std::exception&) {
    return rows;  // what cannot be read is made again
  }
  return rows;
}

void write_rows(const std::string& path, const Table& table, const std::vector<std::string>& keys) {
  nlohmann::json json = to_json(table);
  for (size_t i = 0; i < keys.size(); ++i) json["rows"][i]["key"] = keys[i];
  write_text(path, json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace pare
