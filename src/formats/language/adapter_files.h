#pragma once
// What both layouts of adapter files share: layers by the names of Hugging Face checkpoints, rows as files hold them.
#include "formats/adapter.h"
#include "formats/language/checkpoint.h"

namespace pare {

// `scale` of each as the layout says it; rows of B in the order of the layout.
std::vector<AdapterFactors> read_peft(const std::string& path);
// The same of what the files hold: adapter_config.json's text, the tensors.
std::vector<AdapterFactors> peft_adapters(std::string_view config, const std::map<std::string, TensorPtr>& tensors,
                                          const std::string& path);
std::vector<AdapterFactors> read_gguf_adapter(const GgufFile& file, const std::string& path);
void write_peft(const Graph& graph, const std::vector<AdapterFactors>& adapters, const std::string& path);
void write_gguf_adapter(const Graph& graph, const std::vector<AdapterFactors>& adapters, const std::string& path);
// Puts them beside the graph's layers, the rows of B in the order of the layer's weight. `gguf`: they came in that
// layout.
void apply_adapters(Graph& graph, std::vector<AdapterFactors> adapters, bool gguf, const std::string& path);
bool is_decoder(const Graph& graph);   // of a family that checkpoints hold
bool is_gguf_adapter(const GgufFile& file);

}  // namespace pare
