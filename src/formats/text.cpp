// A model as text people read and write: the graph's text form (graph/text.h) with whole constants.
#include <ostream>

#include "base/files.h"
#include "codecs/codecs.h"
#include "formats/format.h"

namespace pare {
namespace {

bool detect(const std::string&, std::span<const std::byte> head) {
  constexpr std::string_view start = "graph \"";
  return head.size() > start.size() && std::string_view(reinterpret_cast<const char*>(head.data()), start.size()) == start;
}

Graph read(const std::string& path) { return parse(read_text(path), path, find_codec); }

void write(const Graph& graph, const std::string& path, const WriteOptions&) { write_text(path, print(graph, true)); }

}  // namespace

extern const Format format_text;
const Format format_text{"text", ".graph", "the graph as text, to read, to compare and to write networks by hand", detect, read, write, nullptr};

}  // namespace pare
