#pragma once
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/engine.h"

namespace pare {

// A language model that reads token by token and remembers: sessions for a few numbers of tokens share one cache of keys
// and values. For graphs as the readers of checkpoints build them.
class Decoder {
 public:
  static bool fits(const Graph& graph);   // whether it has the form that is needed
  // `capacity`: tokens it can remember, their keys and values kept as `kept` says. Throws Error (where) for graphs of
  // another form.
  Decoder(Graph graph, int64_t capacity, int threads, const std::string& where, KeyValues kept = KeyValues::f16);

  // Reads `ids` behind what it has read; the scores of the token that follows, [vocabulary], valid until the next call.
  // Throws Error where the cache is full or an id is none.
  std::span<const float> read(std::span<const int64_t> ids);
  // Compiles ahead what reading so many tokens at once, then one by one, will run.
  void prepare(int64_t tokens);
  int64_t past() const { return cache_->past; }
  int64_t capacity() const { return cache_->capacity; }
  void forget(int64_t past = 0) { cache_->past = past; }   // all but the first `past` tokens

 private:
  Session& session(int64_t tokens);

  Graph graph_;
  std::string where_;
  int threads_;
  int64_t vocabulary_ = 0;
  std::shared_ptr<DecoderCache> cache_;
  std::map<int64_t, Session> sessions_;   // by tokens a run
  std::vector<Array> outputs_;
};

}  // namespace pare
