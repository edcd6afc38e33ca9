#include "measure/tasks/classify.h"

// Texts are judged as images are; that they differ in length is the driver's business.
namespace pare {
namespace {

std::unique_ptr<Judge> start(const DataSet& data, uint64_t) {
  return judge_classes(data, "accuracy");
}

}  // namespace

extern const Task task_classify_text;
const Task task_classify_text = {"classify-text", "accuracy of a text classifier against labels", false, start};

}  // namespace pare
