#pragma once
// The only files that see oneDNN are in this folder.
#include <oneapi/dnnl/dnnl.hpp>

#include "engine/plan.h"
#include "kernels/float_linear/float_linear.h"

namespace pare {

dnnl::engine& cpu_engine();
dnnl::stream& cpu_stream();
dnnl::memory::desc memory_desc(const Storage& storage);
dnnl::memory::data_type data_type(Type type);

// A primitive whose arguments are slots and constant memories.
class PrimitiveStep : public Step {
 public:
  void set(dnnl::primitive primitive) { primitive_ = std::move(primitive); }
  // Slot arguments: data pointers are bound at each run.
  void bind_slot(int argument, SlotId slot, const dnnl::memory::desc& desc);
  void bind_memory(int argument, dnnl::memory memory) { arguments_[argument] = std::move(memory); }
  void run(std::byte* const* slots, int, int) override;

 private:
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
  std::vector<std::tuple<int, SlotId, dnnl::memory>> bound_;
};

// A memory of `desc` filled from row-major f32 values (reordered and rounded as desc says).
dnnl::memory constant_memory(const dnnl::memory::desc& desc, const Array& values, const dnnl::memory::dims& as);

// What may follow a float layer inside its primitive. Reads the chain of nodes behind `value`.
struct Fused {
  std::vector<int> nodes;          // fused, in order
  ValueId result = kNone;          // what the group computes
  ValueId residual = kNone;        // the other operand of a fused Add
  std::string text;                // "+Add+Relu"
  struct Activation {
    dnnl::algorithm algorithm;
    float alpha = 0, beta = 0;
    bool before_residual = false;
  };
  std::vector<Activation> activations;
};
Fused fuse_behind(const Planner& planner, ValueId value, bool allow_residual);
// The same for oneDNN. The residual is added `in_place` (it lies in the target), or bound as residual_argument().
dnnl::post_ops post_ops_of(const Fused& fused, bool in_place, const dnnl::memory::desc& residual);
int residual_argument(const Fused& fused);
// What our own kernels call it: before and after the sum; without a sum all is `last`. Empty where they lack a function.
struct FloatFunctions {
  FloatFunction first, last;
};
std::optional<FloatFunctions> functions_of(const Fused& fused);
// oneDNN's form of an elementwise node, if it has one.
std::optional<Fused::Activation> activation_of(const Planner& planner, const Node& node);

}  // namespace pare
