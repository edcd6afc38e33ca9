#pragma once
#include <memory>
#include <string>

#include "measure/tasks/task.h"

namespace pare {

// One test sample as every model answers it, for people to look at in the report.
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

// The detail of a picture in which the rows differ most: input, every row's, target. `picture` reads a row's outputs.
std::unique_ptr<Exhibit> picture_exhibit(const DataSet& data, int64_t sample,
                                         Image (*picture)(const DataSet& data, const JudgedBatch& batch));

std::string base64_of(const std::string& bytes);

}  // namespace pare
