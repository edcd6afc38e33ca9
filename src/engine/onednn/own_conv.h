#pragma once
// What forms of a float convolution share, and those of our own kernels.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/onednn/onednn.h"

namespace pare {

struct ConvPlan {
  dnnl::memory::dims strides, dilates, pad_begin, pad_end, weight_dims;
  dnnl::memory::desc source, target, bias;
  Type type = Type::f32;
  dnnl::memory::data_type bias_type = dnnl::memory::data_type::f32;
};

struct ConvSlots {
  SlotId source, residual, target;
  bool in_place;
};

// The steps of one form.
using Form = std::vector<std::unique_ptr<Step>>;

// How the sum and the activations behind a convolution join it: inside; inside, on a target the residual was copied to; or
// in a step of their own, because the form that convolves fastest knows nothing of them.
enum class Joining { fused, preloaded, apart };

// A form before it is made.
struct FormPlan {
  std::string name;
  std::function<Form()> make;
  Joining joining = Joining::fused;
};

// A convolution for our own kernels.
struct OwnConv {
  Planner& planner;
  const ConvPlan& plan;
  FloatFunctions functions;
  Array weight, bias;
  ConvSlots slots;
  Storage source, target;
};
// Of 1x1 kernels, as linear layers; of 3x3 kernels, by Winograd's transforms; depthwise ones. Empty where they do not fit. Plan and planner must
// outlive what is made of them.
std::vector<FormPlan> pixelwise_forms(const OwnConv& conv);
std::vector<FormPlan> winograd_forms(const OwnConv& conv);
std::vector<FormPlan> depthwise_forms(const OwnConv& conv);

}  // namespace pare
