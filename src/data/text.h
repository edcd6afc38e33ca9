#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/data_set.h"
#include "data/description.h"
#include "tokenizers/tokenizer.h"

namespace pare {

// From a text's token ids to what the model takes. Member initialisers are the only defaults.
struct TextOptions {
  enum class Input { ids, mask, types, positions };  // of one text: 1 for every token of the mask, 0 for every type
  std::shared_ptr<const Tokenizer> tokenizer;        // null: only token ids can be read
  int64_t length = 512;  // tokens at most; what is longer is cut at its end. A tokenizer's own limit comes first
  bool padding = true;   // texts judged together are filled up to one length
  int64_t pad_id = 0;    // token that fills up; a tokenizer's own comes first
  std::vector<std::pair<std::string, Input>> inputs = {{"attention_mask", Input::mask},
                                                       {"input_ids", Input::ids},
                                                       {"position_ids", Input::positions},
                                                       {"token_type_ids", Input::types}};

  static TextOptions read(const std::optional<Section>& section);
  std::vector<std::string> input_names() const;
  Padding filling() const;
};

// Texts as token ids, kept one after the other: a few bytes a token.
class TokenSamples : public Samples {
 public:
  explicit TokenSamples(TextOptions options) : options_(std::move(options)) {}
  // Ids beyond the options' length are dropped. Throws Error (where) for no ids or ids outside 0 … 2³¹−1.
  // `given`: as in Sample.
  void add(const std::vector<int64_t>& ids, int64_t label, const std::string& where, int64_t given = 0);
  void add(const std::string& text, int64_t label, const std::string& where);  // needs a tokenizer

  // The sample added last is a question with an answer.
  void describe(const Truth::Choice& choice);

  int64_t size() const override { return int64_t(labels_.size()); }
  int64_t length(int64_t index) const override;
  Sample get(int64_t index) const override;  // int64 1xT an input, in the order of the options' inputs
  Truth truth(int64_t index) const override;

 private:
  TextOptions options_;
  std::vector<int32_t> ids_;
  std::vector<size_t> starts_ = {0};  // of sample i, and the end of the last
  std::vector<int64_t> labels_, given_;
  std::vector<std::optional<Truth::Choice>> choices_;  // of the first samples; empty where nothing was said
};

// Throws where texts are to be read and there is no tokenizer.
void need_tokenizer(const TextOptions& options, const Section& section);
// The class a label names: its place among `classes`, else the whole number it is. Throws Error (where).
int64_t label_of(const std::string& text, const std::vector<std::string>& classes, const std::string& where);

}  // namespace pare
