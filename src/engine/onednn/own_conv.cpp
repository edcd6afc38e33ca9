#include "engine/onednn/own_conv.h"

#include <algorithm>

#include "engine/depthwise.h"
#include "engine/float_linear.h"
#include "engine/winograd.h"

namespace pare {
namespace {

bool all(const dnnl::memory::dims& dims, int64_t value) {
  return std::all_of(dims.begin(), dims.end(), [&](int64_t d) { return d == value; });
}

Form only(std::unique_ptr<Step> step) {
  Form form;
  form.push_back(std::move(step));
  return form;
}

// Blocks of channels must be vectors of the kernel.
bool fits_layout(const OwnConv& conv, int lanes) {
  return conv.source.layout == conv.target.layout && conv.source.layout != Layout::plain && (conv.source.layout != Layout::blocked || lanes == channel_block());
}

template <class OwnStep>
void bind(OwnStep& step, const ConvSlots& slots) {
  step.source = slots.source;
  step.residual = slots.residual;
  step.target = step.writes = slots.target;
  step.reads = {slots.source};
  if (slots.residual >= 0) step.reads.push_back(slots.residual);
}

Form make_pixelwise(const FloatLinearKernel& kernel, const OwnConv& conv) {
  const Dims &x = conv.source.dims, &y = conv.target.dims;
  const int64_t inner = x[1], columns = y[1], images = x[0], pixels = x[2] * x[3];
  const Array floats = conv.weight.cast(Type::f32);
  auto step = make_float_linear(kernel, {floats.bytes(), 1, inner, inner, columns}, conv.bias);
  FloatLinear& job = step->job;
  const bool blocked = conv.source.layout == Layout::blocked;
  const int64_t lanes = kernel.lanes;
  job.rows = blocked ? pixels : images * pixels;
  job.x_row = blocked ? lanes : inner;
  job.x_inner = blocked ? lanes : inner;
  job.x_block = pixels * lanes;
  job.y_row = blocked ? lanes : columns;
  job.y_block = blocked ? pixels * lanes : lanes;
  job.whole = blocked;
  job.first = conv.functions.first;
  job.last = conv.functions.last;
  step->images = blocked ? images : 1;
  step->x_image = (inner + lanes - 1) / lanes * lanes * pixels;
  step->y_image = (columns + lanes - 1) / lanes * lanes * pixels;
  bind(*step, conv.slots);
  return only(std::move(step));
}

}  // namespace

std::vector<FormPlan> pixelwise_forms(const OwnConv& conv) {
  const ConvPlan& plan = conv.plan;
  const dnnl::memory::dims& w = plan.weight_dims;
  if (w.size() != 4 || w[2] != 1 || w[3] != 1 || !all(plan.strides, 1) || !all(plan.pad_begin, 0) || !all(plan.pad_end, 0)) return {};
  const FloatLinearKernel* kernel = float_linear_kernel(plan.type, w[1]);
  if (kernel == nullptr || !fits_layout(conv, kernel->lanes)) return {};
  return {{kernel->name, [=] { return make_pixelwise(*kernel, conv); }}};
}

std::vector<FormPlan> winograd_forms(const OwnConv& conv) {
  const ConvPlan& plan = conv.plan;
  if (plan.type != Type::f32 || !all(plan.strides, 1) || !all(plan.dilates, 0)) return {};
  WinogradLayer layer{conv.weight.cast(Type::f32), conv.bias.cast(Type::f32), plan.weight_dims.size() == 5 ? plan.weight_dims[0] : 1, {plan.pad_begin[0], plan.pad_begin[1]},
                      conv.source, conv.target, conv.functions.first, conv.functions.last};
  std::vector<FormPlan> forms;
  for (const WinogradKernel* kernel : winograd_kernels_for(layer))
    if (fits_layout(conv, kernel->lanes)) forms.push_back({kernel->name, [=] { return only(make_winograd(conv.planner, *kernel, layer, conv.slots.source, conv.slots.residual, conv.slots.target)); }});
  return forms;
}

std::vector<FormPlan> depthwise_forms(const OwnConv& conv) {
  const ConvPlan& plan = conv.plan;
  if (plan.type != Type::f32 || plan.weight_dims.size() != 5) return {};
  DepthwiseLayer layer{conv.weight.cast(Type::f32), conv.bias.cast(Type::f32), {plan.strides[0], plan.strides[1]}, {plan.dilates[0] + 1, plan.dilates[1] + 1},
                       {plan.pad_begin[0], plan.pad_begin[1]}, conv.source, conv.target, conv.functions.first, conv.functions.last};
  const FloatDepthwiseKernel* kernel = depthwise_kernel_for(layer);
  if (kernel == nullptr || !fits_layout(conv, kernel->lanes)) return {};
  return {{kernel->name, [=] {
             auto step = std::make_unique<DepthwiseFloatStep>(*kernel, layer);
             bind(*step, conv.slots);
             return only(std::move(step));
           }}};
}

}  // namespace pare
