#pragma once
// Float layers that leave out products with zeros. Vectors of 16 places (pixels or tokens) of a channel are summed over a
// stream of {offset, weight}: each product reads its vector from the source at a fixed distance from the vector's own place.
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace pare {

constexpr int64_t kSparseLanes = 16;  // floats in a vector of places, on every instruction set

// Kernels fetch the input of an entry this many entries before.
constexpr int64_t kSparseFloatAhead = 16;

// The nonzero weights of output channels that are summed `height` (1 or 4) at a time: these share the places they read.
struct SparseFloatWeights {
  int height = 1;
  int64_t blocks = 1;                // parts of the inputs, summed one after the other: what a part reads stays in the cache
  std::vector<int32_t> channels;     // the first output channel of each group; groups in order of their counts
  std::vector<int64_t> first;        // [blocks][groups] + 1: entries of a group in a block begin here
  std::vector<int32_t> offsets;      // of each entry, in floats; kSparseFloatAhead more at the end
  std::vector<float> weights;        // of each entry, `height` floats
  std::vector<float> bias;           // [groups][height]
  int64_t groups() const { return int64_t(channels.size()); }
  // Groups [first, last) of one thread: all have about as much to do.
  std::pair<int64_t, int64_t> share(int thread, int threads) const;
};

// `weight` is [outputs][inputs] row major; input k lies offsets[k] floats from a vector's place. Inputs are cut into parts
// of `block`. Channels channels[i] … channels[i] + height − 1 form a group.
SparseFloatWeights pack_sparse_float(const float* weight, const float* bias, int64_t inputs, std::span<const int32_t> offsets, int64_t block, int height,
                                     std::span<const int32_t> channels);
// How well four neighbouring output channels share a pattern: nonzeros over four times the places where any of them is one.
double shared_fill(const float* weight, int64_t inputs, int64_t channel);

// A layer at work. Distances are in floats.
struct SparseFloatJob {
  const SparseFloatWeights* weights = nullptr;
  int64_t rows = 1, columns = 1;     // vectors of the result
  int64_t x_row = 0;                 // from one row of vectors to the next in the source
  int x_step = 1;                    // 1 or 2: every vector of a source row is read, or every second one
  int64_t y_row = 0, y_channel = 0;
  int64_t residual_row = 0, residual_channel = 0;
  int tile_rows = 1, tile_columns = 8;  // vectors summed at once; what the kernel cannot hold it cuts
  bool ahead = false;                // the inputs of coming entries are fetched: for tiles whose inputs the L1 cache does not hold
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();  // results are clipped to these
  const float* x = nullptr;          // the place of the first vector
  const float* residual = nullptr;   // added in front of clipping
  float* y = nullptr;
};

// Maps as 4x4 sub-tiles, one a lane, with a ring of `ring` vectors around: a vector holds the same place of all
// sub-tiles, so that neighbours, also across sub-tiles, are whole aligned vectors.
//   [channel][y = −ring … sub_height + ring − 1][x = −ring … sub_width + ring − 1][lane = 4·(row of sub-tiles) +
//   column]
// holds pixel (row·sub_height + y, column·sub_width + x); zero outside the map. A ring is no wider than a sub-tile.
// A map may be cut into bands, one below the other, each with four rows of sub-tiles and a ring: [band][channel]… A
// core that keeps to its band writes and reads memory of its own, but for copies of the band's outermost rows, which
// lie packed behind its channels: [first rows, last rows][channel][row = 0 … ring − 1][x][column of sub-tiles]. A cache
// line that two cores write in turns costs ten times one's own, and in the maps themselves each line holds but four
// pixels of such a row.
struct SparseLanes {
  int64_t height = 1, width = 1;
  int64_t ring = 0, bands = 1;
  int64_t sub_height() const { return (height + 4 * bands - 1) / (4 * bands); }
  int64_t sub_width() const { return (width + 3) / 4; }
  int64_t row() const { return (sub_width() + 2 * ring) * kSparseLanes; }
  // Floats of one channel of a band. An odd number of cache lines: where it is a power of two, one place of all channels falls
  // into a few sets of the cache.
  int64_t channel() const { return ((sub_height() + 2 * ring) * (sub_width() + 2 * ring) | 1) * kSparseLanes; }
  int64_t origin() const { return ring * (row() + kSparseLanes); }   // the first vector that is no ring
  int64_t edge() const { return bands > 1 ? ring * sub_width() * 4 : 0; }  // floats of one channel's first (last) rows
  // Floats of the first (last) rows of all channels, in whole cache lines; of a band with all that belongs to it.
  int64_t edges(int64_t channels) const { return (channels * edge() + kSparseLanes - 1) / kSparseLanes * kSparseLanes; }
  int64_t band(int64_t channels) const { return channels * channel() + 2 * edges(channels); }
};

struct SparseFloatKernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  int vectors, vectors4;  // the most vectors a tile may have, by height 1 and 4
  // Groups [first, last) of the weights, all places.
  void (*run)(const SparseFloatJob& job, int64_t first, int64_t last);
  // y[channel] = Σ weight·x[offset] + bias, clipped, for one place: groups [first, last) of weights of height 1 in one block.
  void (*dot)(const SparseFloatJob& job, int64_t first, int64_t last);
  // Clears lanes outside the map in channels of a band, fills the rings around them but for what lies in other bands,
  // and copies their outermost rows where there are bands. The band begins at `begin`; channels groups[i] … + height
  // − 1.
  void (*close)(const SparseLanes& map, int64_t band, int64_t channels, float* begin, std::span<const int32_t> groups,
                int height);
  // Fills what the rings of a band take from the bands above and below, which are closed and begin `pitch` floats
  // apart.
  void (*join)(const SparseLanes& map, int64_t band, int64_t channels, float* begin, int64_t pitch);
  // One channel of a band from pixels `row` and `column` floats apart, `pixels` is the map's first. Without the ring.
  void (*enter)(const SparseLanes& map, int64_t band, const float* pixels, int64_t row, int64_t column, float* channel);
  // [rows][columns] with `pitch` floats a row → [columns][rows], `out_pitch` floats a row.
  void (*transpose)(const float* x, int64_t rows, int64_t columns, int64_t pitch, float* y, int64_t out_pitch);
};

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const SparseFloatKernel> sparse_float_kernels();
const SparseFloatKernel& best_sparse_float_kernel();

}  // namespace pare
