#pragma once
#include "measure/tasks/task.h"

namespace pare {

// Judges one score a class against labels. `metric`: what the share of right answers is called in reports.
std::unique_ptr<Judge> judge_classes(const DataSet& data, const char* metric);

}  // namespace pare
