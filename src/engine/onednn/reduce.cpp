// Sums, means and extremes over any axes.
#include "engine/onednn/onednn.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

struct Row {
  const char* op;
  dnnl::algorithm algorithm;
};
constexpr Row kRows[] = {{"ReduceMean", dnnl::algorithm::reduction_mean},
                         {"ReduceSum", dnnl::algorithm::reduction_sum},
                         {"ReduceMax", dnnl::algorithm::reduction_max},
                         {"ReduceMin", dnnl::algorithm::reduction_min}};

// The input's extents with 1 where it is reduced; empty where the axes are not known.
std::optional<Dims> reduced(const Planner& planner, const Node& node, const Dims& x) {
  std::vector<int64_t> axes = node.integers("axes");
  if (node.input(1) != kNone) {
    const Tensor* given = planner.graph.constant(node.inputs[1]);
    if (given == nullptr) return std::nullopt;
    axes = given->decode().to_integers();
  }
  if (axes.empty() && node.integer("noop_with_empty_axes", 0) != 0) return std::nullopt;
  Dims dims = axes.empty() ? Dims(x.size(), 1) : x;
  for (int64_t axis : axes) dims[size_t(normal_axis(axis, int64_t(x.size()), node.where()))] = 1;
  return dims;
}

}  // namespace

bool lower_float_reduce(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const auto row = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return node.is(r.op); });
  if (row == std::end(kRows) || planner.graph.at(node.inputs[0]).type != Type::f32 || planner.graph.constant(node.inputs[0]) != nullptr) return false;
  const Dims x = planner.dims(node.inputs[0]);
  const auto kept = reduced(planner, node, x);
  if (!kept || x.empty() || x.size() > 5 || count_of(x) == 0 || *kept == x) return false;
  const auto in = memory_desc({Type::f32, x, Layout::plain}), out = memory_desc({Type::f32, *kept, Layout::plain});
  std::optional<dnnl::reduction::primitive_desc> described;
  try {
    described.emplace(dnnl::reduction::desc(row->algorithm, in, out, 0.f, 0.f), cpu_engine());
  } catch (const dnnl::error&) {
    return planner.refuse("oneDNN has no form for this reduction"), false;
  }
  auto step = std::make_unique<PrimitiveStep>();
  step->set(dnnl::reduction(*described));
  const SlotId source = planner.slot(node.inputs[0], Layout::plain, Type::f32);
  step->bind_slot(DNNL_ARG_SRC, source, in);
  step->reads = {source};
  step->writes = planner.define(node.outputs[0], {Type::f32, planner.dims(node.outputs[0]), Layout::plain});
  step->bind_slot(DNNL_ARG_DST, step->writes, out);
  step->report = {node.name, node.op_type, planner.graph.at(node.outputs[0]).name, std::string("onednn ") + described->impl_info_str(), "f32", "", 0, 0, 0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
