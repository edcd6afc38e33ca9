#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "formats/onnx/onnx.pb.h"

namespace pare {

// A model's message without the large raw data of its initializers: parsed whole, protobuf would copy every weight to the
// heap beside the file's pages, and the weights would be in memory twice before anything is compiled.
struct LiftedModel {
  std::string message;                           // the smaller message
  std::vector<std::span<const std::byte>> data;  // in order of the graph's initializers; empty: it stayed in the message
};

// Nothing where there is nothing large, or where the message is not of the plain form that exporters write (one graph, one
// raw_data a tensor): it is parsed as it is then.
std::optional<LiftedModel> lift_weights(std::span<const std::byte> model);

}  // namespace pare
