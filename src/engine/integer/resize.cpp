// Linear interpolation of an 8-bit image.
#include <cmath>

#include "engine/integer/jobs.h"
#include "graph/op.h"

namespace pare {
namespace {

struct Places {
  std::vector<int> first, second;
  std::vector<float> weight;
  LinearAxis axis() const { return {first.data(), second.data(), weight.data()}; }
};

// Where each row (or column) of the result lies in the input, asked of the operator itself: interpolating an image whose
// values are the places gives the place.
std::optional<Places> places_along(const Planner& planner, const Node& node, const Dims& in, const Dims& out, bool rows) {
  Array ramp(Type::f32, {1, 1, in[2], in[3]});
  auto values = ramp.mutable_values<float>();
  for (int64_t h = 0; h < in[2]; ++h)
    for (int64_t w = 0; w < in[3]; ++w) values[size_t(h * in[3] + w)] = float(rows ? h : w);
  Forward forward{node, planner.graph.opset(), {ramp}, {}};
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNone) { forward.inputs.emplace_back(); continue; }
    if (planner.graph.constant(node.inputs[i]) == nullptr) return std::nullopt;
    Array given = planner.constant(node.inputs[i]);
    if (i == 3 && given.count() == 4) {
      given = given.cast(Type::i64);
      given.mutable_values<int64_t>()[0] = given.mutable_values<int64_t>()[1] = 1;
    }
    forward.inputs.push_back(given);
  }
  forward.outputs.resize(1);
  node.op->forward(forward);
  if (forward.outputs[0].count() != out[2] * out[3]) return std::nullopt;
  const std::vector<float> found = forward.outputs[0].to_floats();
  Places places;
  const int64_t count = rows ? out[2] : out[3], last = (rows ? in[2] : in[3]) - 1;
  for (int64_t i = 0; i < count; ++i) {
    const float at = found[size_t(rows ? i * out[3] : i)];
    if (!(at >= 0) || at > float(last)) return std::nullopt;
    const int first = int(std::floor(at));
    places.first.push_back(first);
    places.second.push_back(int(std::min<int64_t>(first + 1, last)));
    places.weight.push_back(at - float(first));
  }
  return places;
}

}  // namespace

bool lower_integer_resize(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("Resize") || node.text("mode", "nearest") != "linear" || node.integer("antialias", 0) != 0 || node.integer("exclude_outside", 0) != 0) return false;
  const auto q = planner.dequantized(node.inputs[0]);
  if (!q || !planner.existing(q->value)) return false;
  const Dims in = planner.dims(node.inputs[0]), out = planner.dims(node.outputs[0]);
  if (in.size() != 4 || in[0] != out[0] || in[1] != out[1] || in[2] < 1 || in[3] < 1 || count_of(out) == 0 || node.text("coordinate_transformation_mode") == "tf_crop_and_resize") return false;
  const IntegerChain chain = integer_chain(planner, node.outputs[0], false);
  if (!chain.out || chain.mid || chain.residual) return planner.refuse("its result is not quantized"), false;
  auto rows = places_along(planner, node, in, out, true), cols = places_along(planner, node, in, out, false);
  if (!rows || !cols) return planner.refuse("its sizes are not constant"), false;
  auto places = std::make_shared<std::pair<Places, Places>>(std::move(*rows), std::move(*cols));
  const IntegerLimits limits = limits_of(*chain.out, chain.low, chain.high);
  ResizeInt8 job;
  job.batch = int(in[0]);
  job.channels = int(in[1]);
  job.in_h = int(in[2]);
  job.in_w = int(in[3]);
  job.out_h = int(out[2]);
  job.out_w = int(out[3]);
  job.rows = places->first.axis();
  job.cols = places->second.axis();
  job.input_signed = q->type == Type::i8;
  job.input_zero = q->zero;
  job.multiplier = float(double(q->scale) / chain.out->scale);
  job.out_zero = chain.out->zero;
  job.out_lo = limits.low;
  job.out_hi = limits.high;
  const SlotId source = planner.slot(q->value, Layout::channels_last, q->type);
  const SlotId target = planner.define(chain.result, {chain.out->type, out, Layout::channels_last});
  for (int k : chain.nodes) planner.done[size_t(k)] = 1;
  emit_job(planner, job, elementwise_kernel(planner).resize, bind_one<ResizeInt8>, {source}, target, node, node.op_type + chain.text, planner.graph.at(chain.result).name, places);
  return true;
}

}  // namespace pare
