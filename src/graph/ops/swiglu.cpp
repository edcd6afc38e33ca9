// SwiGLU: the gate of the feed-forward layers of language models.
#include "graph/ops/ops.h"

namespace pare {
namespace {

// a·sigmoid(alpha·a)·b
void forward_swiglu(Forward& f) {
  check_dims(f, 1, f.in(0).dims());
  const double alpha = f.node.real("alpha", 1);
  Array y = float_in(f, 0);
  const auto b = f.in(1).to_floats();
  auto ys = y.mutable_values<float>();
  for (size_t i = 0; i < ys.size(); ++i) ys[i] = float(ys[i] / (1 + std::exp(-alpha * ys[i])) * b[i]);
  float_out(f, 0, y);
}

}  // namespace

const Op op_swiglu{"SwiGLU", "", 2, 2, 1, 1, infer_same, forward_swiglu, nullptr, "a gate's swish times a value"};

}  // namespace pare
