#include <map>

#include "graph/ops/ops.h"

namespace pare {
namespace {

// The n-grams a model counts: attribute pool_int64s holds all of 1 word, then all of 2 words, …; ngram_counts says where
// each length starts; ngram_indexes gives the place of each in the result, in the same order.
struct Grams {
  std::map<std::vector<int64_t>, size_t> number;  // words → which n-gram
  std::vector<int64_t> places;
  int64_t extent = 0, shortest = 1, longest = 1, skips = 0;
};

Grams grams_of(const Node& node) {
  Grams grams;
  if (node.has("pool_strings")) throw Error(node.where(), "counts strings, which pare does not compute with");
  const std::vector<int64_t> pool = node.integers("pool_int64s"), starts = node.integers("ngram_counts");
  grams.places = node.integers("ngram_indexes");
  grams.shortest = node.integer("min_gram_length", 1);
  grams.longest = node.integer("max_gram_length", 1);
  grams.skips = node.integer("max_skip_count", 0);
  if (grams.shortest < 1 || grams.longest < grams.shortest || grams.skips < 0 || grams.skips > 1 << 20 || grams.longest > 1 << 20)
    throw Error(node.where(), "min_gram_length, max_gram_length and max_skip_count do not fit together");
  for (int64_t place : grams.places) {
    if (place < 0 || place > int64_t(1) << 30) throw Error(node.where(), "has place " + std::to_string(place) + " among ngram_indexes");
    grams.extent = std::max(grams.extent, place + 1);
  }
  size_t number = 0;
  for (size_t length = 1; length <= starts.size(); ++length) {
    const int64_t start = starts[length - 1], end = length < starts.size() ? starts[length] : int64_t(pool.size());
    if (start < 0 || end < start || end > int64_t(pool.size()) || (end - start) % int64_t(length) != 0)
      throw Error(node.where(), "ngram_counts does not fit a pool of " + std::to_string(pool.size()));
    for (int64_t at = start; at < end; at += int64_t(length))
      grams.number.emplace(std::vector<int64_t>(pool.begin() + at, pool.begin() + at + int64_t(length)), number++);
  }
  check_count(node, int64_t(grams.places.size()), int64_t(number), "ngram_indexes");
  return grams;
}

// How often each n-gram stands in a row, its words 1 to skips + 1 places apart. Single words count once.
void count_grams(const Grams& grams, std::span<const int64_t> row, std::span<double> counts) {
  const auto words = int64_t(row.size());
  for (int64_t length = grams.shortest; length <= std::min(grams.longest, words); ++length)
    for (int64_t step = 1; step <= (length == 1 ? 1 : std::min(grams.skips + 1, words)); ++step)
      for (int64_t start = 0; start + (length - 1) * step < words; ++start) {
        std::vector<int64_t> gram;
        for (int64_t k = 0; k < length; ++k) gram.push_back(row[size_t(start + k * step)]);
        if (const auto it = grams.number.find(gram); it != grams.number.end()) ++counts[size_t(grams.places[it->second])];
      }
}

void infer_tf_idf(Inference& in) {
  in.set_type(0, Type::f32);
  const Shape* x = in.shape(0);
  if (x == nullptr) return;
  if (x->size() != 1 && x->size() != 2) in.fail("takes rows of words, found " + shape_text(*x));
  Shape out(x->begin(), x->end() - 1);
  out.push_back({grams_of(in.node()).extent, ""});
  in.set(0, Type::f32, out);
}

void forward_tf_idf(Forward& f) {
  const Grams grams = grams_of(f.node);
  const std::vector<int64_t> words = f.in(0).to_integers();
  if (f.in(0).rank() != 1 && f.in(0).rank() != 2) throw Error(f.node.where(), "takes rows of words, found " + dims_text(f.in(0).dims()));
  const auto length = size_t(f.in(0).dim(-1)), rows = f.in(0).rank() == 1 ? size_t(1) : size_t(f.in(0).dim(0)), extent = size_t(grams.extent);
  std::vector<double> counts(rows * extent, 0);
  for (size_t row = 0; row < rows; ++row)
    count_grams(grams, std::span(words).subspan(row * length, length), std::span(counts).subspan(row * extent, extent));
  const std::string mode = f.node.text("mode");
  if (mode != "TF" && mode != "IDF" && mode != "TFIDF") throw Error(f.node.where(), "mode is '" + mode + "', expected TF, IDF or TFIDF");
  const auto given = f.node.get<std::vector<float>>("weights", {});
  if (!given.empty()) check_count(f.node, int64_t(given.size()), int64_t(grams.places.size()), "weights");
  std::vector<double> weights(extent, 1);  // per place; given per n-gram
  for (size_t i = 0; i < given.size(); ++i) weights[size_t(grams.places[i])] = given[i];
  for (size_t i = 0; i < counts.size(); ++i) {
    if (mode == "IDF") counts[i] = counts[i] > 0 ? 1 : 0;
    if (mode != "TF") counts[i] *= weights[i % extent];
  }
  Dims out(f.in(0).dims().begin(), f.in(0).dims().end() - 1);
  out.push_back(grams.extent);
  f.outputs[0] = Array::of<double>(out, counts).cast(Type::f32);
}

}  // namespace

const Op op_tf_idf{"TfIdfVectorizer", "", 1, 1, 1, 1, infer_tf_idf, forward_tf_idf, nullptr, "counts of n-grams of integer words, weighted"};

}  // namespace pare
