#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace pare {

// A session's plan: layer, implementation, precision, why; with times where they were measured.
std::string plan_text(const std::vector<LayerReport>& layers);
nlohmann::json plan_json(const std::vector<LayerReport>& layers);

}  // namespace pare
