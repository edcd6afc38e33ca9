// Families and tensor names, both ways.
#include <charconv>

#include "formats/language/decoder.h"

namespace pare {
namespace {

constexpr DecoderFamily kFamilies[] = {
#define FAMILY(...) {__VA_ARGS__},
#include "formats/language/families.inc"
#undef FAMILY
};

constexpr TensorRow kTensors[] = {
#define TENSOR(...) {__VA_ARGS__},
#include "formats/language/tensors.inc"
#undef TENSOR
};

std::string_view name_in(const TensorRow& row, Naming naming) { return naming == Naming::hf ? row.hf : row.gguf; }

// The layer where `name` is `pattern` with a number for {}; -1 where it is the pattern itself, nothing where it is neither.
std::optional<int64_t> layer_in(std::string_view name, std::string_view pattern) {
  const size_t hole = pattern.find("{}");
  if (hole == std::string_view::npos) return name == pattern ? std::optional<int64_t>(-1) : std::nullopt;
  const std::string_view behind = pattern.substr(hole + 2);
  if (name.size() <= hole + behind.size() || !name.starts_with(pattern.substr(0, hole)) || !name.ends_with(behind)) return std::nullopt;
  const std::string_view digits = name.substr(hole, name.size() - hole - behind.size());
  int64_t layer = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
  if (error != std::errc() || end != digits.data() + digits.size() || layer < 0) return std::nullopt;
  return layer;
}

}  // namespace

const DecoderFamily* find_family_by_hf(std::string_view model_type) {
  for (const DecoderFamily& family : kFamilies)
    if (model_type == family.hf_type) return &family;
  return nullptr;
}

const DecoderFamily* find_family_by_gguf(std::string_view architecture) {
  for (const DecoderFamily& family : kFamilies)
    if (architecture == family.gguf_name) return &family;
  return nullptr;
}

std::string known_families() {
  std::string text;
  for (const DecoderFamily& family : kFamilies) text += (text.empty() ? "" : ", ") + std::string(family.hf_type);
  return text;
}

std::span<const TensorRow> tensor_rows() { return kTensors; }

std::optional<TensorPlace> place_of(std::string_view name, Naming naming) {
  for (const TensorRow& row : kTensors)
    if (const auto layer = layer_in(name, name_in(row, naming))) return TensorPlace{&row, *layer};
  return std::nullopt;
}

std::string tensor_name(std::string_view role, int64_t layer, Naming naming) {
  for (const TensorRow& row : kTensors) {
    if (role != row.role) continue;
    std::string name(name_in(row, naming));
    if (const size_t hole = name.find("{}"); hole != std::string::npos) name.replace(hole, 2, std::to_string(layer));
    return name;
  }
  PARE_CHECK(false);
}

}  // namespace pare
