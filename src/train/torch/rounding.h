#pragma once
#include "train/train.h"

namespace pare {

TrainingReport learn_rounding_by_blocks(Graph& graph, const RoundingJob& job);  // TrainingLibrary::learn_rounding

}  // namespace pare
