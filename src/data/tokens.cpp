#include <fmt/format.h>

#include <cstring>

#include "base/error.h"
#include "data/bytes.h"
#include "data/reader.h"
#include "data/text.h"

// Running text for language models, cut into windows of [text] length: token ids as they lie in files, or texts.
namespace pare {
namespace {

constexpr int64_t kAll = INT64_MAX;

struct Windows {
  int64_t first, most;  // tokens left out at the beginning; windows at most
  int64_t stride;       // tokens from one window's beginning to the next one's
  int64_t context;      // tokens of a window that are read and not judged
};

Windows read_windows(const Section& section, int64_t length) {
  return {section.integer("first", 0, 0, kAll), section.has("windows") ? section.integer("windows", 0, 1, kAll) : kAll,
          section.integer("stride", length, 1, length), section.integer("context", 0, 0, length - 1)};
}

// Whole windows only: a shorter one would be judged with less to look back on. Where windows overlap each token is
// judged once, by the first window that holds it.
void cut(const std::vector<int64_t>& ids, const Windows& windows, int64_t length, const std::string& where,
         TokenSamples& samples) {
  for (int64_t at = windows.first; at + length <= int64_t(ids.size()) && samples.size() < windows.most;
       at += windows.stride) {
    const int64_t given = std::max(windows.context, at > windows.first ? length - windows.stride : 0);
    samples.add(std::vector<int64_t>(ids.begin() + at, ids.begin() + at + length), -1, where, given);
  }
}

template <class T>
std::vector<int64_t> ids_in(const Bytes& file) {
  std::vector<int64_t> ids(file.view.size() / sizeof(T));
  for (size_t i = 0; i < ids.size(); ++i) {
    T id;
    std::memcpy(&id, file.view.data() + i * sizeof(T), sizeof(T));
    ids[i] = id;
  }
  return ids;
}

// Places of `separator` cut a text into documents; without one a file is one document.
std::vector<std::string> documents_of(std::string_view text, const std::string& separator) {
  std::vector<std::string> documents;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = separator.empty() ? std::string_view::npos : text.find(separator, start);
    const std::string_view part = text.substr(start, end == std::string_view::npos ? end : end - start);
    const size_t first = part.find_first_not_of(" \t\r\n"), last = part.find_last_not_of(" \t\r\n");
    if (first != std::string_view::npos) documents.emplace_back(separator.empty() ? part : part.substr(first, last - first + 1));
    if (end == std::string_view::npos) break;
    start = end + separator.size();
  }
  return documents;
}

}  // namespace

Split read_tokens(const SplitRequest& request) {
  const Section& section = request.section;
  const size_t kind = section.has("type") ? section.choice("type", {"u16", "u32"}) : 0;
  const Windows windows = read_windows(section, request.text.length);
  auto samples = std::make_shared<TokenSamples>(request.text);
  for (const std::string& path : section.files("files")) {
    const Bytes file = map_bytes(path);
    const size_t size = kind == 0 ? 2 : 4;
    if (file.view.size() % size != 0)
      throw Error(path, fmt::format("{} bytes are no whole number of {}-byte token ids", file.view.size(), size),
                  "say type = \"u16\" or \"u32\", as the ids were written");
    cut(kind == 0 ? ids_in<uint16_t>(file) : ids_in<uint32_t>(file), windows, request.text.length, path, *samples);
  }
  if (samples->size() == 0)
    section.fail("files", fmt::format("fewer than {} tokens are left for one window", request.text.length),
                 "lower first, or [text] length");
  return text_split(request, std::move(samples));
}

Split read_corpus(const SplitRequest& request) {
  const Section& section = request.section;
  need_tokenizer(request.text, section);
  const Windows windows = read_windows(section, request.text.length);
  const std::string separator = section.text("separator", "");
  for (const char* key : {"stride", "context"})
    if (!separator.empty() && section.has(key))
      section.fail(key, "documents are judged whole, each once", "remove it, or separator");
  auto samples = std::make_shared<TokenSamples>(request.text);
  for (const std::string& path : section.files("files")) {
    const Bytes file = map_bytes(path);
    for (const std::string& document : documents_of({reinterpret_cast<const char*>(file.view.data()), file.view.size()}, separator)) {
      // A document of its own is judged whole, with the tokens that models expect in front; running text is cut.
      if (!separator.empty()) {
        if (samples->size() < windows.most) samples->add(document, -1, path);
      } else {
        cut(request.text.tokenizer->encode(document, false), windows, request.text.length, path, *samples);
      }
    }
  }
  return text_split(request, std::move(samples));
}

}  // namespace pare
