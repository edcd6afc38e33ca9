// Attention without its intermediate tensors: a block of query rows at a time, whose scores stay in the cache. Queries,
// keys, values and the result are read and written where they lie, transposed or not.
#include <algorithm>
#include <array>
#include <cmath>

#include "engine/integer/integer.h"
#include "engine/view.h"
#include "kernels/float_attention/float_attention.h"

namespace pare {
namespace {

constexpr int64_t kRows = 128;  // query rows of a block: enough for the products, few enough for the cache

// Four axes (batch, heads, tokens, width) in some slot.
struct Operand {
  SlotId slot = -1;
  std::array<int64_t, 4> stride{};
  const float* at(std::byte* const* slots, int64_t batch, int64_t head, int64_t token) const {
    return reinterpret_cast<const float*>(slots[slot]) + batch * stride[0] + head * stride[1] + token * stride[2];
  }
};

class AttentionStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    const int64_t blocks = (queries + kRows - 1) / kRows, jobs = batch * heads * blocks;
    for (int64_t job = jobs * thread / threads; job < jobs * (thread + 1) / threads; ++job)
      run_block(slots, job / blocks / heads, job / blocks % heads, job % blocks * kRows, scratch.of(thread));
  }

  int64_t batch = 0, heads = 0, kv_heads = 0, queries = 0, keys = 0, width = 0, value_width = 0;
  float scale = 1;
  Operand q, k, v, mask, out;    // mask.slot < 0: none, or a constant
  std::vector<float> constant_mask;
  const FloatAttentionKernel* kernel = nullptr;
  ThreadScratch scratch;

 private:
  void run_block(std::byte* const* slots, int64_t b, int64_t h, int64_t first, void* memory) const {
    const int64_t kv = h * kv_heads / heads;
    FloatAttention job;
    job.query = q.at(slots, b, h, first);
    job.key = k.at(slots, b, kv, 0);
    job.value = v.at(slots, b, kv, 0);
    job.output = const_cast<float*>(out.at(slots, b, h, first));
    if (!constant_mask.empty()) job.mask = constant_mask.data() + b * mask.stride[0] + h * mask.stride[1] + first * mask.stride[2];
    else if (mask.slot >= 0) job.mask = mask.at(slots, b, h, first);
    job.query_stride = q.stride[2];
    job.key_stride = k.stride[2];
    job.value_stride = v.stride[2];
    job.mask_stride = mask.stride[2];
    job.output_stride = out.stride[2];
    job.rows = std::min(kRows, queries - first);
    job.keys = keys;
    job.width = width;
    job.value_width = value_width;
    job.scale = scale;
    job.scratch = static_cast<float*>(memory);
    kernel->run(job);
  }
};

// A mask over (batch, heads, queries, keys), each axis whole or repeated; the keys' has to be whole: Attention fills a shorter
// one up with −∞. The four axes of the mask, empty where it is another.
Dims mask_dims(const Planner& planner, ValueId id, const Dims& whole) {
  Dims dims = planner.dims(id);
  if (dims.size() > 4 || planner.graph.at(id).type != Type::f32) return {};
  dims.insert(dims.begin(), 4 - dims.size(), 1);
  for (size_t i = 0; i < 4; ++i)
    if (dims[i] != whole[i] && (i == 3 || dims[i] != 1)) return {};
  return dims;
}

// All that decides whether AttentionStep can take the node: a Transpose is left to it on the strength of this.
bool plannable(const Planner& planner, const Node& node) {
  if (!node.is("Attention") || node.inputs.size() < 3 || node.inputs.size() > 4 || node.outputs.size() != 1) return false;
  for (const auto& [key, value] : node.attributes)
    if (key != "scale") return false;
  for (size_t i = 0; i < 3; ++i) {
    const auto& shape = planner.graph.at(node.inputs[i]).shape;
    if (planner.graph.constant(node.inputs[i]) != nullptr || planner.graph.at(node.inputs[i]).type != Type::f32 || !shape || shape->size() != 4) return false;
  }
  const Dims q = planner.dims(node.inputs[0]), k = planner.dims(node.inputs[1]);
  if (k[1] < 1 || q[1] % k[1] != 0) return false;
  return node.input(3) == kNone || !mask_dims(planner, node.inputs[3], {q[0], q[1], q[2], k[2]}).empty();
}

// Whether the layer that makes this value, but for sums, factors and moves behind it, computes in bfloat16.
bool made_in_bfloat16(const Planner& planner, ValueId id) {
  for (int depth = 0; depth < 8 && planner.producer[size_t(id)] >= 0; ++depth) {
    const Node& node = planner.graph.nodes[size_t(planner.producer[size_t(id)])];
    if (node.is("MatMul") || node.is("Gemm") || node.is("Conv")) return compute_type(planner, node.inputs[1]) == Type::bf16;
    if (!node.is("Add") && !node.is("Mul") && !node.is("Transpose") && !node.is("Reshape") && !node.is("Unsqueeze") && !node.is("Squeeze")) return false;
    id = planner.graph.constant(node.inputs[0]) == nullptr ? node.inputs[0] : node.inputs[1];
  }
  return false;
}

// Where the layers in front compute in bfloat16, its products may, too.
const FloatAttentionKernel& kernel_for(const Planner& planner, const Node& node) {
  const FloatAttentionKernel* pairs = best_brain_attention_kernel();
  return pairs != nullptr && std::all_of(node.inputs.begin(), node.inputs.begin() + 3, [&](ValueId id) { return made_in_bfloat16(planner, id); }) ? *pairs : best_float_attention_kernel();
}

// A Transpose that leaves the last axis last can be read through.
const Node* transparent(const Planner& planner, ValueId id) {
  const int made = planner.producer[size_t(id)];
  if (made < 0) return nullptr;
  const Node& node = planner.graph.nodes[size_t(made)];
  const std::vector<int64_t> perm = node.integers("perm");
  return node.is("Transpose") && perm.size() == 4 && perm[3] == 3 ? &node : nullptr;
}

std::array<int64_t, 4> strides_of_view(const View& view) {
  std::array<int64_t, 4> strides{};
  for (size_t i = 0; i < 4; ++i) strides[i] = view.axes[i].parts[0].stride;
  return strides;
}

Operand operand_of(Planner& planner, ValueId id) {
  Operand operand;
  const Node* turned = planner.existing(id) ? nullptr : transparent(planner, id);
  const ValueId source = turned ? turned->inputs[0] : id;
  operand.slot = planner.slot(source, Layout::plain, Type::f32);
  const auto strides = strides_of_view(*view_of({Type::f32, planner.dims(source), Layout::plain}));
  const std::vector<int64_t> perm = turned ? turned->integers("perm") : std::vector<int64_t>{0, 1, 2, 3};
  for (size_t i = 0; i < 4; ++i) operand.stride[i] = strides[size_t(perm[i])];
  return operand;
}

void bind_mask(Planner& planner, ValueId id, AttentionStep& step) {
  const Dims dims = mask_dims(planner, id, {step.batch, step.heads, step.queries, step.keys});
  int64_t stride = dims[3];
  for (size_t i = 3; i-- > 0; stride *= dims[i]) step.mask.stride[i] = dims[i] == 1 ? 0 : stride;
  if (planner.graph.constant(id) != nullptr) step.constant_mask = planner.constant(id).to_floats();
  else step.mask.slot = planner.slot(id, Layout::plain, Type::f32);
}

}  // namespace

bool lower_attention(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!plannable(planner, node)) return false;
  const Dims q = planner.dims(node.inputs[0]), k = planner.dims(node.inputs[1]), v = planner.dims(node.inputs[2]);
  auto step = std::make_unique<AttentionStep>();
  step->batch = q[0];
  step->heads = q[1];
  step->kv_heads = k[1];
  step->queries = q[2];
  step->keys = k[2];
  step->width = q[3];
  step->value_width = v[3];
  step->scale = node.has("scale") ? node.real("scale", 1) : 1 / std::sqrt(float(q[3]));
  if (node.input(3) != kNone) bind_mask(planner, node.inputs[3], *step);
  step->q = operand_of(planner, node.inputs[0]);
  step->k = operand_of(planner, node.inputs[1]);
  step->v = operand_of(planner, node.inputs[2]);
  step->reads = {step->q.slot, step->k.slot, step->v.slot};
  if (step->mask.slot >= 0) step->reads.push_back(step->mask.slot);
  ValueId result = node.outputs[0];
  std::vector<int64_t> perm{0, 1, 2, 3};
  if (const int next = planner.only_consumer(result); next >= 0 && transparent(planner, planner.graph.nodes[size_t(next)].outputs[0]) != nullptr) {
    perm = planner.graph.nodes[size_t(next)].integers("perm");
    result = planner.graph.nodes[size_t(next)].outputs[0];
    planner.done[size_t(next)] = 1;
  }
  const Storage storage{Type::f32, planner.dims(result), Layout::plain};
  const auto strides = strides_of_view(*view_of(storage));
  for (size_t i = 0; i < 4; ++i) step->out.stride[size_t(perm[i])] = strides[i];
  step->out.slot = step->writes = planner.define(result, storage);
  step->kernel = &kernel_for(planner, node);
  step->scratch.resize(planner.threads, size_t(float_attention_scratch(std::min(kRows, step->queries), step->keys, step->width, step->value_width, step->kernel->bits)) * sizeof(float));
  step->report = {node.name, node.op_type, planner.graph.at(result).name, step->kernel->name, step->kernel->bits == 16 ? "bf16" : "f32", "",
                  step->batch * step->heads * step->queries * step->keys * (step->width + step->value_width), 0, 0};
  planner.emit(std::move(step));
  return true;
}

// Nothing is moved for a Transpose that only attention reads: it is read through.
bool lower_deferred_transpose(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("Transpose") || planner.pinned(node.outputs[0]) || transparent(planner, node.outputs[0]) == nullptr || planner.graph.at(node.inputs[0]).type != Type::f32) return false;
  if (planner.graph.constant(node.inputs[0]) != nullptr) return false;
  const auto& readers = planner.consumers[size_t(node.outputs[0])];
  const bool deferred = !readers.empty() && std::all_of(readers.begin(), readers.end(), [&](int reader) {
    const Node& attention = planner.graph.nodes[size_t(reader)];
    return plannable(planner, attention) && attention.input(3) != node.outputs[0];
  });
  if (deferred) planner.keep(node.inputs[0]);
  return deferred;
}

}  // namespace pare
