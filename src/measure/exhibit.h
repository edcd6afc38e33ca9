#pragma once
#include <memory>
#include <string>

#include "measure/tasks/task.h"

namespace pare {

// One test sample, or as many as the task says, as every model answers it, for people to look at in the report.
class Exhibit {
 public:
  virtual ~Exhibit() = default;
  // What row `row` of the table makes of the sample; the baseline, row 0, comes first. Rows that failed do not come.
  virtual void see(size_t row, const JudgedBatch& batch) = 0;
  // How far the row that differs most from the baseline is from it: the samples where this is largest are shown.
  // Negative: there is nothing to show.
  virtual double difference() const = 0;
  virtual Example show() const = 0;
};

// A batch's first sample as the picture that the model made.
using PictureOf = Image(const DataSet& data, const JudgedBatch& batch);

// The detail of a picture in which the rows differ most: input, every row's, target.
std::unique_ptr<Exhibit> picture_exhibit(const DataSet& data, int64_t sample, PictureOf* picture);

// Pictures without a target, each row's beside each other on a sheet of its own.
std::unique_ptr<Exhibit> sheet_exhibit(const DataSet& data, PictureOf* picture);

// The whole picture with the boxes of the truth and of every row.
std::unique_ptr<Exhibit> box_exhibit(const DataSet& data, int64_t sample);

std::string base64_of(const std::string& bytes);

}  // namespace pare
