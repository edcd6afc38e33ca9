#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/array.h"
#include "data/description.h"
#include "data/image.h"
#include "data/preprocess.h"

namespace pare {

// One sample: the model's inputs in order (or by the names in DataSet::input_names); the first axis of every array is
// the batch, of extent 1. label: class index, -1 where there is none.
struct Sample {
  std::vector<Array> inputs;
  int64_t label = -1;
  int64_t given = 0;  // tokens in front that a language model is told and not asked for: an instruction
};

// A thing in a picture, in the picture's pixels.
struct TrueBox {
  double left = 0, top = 0, right = 0, bottom = 0;
  int64_t label = 0;
  bool crowd = false;  // several things in one box: found or not, it is not counted
};

// What a sample should give, where a class index does not say it.
struct Truth {
  std::string file;               // the sample's picture
  Image picture;                  // restore: the picture wanted
  std::vector<TrueBox> boxes;     // detect
  int64_t height = 0, width = 0;  // detect: of the picture as stored
  struct Choice {
    int64_t question = 0;  // its number
    int64_t bytes = 0;     // of the answer's text
    bool right = false;
  };
  std::optional<Choice> choice;  // multiple-choice: the sample is a question with one of its answers
};

// A split read as a stream: memory does not grow with its length (but for compressed IDX files, held as bytes).
class Samples {
 public:
  virtual ~Samples() = default;
  virtual int64_t size() const = 0;
  // Extent of the sample along the axis in which samples differ (a text's tokens), without reading it; 0 where all are
  // of one size.
  virtual int64_t length(int64_t /*index*/) const { return 0; }
  virtual Sample get(int64_t index) const = 0;  // any order, from several threads; throws Error where a file is damaged
  virtual Truth truth(int64_t index) const;     // likewise; empty where the reader knows labels only
};

// How samples of different lengths stand in one batch: each is filled up at the end of its second axis.
struct Padding {
  std::vector<int64_t> values;  // one an input; empty: only samples of the same length stand together
  int64_t most = 0;             // no sample is longer, and none may be filled up beyond
};

// A data description: task, splits, preprocessing. Read from a small TOML file; see docs/guide/data.md.
struct DataSet {
  std::string path, task;  // "classify", "classify-text", "compare", "detect", "generate", "restore"
  std::vector<std::string> classes, input_names;     // empty where the description names none
  std::vector<int64_t> class_ids;                    // the data's own numbers of the classes; empty: 0, 1, …
  std::shared_ptr<const Samples> test, calibration;  // calibration null where the description has none
  std::shared_ptr<const Samples>
      training;  // [training], else all of [calibration]'s files; null where there is neither
  Padding padding;
  bool fixed_size = true;                      // every picture has the first one's extents
  Preprocess preprocess;                       // what was done to pictures
  std::optional<Section> settings;             // the table named as the task: how outputs are to be read
  std::map<std::string, Dims> latency_shapes;  // input name → extents to time a model of dynamic shapes with
  std::string summary;  // "classify: 1,017 test images 3x32x32, 300 calibration images, 10 classes"
};

// Throws Error for unknown keys, missing files, files of the wrong size, all naming the file and key. The first sample
// of each split is read, so that what is wrong with all of them shows at once.
DataSet read_data_set(const std::string& path);

// Reads an .npy file, or one member of an .npz given as "file.npz:member". Throws Error.
Array read_npy(const std::string& path);
void write_npy(const Array& array, const std::string& path);

}  // namespace pare
