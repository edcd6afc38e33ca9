#include <fmt/format.h>

#include "base/error.h"
#include "data/reader.h"

namespace pare {

#define READER(function, name, summary, example, ...) Split read_##function(const SplitRequest&);
#include "data/readers.inc"
#undef READER

const std::vector<Reader>& readers() {
  static const std::vector<Reader> rows = {
#define READER(function, name, summary, example, ...) {name, summary, example, {__VA_ARGS__}, read_##function},
#include "data/readers.inc"
#undef READER
  };
  return rows;
}

Split text_split(const SplitRequest& request, std::shared_ptr<const TokenSamples> samples) {
  return {.samples = std::move(samples),
          .input_names = request.text.input_names(),
          .fixed_size = false,
          .padding = request.text.filling(),
          .texts = true};
}

void check_label(int64_t label, int64_t count, const std::string& where) {
  if (label < 0 || label >= count)
    throw Error(where, fmt::format("label {} is not one of the {} classes (0 … {})", label, count, count - 1),
                "check that the file is the right one, and [classes]");
}

}  // namespace pare
