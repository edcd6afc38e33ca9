#pragma once
// What a language model's checkpoint says about text: its tokenizer, its special tokens, how a chat is written.
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "tokenizers/tokenizer.h"

namespace pare {

struct ChatMessage {
  std::string role, content;   // "system", "user", "assistant"
};

struct TextModel {
  std::optional<Tokenizer> tokenizer;
  std::vector<int64_t> stops;       // tokens that end a text
  std::string chat_template;        // as the checkpoint has it; "" where it has none
};

// From the texts or the GGUF metadata that reading kept in the graph. Throws Error (where) where they are damaged; the
// tokenizer is absent where there is none.
TextModel text_model_of(const Graph& graph, const std::string& where);

// The messages as the model's template writes them, with the beginning of an answer behind them. Templates are recognized
// by their markers (ChatML, Llama 2 and 3); throws Error naming what is known.
std::string chat_text(const std::string& chat_template, const std::vector<ChatMessage>& messages);

}  // namespace pare
