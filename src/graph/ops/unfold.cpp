// Elements put back where windows took them from, and extents brought to a given size: Col2Im, MaxUnpool, CenterCropPad.
#include <cstring>

#include "graph/ops/ops.h"

namespace pare {
namespace {

// The window of an image of `image` extents, its blocks counted.
Window block_window(const Node& node, const std::vector<int64_t>& image, const std::vector<int64_t>& block) {
  if (image.size() != block.size() || image.empty()) throw Error(node.where(), "has an image and a block of different numbers of axes");
  for (int64_t extent : image)
    if (extent < 1 || extent > int64_t(1) << 30) throw Error(node.where(), "has an image of " + dims_text(image));
  return window_of(node, image, block);
}

Shape col2im_shape(const Node& node, const Shape& x, const std::vector<int64_t>& image, const std::vector<int64_t>& block) {
  const Window window = block_window(node, image, block);
  const int64_t taps = count_of(window.kernel, node.where());
  if (x.size() != 3 || (x[1].known() && x[1].value % taps != 0) || (x[2].known() && x[2].value != count_of(window.out)))
    throw Error(node.where(), "has columns " + shape_text(x) + ", which do not fit " + std::to_string(count_of(window.out)) + " blocks of " + std::to_string(taps));
  Shape out{x[0], over(x[1], taps)};
  for (int64_t extent : image) out.push_back({extent, ""});
  return out;
}

void infer_col2im(Inference& in) {
  in.set_type(0, in.type(0));
  const auto image = in.integers(1), block = in.integers(2);
  if (in.shape(0) != nullptr && image && block) in.set(0, in.type(0), col2im_shape(in.node(), *in.shape(0), *image, *block));
}

// X [n, channels·taps, blocks]: each block's columns are added where the block lies.
void forward_col2im(Forward& f) {
  const auto image = f.in(1).to_integers(), block = f.in(2).to_integers();
  const Dims dims = *known_dims(col2im_shape(f.node, shape_of(f.in(0).dims()), image, block));
  const Window window = block_window(f.node, image, block);
  const auto xs = f.in(0).to_floats();
  const Dims out_strides = strides_of(window.out), tap_strides = strides_of(window.kernel), strides = strides_of(image);
  const int64_t blocks = count_of(window.out), taps = count_of(window.kernel), plane = count_of(image);
  std::vector<double> sums(size_t(count_of(dims)), 0);
  for (int64_t row = 0; row < dims[0] * dims[1]; ++row)
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t p = 0; p < blocks; ++p) {
        int64_t offset = 0;
        for (size_t i = 0; i < image.size() && offset >= 0; ++i) {
          const int64_t at = p / out_strides[i] % window.out[i] * window.stride[i] + t / tap_strides[i] % window.kernel[i] * window.dilation[i] - window.pad_begin[i];
          offset = at < 0 || at >= image[i] ? -1 : offset + at * strides[i];
        }
        if (offset >= 0) sums[size_t(row * plane + offset)] += xs[size_t((row * taps + t) * blocks + p)];
      }
  f.outputs[0] = Array::of<double>(dims, sums).cast(f.in(0).type());
}

Dims unpooled(const Node& node, const Dims& x) {
  const size_t n = x.size() < 2 ? 0 : x.size() - 2;
  const auto kernel = node.integers("kernel_shape"), stride = node.integers("strides", std::vector<int64_t>(n, 1)), pads = node.integers("pads", std::vector<int64_t>(2 * n, 0));
  if (n == 0 || kernel.size() != n || stride.size() != n || pads.size() != 2 * n) throw Error(node.where(), "kernel, strides or pads do not fit " + dims_text(x));
  for (const auto* values : {&kernel, &stride, &pads})
    for (int64_t v : *values)
      if (v < 0 || v > int64_t(1) << 30) throw Error(node.where(), "has " + std::to_string(v) + " among kernel, strides and pads");
  Dims out{x[0], x[1]};
  for (size_t i = 0; i < n; ++i) out.push_back((x[i + 2] - 1) * stride[i] + kernel[i] - pads[i] - pads[i + n]);
  count_of(out, node.where());
  return out;
}

void infer_max_unpool(Inference& in) {
  in.set_type(0, in.type(0));
  if (in.has(2)) {
    if (const auto dims = in.integers(2)) {
      count_of(*dims, in.node().where());
      in.set(0, in.type(0), shape_of(*dims));
    }
  } else if (const auto x = in.dims(0)) {
    in.set(0, in.type(0), shape_of(unpooled(in.node(), *x)));
  }
}

// Indices count in the tensor that was pooled; a larger output holds that tensor at its beginning.
void forward_max_unpool(Forward& f) {
  check_dims(f, 1, f.in(0).dims());
  const Dims pooled = unpooled(f.node, f.in(0).dims()), dims = f.has(2) ? f.in(2).to_integers() : pooled;
  const auto xs = f.in(0).to_floats();
  const auto indices = f.in(1).to_integers();
  if (dims.size() != pooled.size()) throw Error(f.node.where(), "has an output shape of " + std::to_string(dims.size()) + " axes");
  Array y(Type::f32, dims);
  const Dims from = strides_of(pooled), to = strides_of(dims);
  const int64_t count = count_of(pooled);
  for (size_t k = 0; k < xs.size(); ++k) {
    if (indices[k] < 0 || indices[k] >= count) throw Error(f.node.where(), "has index " + std::to_string(indices[k]) + " of " + std::to_string(count) + " elements");
    int64_t offset = 0;
    for (size_t i = 0; i < dims.size(); ++i) {
      const int64_t at = indices[k] / from[i] % pooled[i];
      if (at >= dims[i]) throw Error(f.node.where(), "has an output shape " + dims_text(dims) + " smaller than what was pooled");
      offset += at * to[i];
    }
    y.mutable_values<float>()[size_t(offset)] = xs[k];
  }
  float_out(f, 0, y);
}

Shape cropped(const Node& node, const Shape& x, const std::vector<int64_t>& wanted) {
  std::vector<int64_t> axes = node.integers("axes");
  if (!node.has("axes"))
    for (size_t i = 0; i < x.size(); ++i) axes.push_back(int64_t(i));
  if (axes.size() != wanted.size()) throw Error(node.where(), "names " + std::to_string(axes.size()) + " axes and " + std::to_string(wanted.size()) + " extents");
  Shape out = x;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (wanted[i] < 0) throw Error(node.where(), "wants an extent of " + std::to_string(wanted[i]));
    out[size_t(normal_axis(axes[i], int64_t(x.size()), node.where()))] = {wanted[i], ""};
  }
  return out;
}

void infer_center_crop_pad(Inference& in) {
  in.set_type(0, in.type(0));
  if (in.shape(0) == nullptr) return;
  if (const auto wanted = in.integers(1)) return in.set(0, in.type(0), cropped(in.node(), *in.shape(0), *wanted));
  Shape out = *in.shape(0);
  for (Dim& dim : out) dim = {};
  in.set(0, in.type(0), out);
}

// The middle of the input in the middle of the output; an odd rest goes behind.
void forward_center_crop_pad(Forward& f) {
  const Array& x = f.in(0);
  const Dims dims = *known_dims(cropped(f.node, shape_of(x.dims()), f.in(1).to_integers()));
  if (type_bits(x.type()) < 8) throw Error(f.node.where(), "cannot cut a tensor of " + std::string(type_text(x.type())));
  const size_t width = size_t(type_bits(x.type())) / 8;
  Array y(x.type(), dims);
  Dims common(dims.size()), from(dims.size()), to(dims.size());
  for (size_t i = 0; i < dims.size(); ++i) {
    common[i] = std::min(dims[i], x.dims()[i]);
    from[i] = (x.dims()[i] - common[i]) / 2;
    to[i] = (dims[i] - common[i]) / 2;
  }
  const Dims from_strides = strides_of(x.dims()), to_strides = strides_of(dims), steps = strides_of(common);
  std::byte* out = y.mutable_bytes();
  for (int64_t k = 0; k < count_of(common); ++k) {
    int64_t source = 0, target = 0;
    for (size_t i = 0; i < dims.size(); ++i) {
      const int64_t at = k / steps[i] % common[i];
      source += (at + from[i]) * from_strides[i];
      target += (at + to[i]) * to_strides[i];
    }
    std::memcpy(out + size_t(target) * width, x.bytes() + size_t(source) * width, width);
  }
  f.outputs[0] = y;
}

}  // namespace

const Op op_col2im{"Col2Im", "", 3, 3, 1, 1, infer_col2im, forward_col2im, nullptr, "columns of blocks added up to an image"};
const Op op_center_crop_pad{"CenterCropPad", "", 2, 2, 1, 1, infer_center_crop_pad, forward_center_crop_pad, nullptr, "crops or pads evenly to given extents"};
const Op op_max_unpool{"MaxUnpool", "", 2, 3, 1, 1, infer_max_unpool, forward_max_unpool, nullptr, "maxima put back where they came from"};

}  // namespace pare
