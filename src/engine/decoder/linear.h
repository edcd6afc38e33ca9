#pragma once
// What the ways to execute a decoder's linear layers share.
#include <map>
#include <memory>
#include <mutex>

#include "engine/plan.h"

namespace pare {

// A Gemm y = x·wᵀ + b on floats whose matrix is a constant of two axes; null: another form.
const Tensor* weight_of_linear(const Planner& planner, const Node& node);

// The Add behind a value whose other side has the same extents, is no constant and is there already; −1: none.
int residual_behind(const Planner& planner, ValueId y, ValueId& other);

// What is packed for a tensor as long as someone uses it: sessions of one model for different lengths share it.
template <class Packed>
class PackedWeights {
 public:
  template <class Pack>
  std::shared_ptr<Packed> of(const TensorPtr& tensor, const Pack& pack) {
    const std::lock_guard lock(guard_);
    Entry& entry = entries_[tensor.get()];
    std::shared_ptr<Packed> packed = entry.tensor.lock() == tensor ? entry.packed.lock() : nullptr;
    if (packed == nullptr) {
      packed = pack(*tensor);
      entry = {tensor, packed};
    }
    return packed;
  }

 private:
  struct Entry {
    std::weak_ptr<const Tensor> tensor;  // another tensor may come to lie at the same address
    std::weak_ptr<Packed> packed;
  };
  std::mutex guard_;
  std::map<const Tensor*, Entry> entries_;
};

// Bytes of a file to read before they are given back: what is packed need not stay in memory as the file has it too.
constexpr size_t kGivenBack = size_t(1) << 20;

}  // namespace pare
