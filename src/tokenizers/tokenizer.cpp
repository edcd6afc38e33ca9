#include "tokenizers/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "tokenizers/added_tokens.h"
#include "tokenizers/steps.h"
#include "tokenizers/unicode.h"

namespace pare {
namespace {

const ModelKind& find_model(const TokenizerParts& parts) {
  std::string known;
  for (const ModelKind& kind : model_kinds()) {
    if (kind.name == parts.model) return kind;
    known += (known.empty() ? "" : ", ") + std::string(kind.name);
  }
  throw Error(parts.where, "the model \"" + parts.model + "\" is not known", "known: " + known);
}

}  // namespace

struct Tokenizer::State {
  TokenizerParts parts;
  Vocabulary vocabulary;
  std::unique_ptr<TokenModel> model;
  Normalizer normalizer;
  Splitter splitter;
  Decoder decoder;
  Template around;
  TokenFinder raw, normalized;
  struct Added {
    const AddedToken* token;
    std::string text;  // as it is found, and written when decoding
  };
  std::map<int64_t, Added> added;  // by id

  explicit State(TokenizerParts given) : parts(std::move(given)), vocabulary(parts.vocabulary) {
    model = find_model(parts).make(parts, vocabulary);
    parts.merges = {};  // megabytes that the model has in a form of its own
    parts.scores = {};
    normalizer = make_normalizer(parts.normalizer, parts.where);
    splitter = make_splitter(parts.pre_tokenizer, parts.where);
    decoder = make_decoder(parts.decoder, parts.where);
    around = make_template(parts.post_processor, parts.where);
    for (const AddedToken& token : parts.added) {
      if (token.id < 0 || token.id > INT32_MAX)
        throw Error(parts.where, fmt::format("the id {} of \"{}\" is not one", token.id, token.text));
      const bool late = token.normalized && !token.special && normalizer;
      const std::string text = late ? normalizer(to_utf8(token.text)) : token.text;
      (token.normalized && !token.special ? normalized : raw).add(token, text);
      added[token.id] = {&token, text};
    }
  }

  void encode_text(std::string_view text, bool first, std::vector<int64_t>& ids) const {
    const std::string plain = normalizer ? normalizer(std::string(text)) : std::string(text);
    size_t at = 0;
    for (const Stretch& stretch : normalized.split(plain)) {
      if (stretch.id >= 0) {
        ids.push_back(stretch.id);
      } else {
        std::vector<Piece> pieces = {{std::string(stretch.text), first && at == 0}};
        if (splitter) pieces = splitter(std::move(pieces));
        for (const Piece& piece : pieces) model->encode(piece.text, ids);
      }
      at += stretch.text.size();
    }
  }
};

Tokenizer::Tokenizer(TokenizerParts parts) : state_(std::make_unique<const State>(std::move(parts))) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::read(const std::string& path) {
  return Tokenizer(parse_tokenizer(read_text(path), path));
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, bool special, int64_t length) const {
  std::string mended;
  if (!is_utf8(text)) text = mended = to_utf8(text);
  std::vector<int64_t> ids;
  if (special) ids = state_->around.before;
  size_t at = 0;
  for (const Stretch& stretch : state_->raw.split(text)) {
    if (stretch.id >= 0)
      ids.push_back(stretch.id);
    else
      state_->encode_text(stretch.text, at == 0, ids);
    at += stretch.text.size();
  }
  const size_t after = special ? state_->around.after.size() : 0;
  if (length > 0) ids.resize(std::min(ids.size(), size_t(std::max<int64_t>(0, length - int64_t(after)))));
  if (special) ids.insert(ids.end(), state_->around.after.begin(), state_->around.after.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  for (const int64_t id : ids) {
    const auto added = state_->added.find(id);
    if (added != state_->added.end() && added->second.token->special && skip_special) continue;
    if (const std::string& text = token(id); !text.empty()) tokens.push_back(text);
  }
  if (state_->decoder) {
    tokens = state_->decoder(std::move(tokens));
    return to_utf8(fmt::format("{}", fmt::join(tokens, "")));
  }
  return to_utf8(fmt::format("{}", fmt::join(tokens, " ")));
}

int64_t Tokenizer::size() const {
  const int64_t last = state_->added.empty() ? 0 : state_->added.rbegin()->first + 1;
  return std::max(last, int64_t(state_->parts.vocabulary.size()));
}

const std::string& Tokenizer::token(int64_t id) const {
  static const std::string none;
  if (const auto added = state_->added.find(id); added != state_->added.end()) return added->second.text;
  return id >= 0 && size_t(id) < state_->parts.vocabulary.size() ? state_->parts.vocabulary[size_t(id)] : none;
}

int64_t Tokenizer::id_of(std::string_view token) const {
  for (const auto& [id, added] : state_->added)
    if (added.token->text == token) return id;
  return state_->vocabulary.find(token);
}

int64_t Tokenizer::length() const {
  return state_->parts.length;
}

int64_t Tokenizer::pad_id() const {
  return state_->parts.pad_id;
}

std::string TokenStream::next(int64_t id) {
  ids_.push_back(id);
  const std::string before = tokenizer_.decode(std::span(ids_).first(context_)), all = tokenizer_.decode(ids_);
  // What ends in U+FFFD may become a character with the next token. The tokens given out stay as context, because the
  // first token of a text is written differently from later ones.
  if (all.size() <= before.size() || all.ends_with("\xEF\xBF\xBD")) return "";
  ids_.erase(ids_.begin(), ids_.begin() + ptrdiff_t(context_));
  context_ = ids_.size();
  return all.substr(before.size());
}

std::string TokenStream::finish() {
  const std::string before = tokenizer_.decode(std::span(ids_).first(context_)), all = tokenizer_.decode(ids_);
  ids_.clear();
  context_ = 0;
  return all.size() > before.size() ? all.substr(before.size()) : "";
}

}  // namespace pare
