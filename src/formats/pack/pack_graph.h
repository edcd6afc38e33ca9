#pragma once
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace pare {

// The graph section of a pack file. Numbers as in bytes.h; "text" is a number, its place in the table of texts.
//
//   texts    count, length of each, then their bytes
//   blocks   count, each: width [uint8] | plain [uint8] | coded size | checksum [u32]
//   arrays   count, each: type [uint8] | rank, extents | bytes, of strings only | block
//   tensors  count, each: 0 | array                                                      plain
//                         1 + codec text | type [uint8] | rank, extents | axis | group | parts: count, arrays
//   graph    name, IR version, operator sets, producer, doc, metadata, functions,
//            values, nodes, inputs, outputs; subgraphs of attributes in place, in the same form
//
// Arrays of one block follow each other in it in the order of the table: small ones of one type share a block.
struct PackBlock {
  uint8_t width = 1;         // bytes of an element, as the coding sees it
  bool plain = false;        // as it is in memory
  uint64_t coded_bytes = 0;  // in the file
  uint32_t checksum = 0;
  std::vector<size_t> arrays;   // which arrays, in order
};

struct PackedGraph {
  std::vector<Array> arrays;    // every distinct array of the graph and its subgraphs
  std::vector<size_t> block_of; // array → block
  std::vector<PackBlock> blocks;
  std::string tensors, graph;   // the last parts of the section, written already
  std::vector<std::string> texts;
};

// All but the blocks' sizes and checksums, which the writer fills in; small arrays share blocks.
PackedGraph pack_graph(const Graph& graph);
std::string graph_section(const PackedGraph& packed);

// What an array will be before its bytes are there.
struct PackArray {
  Type type = Type::none;
  Dims dims;
  uint64_t bytes = 0;
};

// Reads a section in two steps: what is stored, then, when the arrays are there, the graph.
class PackGraphReader {
 public:
  PackGraphReader(std::span<const std::byte> section, const std::string& where);
  ~PackGraphReader();
  const std::vector<PackBlock>& blocks() const;
  const std::vector<PackArray>& arrays() const;
  Graph read(const std::vector<Array>& arrays);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pare
