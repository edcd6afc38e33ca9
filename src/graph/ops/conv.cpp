#include "graph/ops/links_of.h"

namespace pare {
namespace {

Dims spatial(const Dims& dims) { return {dims.begin() + 2, dims.end()}; }

// The weight's extents are the kernel's; the attribute may only repeat them.
Window conv_window(const Node& node, const Dims& in, const Dims& kernel) {
  const Window window = window_of(node, in, kernel);
  if (window.kernel != kernel) throw Error(node.where(), "kernel_shape is " + dims_text(window.kernel) + ", the weight has " + dims_text(kernel));
  return window;
}

}  // namespace

void infer_convolution(Inference& in, size_t weight, Type type) {
  in.set_type(0, type);
  const Shape* x = in.shape(0);
  const auto w = in.dims(weight);
  if (x == nullptr || !w) return;
  if (x->size() < 3 || w->size() != x->size())
    in.fail("input " + shape_text(*x) + " and weight " + dims_text(*w) + " do not make a convolution");
  const int64_t group = in.node().integer("group", 1);
  if (group < 1 || group > 1 << 30 || (*w)[0] % group != 0 || ((*x)[1].known() && (*x)[1].value != (*w)[1] * group))
    in.fail("input " + shape_text(*x) + ", weight " + dims_text(*w) + " and " + std::to_string(group) + " groups do not fit");
  Shape out{(*x)[0], {(*w)[0], ""}};
  out.resize(x->size());
  // Axis by axis, so that one dynamic extent does not hide the others.
  Dims extents;
  for (size_t i = 2; i < x->size(); ++i) extents.push_back((*x)[i].known() ? (*x)[i].value : int64_t(1) << 20);
  const Window window = conv_window(in.node(), extents, spatial(*w));
  for (size_t i = 2; i < x->size(); ++i)
    if ((*x)[i].known()) out[i] = {window.out[i - 2], ""};
  in.set(0, type, out);
}

namespace {

void infer_conv(Inference& in) { infer_convolution(in, 1, in.type(0)); }

int64_t macs_conv(const Node&, std::span<const Dims> in, std::span<const Dims> out) {
  int64_t per_output = 1;
  for (size_t i = 1; i < in[1].size(); ++i) per_output *= in[1][i];
  return count_of(out[0]) * per_output;
}

}  // namespace

Array convolve(const Node& node, const Array& x, const Array& w, const std::vector<float>& bias) {
  const Window window = conv_window(node, spatial(x.dims()), spatial(w.dims()));
  const int64_t group = node.integer("group", 1), channels = w.dim(1), outputs = w.dim(0);
  Dims dims{x.dim(0), outputs};
  dims.insert(dims.end(), window.out.begin(), window.out.end());
  Array y(Type::f64, dims);
  const size_t n = window.out.size();
  const Dims x_strides = strides_of(x.dims());
  const int64_t taps = count_of(window.kernel), pixels = count_of(window.out);
  const auto xs = x.values<float>(), ws = w.values<float>();
  if (!bias.empty()) check_count(node, int64_t(bias.size()), outputs, "biases");
  auto ys = y.mutable_values<double>();
  const Dims out_strides = strides_of(window.out), tap_strides = strides_of(window.kernel);
  // Input offsets of each (pixel, tap), -1 in the padding: shared by all channels.
  std::vector<int64_t> offsets(size_t(pixels * taps));
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t t = 0; t < taps; ++t) {
      int64_t offset = 0;
      for (size_t i = 0; i < n && offset >= 0; ++i) {
        const int64_t o = p / out_strides[i] % window.out[i], k = t / tap_strides[i] % window.kernel[i];
        const int64_t at = o * window.stride[i] + k * window.dilation[i] - window.pad_begin[i];
        offset = at < 0 || at >= x.dim(int(i) + 2) ? -1 : offset + at * x_strides[i + 2];
      }
      offsets[size_t(p * taps + t)] = offset;
    }
  for (int64_t image = 0; image < x.dim(0); ++image)
    for (int64_t m = 0; m < outputs; ++m)
      for (int64_t p = 0; p < pixels; ++p) {
        double sum = bias.empty() ? 0.0 : bias[size_t(m)];
        for (int64_t c = 0; c < channels; ++c) {
          const int64_t channel = m / (outputs / group) * channels + c;
          const float* plane = xs.data() + image * x_strides[0] + channel * x_strides[1];
          const float* weights = ws.data() + (m * channels + c) * taps;
          for (int64_t t = 0; t < taps; ++t)
            if (const int64_t offset = offsets[size_t(p * taps + t)]; offset >= 0) sum += double(weights[t]) * plane[offset];
        }
        ys[size_t((image * outputs + m) * pixels + p)] = sum;
      }
  return y;
}

namespace {

void forward_conv(Forward& f) {
  const Array y = convolve(f.node, float_in(f, 0), float_in(f, 1), f.has(2) ? f.in(2).to_floats() : std::vector<float>());
  f.outputs[0] = y.cast(f.in(0).type());
}

// Extents of a transposed convolution and the padding it crops in front.
Dims transposed_extents(const Node& node, const Dims& in, const Dims& kernel, std::vector<int64_t>& pad_begin) {
  const size_t n = in.size();
  const auto stride = node.integers("strides", std::vector<int64_t>(n, 1));
  const auto dilation = node.integers("dilations", std::vector<int64_t>(n, 1));
  const auto extra = node.integers("output_padding", std::vector<int64_t>(n, 0));
  const auto wanted = node.integers("output_shape");
  const auto pads = node.integers("pads", std::vector<int64_t>(2 * n, 0));
  const std::string auto_pad = node.text("auto_pad", "NOTSET");
  if (stride.size() != n || dilation.size() != n || extra.size() != n || pads.size() != 2 * n)
    throw Error(node.where(), "strides, dilations, pads or output_padding do not fit " + std::to_string(n) + " spatial axes");
  if (!wanted.empty() && wanted.size() < n) throw Error(node.where(), "output_shape does not fit " + std::to_string(n) + " spatial axes");
  for (const auto* values : {&stride, &dilation, &extra, &wanted, &pads})
    for (int64_t v : *values)
      if (v < 0 || v > int64_t(1) << 30) throw Error(node.where(), "has " + std::to_string(v) + " among strides, dilations, pads and extents");
  Dims out(n);
  pad_begin.assign(n, 0);
  for (size_t i = 0; i < n; ++i) {
    const int64_t full = (in[i] - 1) * stride[i] + extra[i] + (kernel[i] - 1) * dilation[i] + 1;
    if (!wanted.empty() || auto_pad.starts_with("SAME")) {
      out[i] = wanted.empty() ? in[i] * stride[i] : wanted.at(wanted.size() - n + i);
      const int64_t total = std::max<int64_t>(0, full - out[i]);
      pad_begin[i] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    } else {
      out[i] = full - pads[i] - pads[i + n];
      pad_begin[i] = pads[i];
    }
    if (out[i] < 1) throw Error(node.where(), "the result would be empty");
  }
  return out;
}

void infer_conv_transpose(Inference& in) {
  in.set_type(0, in.type(0));
  const auto x = in.dims(0), w = in.dims(1);
  if (!x || !w) return;
  if (x->size() < 3 || w->size() != x->size()) in.fail("input " + dims_text(*x) + " and weight " + dims_text(*w) + " do not fit");
  const int64_t group = in.node().integer("group", 1);
  if (group < 1 || group > 1 << 30 || (*x)[1] != (*w)[0] || (*w)[0] % group != 0)
    in.fail("input " + dims_text(*x) + ", weight " + dims_text(*w) + " and " + std::to_string(group) + " groups do not fit");
  std::vector<int64_t> pad;
  Dims out{(*x)[0], (*w)[1] * group};
  const Dims rest = transposed_extents(in.node(), spatial(*x), spatial(*w), pad);
  out.insert(out.end(), rest.begin(), rest.end());
  in.set(0, in.type(0), shape_of(out));
}

int64_t macs_conv_transpose(const Node&, std::span<const Dims> in, std::span<const Dims>) {
  int64_t per_input = 1;
  for (size_t i = 1; i < in[1].size(); ++i) per_input *= in[1][i];
  return count_of(in[0]) * per_input;
}

void forward_conv_transpose(Forward& f) {
  const Array x = float_in(f, 0), w = float_in(f, 1);
  const Dims in = spatial(x.dims()), kernel = spatial(w.dims());
  std::vector<int64_t> pad;
  const Dims extents = transposed_extents(f.node, in, kernel, pad);
  const size_t n = in.size();
  const int64_t group = f.node.integer("group", 1), per_group = w.dim(1), outputs = per_group * group;
  const auto stride = f.node.integers("strides", std::vector<int64_t>(n, 1));
  const auto dilation = f.node.integers("dilations", std::vector<int64_t>(n, 1));
  Dims dims{x.dim(0), outputs};
  dims.insert(dims.end(), extents.begin(), extents.end());
  const int64_t pixels = count_of(in), taps = count_of(kernel), out_pixels = count_of(extents), channels = x.dim(1);
  std::vector<double> sums(size_t(x.dim(0) * outputs * out_pixels), 0.0);
  const Dims in_strides = strides_of(in), tap_strides = strides_of(kernel), out_strides = strides_of(extents);
  const auto xs = x.values<float>(), ws = w.values<float>();
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t t = 0; t < taps; ++t) {
      int64_t offset = 0;
      for (size_t i = 0; i < n && offset >= 0; ++i) {
        const int64_t at = p / in_strides[i] % in[i] * stride[i] + t / tap_strides[i] % kernel[i] * dilation[i] - pad[i];
        offset = at < 0 || at >= extents[i] ? -1 : offset + at * out_strides[i];
      }
      if (offset < 0) continue;
      for (int64_t image = 0; image < x.dim(0); ++image)
        for (int64_t c = 0; c < channels; ++c)
          for (int64_t m = 0; m < per_group; ++m) {
            const int64_t out_channel = c / (channels / group) * per_group + m;
            sums[size_t((image * outputs + out_channel) * out_pixels + offset)] +=
                double(xs[size_t((image * channels + c) * pixels + p)]) * ws[size_t((c * per_group + m) * taps + t)];
          }
    }
  Array y(Type::f32, dims);
  auto ys = y.mutable_values<float>();
  const std::vector<float> bias = f.has(2) ? f.in(2).to_floats() : std::vector<float>(size_t(outputs), 0.f);
  check_count(f.node, int64_t(bias.size()), outputs, "biases");
  for (size_t i = 0; i < ys.size(); ++i) ys[i] = float(sums[i] + bias[i / size_t(out_pixels) % size_t(outputs)]);
  float_out(f, 0, y);
}

}  // namespace

const Op op_conv{"Conv", "", 2, 3, 1, 1, infer_conv, forward_conv, macs_conv, "convolution over any number of spatial axes", 1, links_conv, narrow_conv};
const Op op_conv_transpose{"ConvTranspose", "", 2, 3, 1, 1, infer_conv_transpose, forward_conv_transpose, macs_conv_transpose,
                           "transposed convolution", 1, links_conv_transpose, narrow_conv};

}  // namespace pare
