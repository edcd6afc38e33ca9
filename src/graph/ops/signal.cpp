// Signals: discrete Fourier transforms, window functions, mel filters.
#include <limits>
#include <numbers>

#include "graph/ops/ops.h"

namespace pare {
namespace {

constexpr double kPi = std::numbers::pi;

// Σ x[t]·e^(∓2πi·k·t/length) for k < bins, straight from the definition.
void transform(const std::vector<double>& re, const std::vector<double>& im, int64_t length, int64_t bins, bool inverse, std::vector<double>& out) {
  const auto given = std::min<int64_t>(length, int64_t(re.size()));
  out.assign(size_t(2 * bins), 0);
  for (int64_t k = 0; k < bins; ++k) {
    double sum_re = 0, sum_im = 0;
    for (int64_t t = 0; t < given; ++t) {
      const double angle = (inverse ? 2 : -2) * kPi * double(k * t % length) / double(length), c = std::cos(angle), s = std::sin(angle);
      sum_re += re[size_t(t)] * c - im[size_t(t)] * s;
      sum_im += re[size_t(t)] * s + im[size_t(t)] * c;
    }
    out[size_t(2 * k)] = inverse ? sum_re / double(length) : sum_re;
    out[size_t(2 * k + 1)] = inverse ? sum_im / double(length) : sum_im;
  }
}

int64_t checked_length(const Node& node, double length) {
  if (!(length >= 1 && length <= double(1 << 24))) throw Error(node.where(), "transforms " + std::to_string(int64_t(std::clamp(length, -1e18, 1e18))) + " elements");
  return int64_t(length);
}

struct DftForm {
  size_t axis;
  int64_t length, bins;       // of the transform; along the axis of the result
  bool inverse, onesided;
  int64_t parts;              // 2: the result has real and imaginary parts
};

// x [..., parts]; the axis is an attribute below opset 20, an input since (default −2). `given`: the length input, 0 where
// there is none.
DftForm dft_form(const Node& node, int64_t opset, const Dims& x, double given, int64_t axis_input) {
  const auto rank = int64_t(x.size());
  if (rank < 2 || (x.back() != 1 && x.back() != 2)) throw Error(node.where(), "takes no " + dims_text(x) + ": its last axis is of one real or two complex parts");
  const int64_t axis = normal_axis(opset < 20 ? node.integer("axis", 1) : axis_input, rank, node.where());
  if (axis == rank - 1) throw Error(node.where(), "transforms along the axis of real and imaginary parts");
  DftForm form{size_t(axis), 0, 0, node.integer("inverse", 0) != 0, node.integer("onesided", 0) != 0, 2};
  const bool back_to_real = form.inverse && form.onesided;
  form.length = checked_length(node, given != 0 ? given : back_to_real ? 2 * double(x[form.axis] - 1) : double(x[form.axis]));
  form.bins = form.onesided && !form.inverse ? form.length / 2 + 1 : form.length;
  if (back_to_real) form.parts = 1;
  return form;
}

void infer_dft(Inference& in) {
  in.set_type(0, in.type(0));
  const auto x = in.dims(0), length = in.integers(1), axis = in.integers(2);
  if (in.shape(0) == nullptr) return;
  if (!x || (in.has(1) && !length) || (in.has(2) && !axis)) return in.set(0, in.type(0), Shape(in.shape(0)->size()));
  if ((length && length->size() != 1) || (axis && axis->size() != 1)) in.fail("takes one length and one axis");
  const DftForm form = dft_form(in.node(), in.opset(), *x, length ? double(length->at(0)) : 0, axis ? axis->at(0) : -2);
  Shape out = *in.shape(0);
  out[form.axis] = {form.bins, ""};
  out.back() = {form.parts, ""};
  in.set(0, in.type(0), out);
}

void forward_dft(Forward& f) {
  const Array x = f.in(0).cast(Type::f64);
  const double length = f.has(1) ? scalar_of(f, 1) : 0;
  if (f.has(1) && length == 0) throw Error(f.node.where(), "transforms no elements");
  const DftForm form = dft_form(f.node, f.opset, x.dims(), length, f.has(2) ? int64_t(scalar_of(f, 2)) : -2);
  Dims dims = x.dims();
  const int64_t given = dims[form.axis], parts = dims.back();
  dims[form.axis] = form.bins;
  dims.back() = form.parts;
  int64_t inner = 1;
  for (size_t i = form.axis + 1; i + 1 < dims.size(); ++i) inner *= dims[i];
  Array y(Type::f64, dims);
  const auto xs = x.values<double>();
  auto ys = y.mutable_values<double>();
  const int64_t lines = given > 0 ? x.count() / given / parts : 0;
  // A one-sided spectrum of a real signal: the other half is its mirror image.
  const bool mirrored = form.inverse && form.onesided;
  const int64_t read = mirrored ? form.length : given;
  std::vector<double> re(static_cast<size_t>(read)), im(static_cast<size_t>(read)), out;
  for (int64_t line = 0; line < lines; ++line) {
    const int64_t outer = line / inner, in_line = line % inner;
    for (int64_t t = 0; t < read; ++t) {
      const bool second = mirrored && t > form.length / 2;
      const int64_t source = second ? form.length - t : t;
      const bool there = source < given;
      const size_t at = size_t(((outer * given + std::min(source, given - 1)) * inner + in_line) * parts);
      re[size_t(t)] = there ? xs[at] : 0;
      im[size_t(t)] = there && parts == 2 ? (second ? -xs[at + 1] : xs[at + 1]) : 0;
    }
    if (mirrored) {  // what must be real is
      im[0] = 0;
      if (form.length % 2 == 0) im[size_t(form.length / 2)] = 0;
    }
    transform(re, im, form.length, form.bins, form.inverse, out);
    for (int64_t k = 0; k < form.bins; ++k)
      for (int64_t p = 0; p < form.parts; ++p) ys[size_t(((outer * form.bins + k) * inner + in_line) * form.parts + p)] = out[size_t(2 * k + p)];
  }
  f.outputs[0] = y.cast(f.in(0).type());
}

// Frames of a signal [batch, length, 1 or 2], each weighted by a window and transformed: [batch, frames, bins, 2].
Dims stft_dims(const Node& node, const Dims& x, double step, int64_t frame) {
  if (x.size() != 3 || (x[2] != 1 && x[2] != 2)) throw Error(node.where(), "takes no " + dims_text(x) + ", expected batch, length and one or two parts");
  if (!(step >= 1 && step < 1e15) || frame < 1 || frame > x[1]) throw Error(node.where(), "cannot cut " + std::to_string(x[1]) + " elements into frames of " + std::to_string(frame));
  const int64_t bins = node.integer("onesided", 1) != 0 ? frame / 2 + 1 : frame;
  return {x[0], 1 + (x[1] - frame) / int64_t(step), bins, 2};
}

void infer_stft(Inference& in) {
  in.set_type(0, in.type(0));
  const auto x = in.dims(0), step = in.integers(1), window = in.dims(2), length = in.integers(3);
  const bool known = x && step && step->size() == 1 && (in.has(3) ? length && length->size() == 1 : !in.has(2) || (window && window->size() == 1));
  if (!known) return in.set(0, in.type(0), {Dim{}, Dim{}, Dim{}, {2, ""}});
  if (x->size() != 3) in.fail("takes no " + dims_text(*x) + ", expected batch, length and one or two parts");
  in.set(0, in.type(0), shape_of(stft_dims(in.node(), *x, double(step->at(0)), in.has(3) ? length->at(0) : in.has(2) ? window->at(0) : x->at(1))));
}

void forward_stft(Forward& f) {
  check_rank(f, 0, 3);
  const Array x = f.in(0).cast(Type::f64);
  if (f.has(2)) check_rank(f, 2, 1);
  const int64_t frame = f.has(3) ? checked_length(f.node, scalar_of(f, 3)) : f.has(2) ? f.in(2).dim(0) : x.dim(1);
  const double given_step = scalar_of(f, 1);
  const Dims dims = stft_dims(f.node, x.dims(), given_step, frame);
  const auto step = int64_t(given_step);
  auto window = f.has(2) ? f.in(2).to_floats() : std::vector<float>(size_t(frame), 1.f);
  if (int64_t(window.size()) != frame) throw Error(f.node.where(), "has a window of " + std::to_string(window.size()) + " for frames of " + std::to_string(frame));
  const int64_t parts = x.dim(2);
  Array y(Type::f64, dims);
  double* to = y.mutable_values<double>().data();
  std::vector<double> re(static_cast<size_t>(frame)), im(static_cast<size_t>(frame)), out;
  for (int64_t b = 0; b < dims[0]; ++b)
    for (int64_t n = 0; n < dims[1]; ++n) {
      for (int64_t t = 0; t < frame; ++t) {
        const double* p = &x.values<double>()[size_t((b * x.dim(1) + n * step + t) * parts)];
        re[size_t(t)] = p[0] * window[size_t(t)];
        im[size_t(t)] = parts == 2 ? p[1] * window[size_t(t)] : 0;
      }
      transform(re, im, frame, dims[2], false, out);
      to = std::copy(out.begin(), out.end(), to);
    }
  f.outputs[0] = y.cast(f.in(0).type());
}

Type output_type(const Node& node) {
  const auto type = type_of_number(int(std::clamp<int64_t>(node.integer("output_datatype", 1), 0, 1000)));
  if (!type || type_bits(*type) < 8 || *type == Type::c64 || *type == Type::c128) throw Error(node.where(), "has an output_datatype it cannot give");
  return *type;
}

// a0 − a1·cos(2πn/N) + a2·cos(4πn/N), N the size (periodic) or one less (symmetric).
void window_function(Forward& f, double a0, double a1, double a2) {
  const double size = scalar_of(f, 0);
  const Type type = output_type(f.node);
  if (!(size >= 0 && size <= double(1 << 28))) throw Error(f.node.where(), "makes a window of an absurd size");
  const double span = f.node.integer("periodic", 1) != 0 ? size : size - 1;
  Array y(Type::f64, {int64_t(size)});
  auto ys = y.mutable_values<double>();
  for (size_t n = 0; n < ys.size(); ++n) {
    const double angle = span > 0 ? 2 * kPi * double(n) / span : 0;
    ys[n] = a0 - a1 * std::cos(angle) + a2 * std::cos(2 * angle);
  }
  f.outputs[0] = y.cast(type);
}
void forward_hann(Forward& f) { window_function(f, 0.5, 0.5, 0); }
void forward_hamming(Forward& f) { window_function(f, 25.0 / 46, 21.0 / 46, 0); }
void forward_blackman(Forward& f) { window_function(f, 0.42, 0.5, 0.08); }

void infer_window(Inference& in) {
  const auto size = in.integers(0);
  const bool known = size && size->size() == 1 && size->at(0) >= 0;
  in.set(0, output_type(in.node()), {known ? Dim{size->at(0), ""} : Dim{}});
}

// Triangular filters, evenly spaced in mel between two frequencies: [length/2 + 1, filters].
void forward_mel(Forward& f) {
  const auto filters = int64_t(std::clamp(scalar_of(f, 0), 0.0, 1e6)), length = checked_length(f.node, scalar_of(f, 1));
  const double rate = scalar_of(f, 2), low = scalar_of(f, 3), high = scalar_of(f, 4);
  if (!(rate > 0) || !(low >= 0) || !(high >= low) || !(high <= rate)) throw Error(f.node.where(), "has frequencies that are no band of its sample rate");
  auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  const int64_t bins = length / 2 + 1;
  const double step = (mel(high) - mel(low)) / double(filters + 2);
  std::vector<int64_t> edges;
  for (int64_t i = 0; i < filters + 2; ++i) {
    const double hertz = 700 * (std::pow(10, (mel(low) + double(i) * step) / 2595) - 1);
    edges.push_back(std::min(bins - 1, int64_t(std::floor(double(length + 1) * hertz / rate))));
  }
  count_of({bins, filters}, f.node.where());
  Array y(Type::f64, {bins, filters});
  auto ys = y.mutable_values<double>();
  for (int64_t i = 0; i < filters; ++i) {
    const int64_t left = edges[size_t(i)], centre = edges[size_t(i + 1)], right = edges[size_t(i + 2)];
    if (centre == left) ys[size_t(centre * filters + i)] = 1;
    for (int64_t k = left; k < centre + 1 && centre > left; ++k) ys[size_t(k * filters + i)] = double(k - left) / double(centre - left);
    for (int64_t k = centre; k < right; ++k) ys[size_t(k * filters + i)] = double(right - k) / double(right - centre);
  }
  f.outputs[0] = y.cast(output_type(f.node));
}

void infer_mel(Inference& in) {
  const auto filters = in.integers(0), length = in.integers(1);
  const bool known = filters && length && filters->size() == 1 && length->size() == 1 && filters->at(0) >= 0 && length->at(0) >= 0;
  in.set(0, output_type(in.node()), known ? Shape{{length->at(0) / 2 + 1, ""}, {filters->at(0), ""}} : Shape(2));
}

}  // namespace

const Op op_dft{"DFT", "", 1, 3, 1, 1, infer_dft, forward_dft, nullptr, "discrete Fourier transform along an axis"};
const Op op_stft{"STFT", "", 2, 4, 1, 1, infer_stft, forward_stft, nullptr, "Fourier transforms of overlapping frames"};
const Op op_hann_window{"HannWindow", "", 1, 1, 1, 1, infer_window, forward_hann, nullptr, "Hann window"};
const Op op_hamming_window{"HammingWindow", "", 1, 1, 1, 1, infer_window, forward_hamming, nullptr, "Hamming window"};
const Op op_blackman_window{"BlackmanWindow", "", 1, 1, 1, 1, infer_window, forward_blackman, nullptr, "Blackman window"};
const Op op_mel_weight_matrix{"MelWeightMatrix", "", 5, 5, 1, 1, infer_mel, forward_mel, nullptr, "triangular filters evenly spaced in mel"};

}  // namespace pare
