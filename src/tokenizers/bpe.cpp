// Byte-pair encoding (Sennrich et al. 2016): a piece starts as characters; of all neighbours that may merge those merge
// first whose rule stands first, the leftmost of equals. SentencePiece's kind has scores instead of rules: any two
// neighbours that make up a token may merge, the highest score first.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <queue>
#include <unordered_map>

#include "base/error.h"
#include "tokenizers/steps.h"
#include "tokenizers/unicode.h"

namespace pare {
namespace {

struct Merge {
  int32_t rank = -1, id = -1;  // lower ranks first; id: of the token that results
};

class BytePairs : public TokenModel {
 public:
  BytePairs(const TokenizerParts& parts, const Vocabulary& vocabulary)
      : tokens_(parts.vocabulary), vocabulary_(vocabulary) {
    const Json options = parts.options.is_object() ? parts.options : Json::object();
    read_options(options, parts.where);
    if (tokens_.size() > INT32_MAX) throw Error(parts.where, "the vocabulary is too large");
    if (!parts.scores.empty())
      rank_by_score(parts);
    else
      rank_by_rule(parts);
  }

  void encode(std::string_view piece, std::vector<int64_t>& ids) const override {
    if (whole_first_)
      if (const int64_t id = vocabulary_.find(piece); id >= 0) return ids.push_back(id);
    std::vector<Symbol> symbols = first_symbols(piece);
    merge(symbols);
    for (const Symbol& symbol : symbols)
      if (symbol.alive) ids.push_back(symbol.id);
  }

 private:
  struct Symbol {
    int32_t id, previous, next;
    bool alive;
  };
  struct Candidate {
    int32_t rank, at, id;
    bool operator<(const Candidate& other) const {  // the queue's top is the largest
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };

  void read_options(const Json& options, const std::string& where) {
    const auto text = [&](const char* key) {
      return options.contains(key) && !options[key].is_null() ? text_of(options, key, where) : std::string();
    };
    byte_fallback_ = flag_of(options, "byte_fallback", false, where);
    fuse_unknown_ = flag_of(options, "fuse_unk", false, where);
    whole_first_ = flag_of(options, "ignore_merges", false, where);
    prefix_ = text("continuing_subword_prefix");
    suffix_ = text("end_of_word_suffix");
    if (const std::string unknown = text("unk_token"); !unknown.empty()) {
      unknown_ = int32_t(vocabulary_.find(unknown));
      if (unknown_ < 0)
        throw Error(where, "the token for unknown characters, \"" + unknown + "\", is not in the vocabulary");
    }
    for (int byte = 0; byte < 256; ++byte) bytes_[byte] = int32_t(vocabulary_.find(fmt::format("<0x{:02X}>", byte)));
  }

  void rank_by_rule(const TokenizerParts& parts) {
    merges_.reserve(parts.merges.size());
    for (size_t rank = 0; rank < parts.merges.size(); ++rank) {
      const auto& [left, right] = parts.merges[rank];
      const bool prefixed = right.size() >= prefix_.size() && right.starts_with(prefix_);
      const std::string merged = left + (prefixed ? right.substr(prefix_.size()) : right);
      const int64_t a = vocabulary_.find(left), b = vocabulary_.find(right), c = vocabulary_.find(merged);
      if (a < 0 || b < 0 || c < 0)
        throw Error(parts.where, fmt::format("merge {} is \"{}\" with \"{}\", but \"{}\" is not in the vocabulary",
                                             rank, left, right,
                                             a < 0   ? left
                                             : b < 0 ? right
                                                     : merged));
      merges_[key_of(int32_t(a), int32_t(b))] = {int32_t(rank), int32_t(c)};  // of a rule given twice the last counts
    }
  }

  void rank_by_score(const TokenizerParts& parts) {
    if (parts.scores.size() != tokens_.size())
      throw Error(parts.where, fmt::format("{} scores for {} tokens", parts.scores.size(), tokens_.size()));
    std::vector<int32_t> order(tokens_.size());
    std::iota(order.begin(), order.end(), 0);
    const auto score = [&](int32_t id) {
      return std::isnan(parts.scores[size_t(id)]) ? -INFINITY : parts.scores[size_t(id)];
    };
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return score(a) > score(b); });
    rank_of_.resize(tokens_.size());
    for (size_t i = 0; i < order.size(); ++i)  // equal scores share a rank: the leftmost merges first
      rank_of_[size_t(order[i])] =
          i > 0 && score(order[i]) == score(order[i - 1]) ? rank_of_[size_t(order[i - 1])] : int32_t(i);
  }

  static uint64_t key_of(int32_t left, int32_t right) { return uint64_t(uint32_t(left)) << 32 | uint32_t(right); }

  Merge merge_of(int32_t left, int32_t right) const {
    if (rank_of_.empty()) {
      const auto at = merges_.find(key_of(left, right));
      return at == merges_.end() ? Merge() : at->second;
    }
    const int64_t id = vocabulary_.find(tokens_[size_t(left)] + tokens_[size_t(right)]);
    return id < 0 ? Merge() : Merge{rank_of_[size_t(id)], int32_t(id)};
  }

  std::vector<Symbol> first_symbols(std::string_view piece) const {
    std::vector<Symbol> symbols;
    const auto add = [&](int32_t id) {
      const auto at = int32_t(symbols.size());
      symbols.push_back({id, at - 1, at + 1, true});
    };
    bool pending_unknown = false;
    const auto flush = [&] {
      if (pending_unknown) add(unknown_);
      pending_unknown = false;
    };
    for (size_t at = 0; at < piece.size();) {
      const size_t length = character_bytes(piece[at]);
      std::string text = (at > 0 ? prefix_ : "") + std::string(piece.substr(at, length));
      if (at + length == piece.size()) text += suffix_;
      at += length;
      if (const int64_t id = vocabulary_.find(text); id >= 0) {
        flush();
        add(int32_t(id));
      } else if (byte_fallback_ &&
                 std::all_of(text.begin(), text.end(), [&](char c) { return bytes_[uint8_t(c)] >= 0; })) {
        for (const char c : text) add(bytes_[uint8_t(c)]);
      } else if (unknown_ >= 0) {
        if (!fuse_unknown_) flush();
        pending_unknown = true;
      }  // else the character is lost: the vocabulary has no way to say it
    }
    flush();
    if (!symbols.empty()) symbols.back().next = -1;
    return symbols;
  }

  void merge(std::vector<Symbol>& symbols) const {
    std::priority_queue<Candidate> queue;
    const auto offer = [&](int32_t left) {
      if (left < 0 || symbols[size_t(left)].next < 0) return;
      const Merge found = merge_of(symbols[size_t(left)].id, symbols[size_t(symbols[size_t(left)].next)].id);
      if (found.rank >= 0) queue.push({found.rank, left, found.id});
    };
    for (size_t i = 0; i + 1 < symbols.size(); ++i) offer(int32_t(i));
    while (!queue.empty()) {
      const Candidate best = queue.top();
      queue.pop();
      Symbol& left = symbols[size_t(best.at)];
      if (!left.alive || left.next < 0) continue;
      Symbol& right = symbols[size_t(left.next)];
      if (merge_of(left.id, right.id).id != best.id) continue;  // one of the two has merged since
      left.id = best.id;
      right.alive = false;
      left.next = right.next;
      if (left.next >= 0) symbols[size_t(left.next)].previous = best.at;
      offer(left.previous);
      offer(best.at);
    }
  }

  const std::vector<std::string>& tokens_;
  const Vocabulary& vocabulary_;
  std::unordered_map<uint64_t, Merge> merges_;
  std::vector<int32_t> rank_of_;  // by token; empty where rules decide
  std::string prefix_, suffix_;
  int32_t unknown_ = -1, bytes_[256];
  bool byte_fallback_ = false, fuse_unknown_ = false, whole_first_ = false;
};

}  // namespace

std::unique_ptr<TokenModel> make_bpe(const TokenizerParts& parts, const Vocabulary& vocabulary) {
  return std::make_unique<BytePairs>(parts, vocabulary);
}

}  // namespace pare
