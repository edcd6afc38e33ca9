#pragma once
#include <span>
#include <string_view>

#include "data/data_set.h"
#include "data/description.h"
#include "data/preprocess.h"
#include "data/text.h"

namespace pare {

// What a reader is asked for: one split of a description.
struct SplitRequest {
  const Section& section;  // [test] or [calibration]; its keys are already known to be the reader's
  const Preprocess& preprocess;
  const TextOptions& text;
  const std::vector<std::string>& classes;  // empty: not named
  bool needs_labels = false;
};

// What a split's samples can be judged by.
enum class TruthKind { label, picture, boxes, choice };

// What it gives: all samples of the files, in their order. The driver (data_set.cpp) picks from them.
struct Split {
  std::shared_ptr<const Samples> samples;
  std::vector<std::string> classes, input_names;  // empty: the files do not say
  std::vector<int64_t> class_ids;                 // as in DataSet
  bool images = false;                            // [preprocess] was applied
  bool fixed_size = true;                         // every sample has the first one's extents
  Padding padding;
  bool texts = false;                             // [text] was applied
  TruthKind truth = TruthKind::label;
};

// The split that a reader of texts gives.
Split text_split(const SplitRequest& request, std::shared_ptr<const TokenSamples> samples);

// A layout of files on disk. A new one is a file here and a row in readers.inc.
struct Reader {
  std::string_view name, summary, example;  // example: the keys, as written under [test]
  std::vector<std::string> keys;
  Split (*read)(const SplitRequest&);
};
const std::vector<Reader>& readers();

// Throws where a label is not one of the classes (`count` of them); `where` names the file and the sample.
void check_label(int64_t label, int64_t count, const std::string& where);

}  // namespace pare
