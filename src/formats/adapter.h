#pragma once
// Files that hold a model's low-rank adapters without the model: PEFT's layout (adapter_config.json beside
// adapter_model.safetensors) and GGUF's (general.type = adapter, as llama.cpp takes with --lora).
#include <string>

#include "graph/adapters.h"

namespace pare {

// A folder with adapter_config.json, a .safetensors file beside one, or a GGUF file that says so.
bool is_adapter_file(const std::string& path);
std::string adapter_file(const std::string& path);  // a folder stands for the file in it
// Puts the file's adapters beside the graph's layers. Throws Error: damaged files, layers the graph does not have.
void apply_adapter_file(Graph& graph, const std::string& path);
// Writes the graph's adapters, by the ending of `path`. Throws Error where the layout cannot hold them.
void write_adapter_file(const Graph& graph, const std::string& path);

}  // namespace pare
