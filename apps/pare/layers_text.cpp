#include "layers_text.h"

#include <algorithm>

#include "output.h"
#include "report/figures.h"

namespace pare {

std::string plan_text(const std::vector<LayerReport>& layers) {
  const bool timed =
      std::any_of(layers.begin(), layers.end(), [](const LayerReport& layer) { return layer.milliseconds > 0; });
  std::vector<std::vector<std::string>> lines;
  lines.push_back({"layer", "op", "precision", "implementation", timed ? "time" : "", "note"});
  for (const LayerReport& layer : layers)
    lines.push_back({layer.name.empty() ? layer.output : layer.name, layer.op, layer.precision, layer.implementation,
                     timed ? milliseconds_text(layer.milliseconds) : "", layer.note});
  return aligned(lines, {4});
}

nlohmann::json plan_json(const std::vector<LayerReport>& layers) {
  nlohmann::json json = nlohmann::json::array();
  for (const LayerReport& layer : layers)
    json.push_back({{"name", layer.name},
                    {"op", layer.op},
                    {"output", layer.output},
                    {"implementation", layer.implementation},
                    {"precision", layer.precision},
                    {"note", layer.note},
                    {"macs", layer.macs},
                    {"weight_bytes", layer.weight_bytes},
                    {"milliseconds", layer.milliseconds}});
  return json;
}

}  // namespace pare
