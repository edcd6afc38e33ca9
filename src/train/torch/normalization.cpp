// Batch normalization of a batch that is spread over processes: as rows of channels, read as few times as the statistics need.
// libtorch's operators, put together, would write four tensors of the batch's size forward and more backward.
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "train/torch/together.h"

namespace pare {
namespace {

constexpr int64_t kRows = 256;  // added up in floats before they join a sum in double

// [N, C, …] as [N, …, C], which costs nothing where channels are innermost already, and back.
at::Tensor rows_of(const at::Tensor& x) { return x.movedim(1, -1).contiguous(); }
at::Tensor from_rows(const at::Tensor& rows) { return rows.movedim(-1, 1); }

// Σ over the rows of term(index, channel), by channel. The order of the additions does not depend on the threads.
template <class Term>
std::vector<double> sums_by_channel(int64_t rows, int64_t channels, const Term& term) {
  const int64_t parts = (rows + kRows - 1) / kRows;
  std::vector<float> sums(size_t(parts * channels), 0.f);
  at::parallel_for(0, parts, 16, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      float* __restrict sum = sums.data() + part * channels;
      for (int64_t row = part * kRows; row < std::min(rows, (part + 1) * kRows); ++row)
        for (int64_t c = 0; c < channels; ++c) sum[c] += term(row * channels + c, c);
    }
  });
  std::vector<double> all(size_t(channels), 0.0);
  for (int64_t part = 0; part < parts; ++part)
    for (int64_t c = 0; c < channels; ++c) all[size_t(c)] += double(sums[size_t(part * channels + c)]);
  return all;
}

// A tensor like `rows` of term(index, channel).
template <class Term>
at::Tensor mapped_by_channel(const at::Tensor& rows, const Term& term) {
  at::Tensor result = at::empty_like(rows);
  const int64_t channels = rows.size(-1);
  float* out = result.data_ptr<float>();
  at::parallel_for(0, rows.numel() / channels, kRows, [&](int64_t first, int64_t last) {
    float* __restrict to = out;
    for (int64_t row = first; row < last; ++row)
      for (int64_t c = 0; c < channels; ++c) to[row * channels + c] = term(row * channels + c, c);
  });
  return result;
}

// Of the whole batch.
struct Statistics {
  std::vector<double> mean, variance;  // of each channel; the variance divides by the count
  double count = 0;                    // values of a channel, in all processes
};

Statistics statistics_of(const at::Tensor& rows) {
  const int64_t channels = rows.size(-1), count = rows.numel() / channels;
  const float* x = rows.data_ptr<float>();
  std::vector<double> sums = sums_by_channel(count, channels, [&](int64_t i, int64_t) { return x[i]; });
  std::vector<float> here(static_cast<size_t>(channels));
  for (size_t c = 0; c < here.size(); ++c) here[c] = float(sums[c] / double(count));
  const std::vector<double> squares = sums_by_channel(count, channels, [&, m = here.data()](int64_t i, int64_t c) { return (x[i] - m[c]) * (x[i] - m[c]); });
  // Σ (x − m)² about this process's mean, made Σ x²: in double, where the difference below costs nothing.
  for (size_t c = 0; c < here.size(); ++c) sums.push_back(squares[c] + double(here[c]) * (2 * sums[c] - double(here[c]) * double(count)));
  sums.push_back(double(count));
  ranks().sum(std::span(sums));
  Statistics all;
  all.count = sums.back();
  for (size_t c = 0; c < here.size(); ++c) {
    all.mean.push_back(sums[c] / all.count);
    all.variance.push_back(std::max(0.0, sums[here.size() + c] / all.count - all.mean[c] * all.mean[c]));
  }
  return all;
}

void follow(at::Tensor running, const std::vector<double>& now, double momentum, double factor) {
  running.mul_(1 - momentum).add_(at::tensor(now, at::kDouble).to(running.scalar_type()).reshape(running.sizes()), momentum * factor);
}

struct BatchNormOverRanks : torch::autograd::Function<BatchNormOverRanks> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& input, const at::Tensor& scale, const at::Tensor& bias, const at::Tensor& mean,
                            const at::Tensor& variance, double momentum, double epsilon) {
    const at::Tensor rows = rows_of(input), factors = scale.detach().to(at::kFloat).contiguous(), offsets = bias.detach().to(at::kFloat).contiguous();
    const Statistics all = statistics_of(rows);
    follow(mean, all.mean, momentum, 1);
    follow(variance, all.variance, momentum, all.count / (all.count - 1));
    const at::Tensor means = at::tensor(all.mean, at::kDouble).to(at::kFloat), spreads = (at::tensor(all.variance, at::kDouble) + epsilon).rsqrt().to(at::kFloat);
    context->save_for_backward({rows, factors, means, spreads});
    context->saved_data["count"] = all.count;
    const float *x = rows.data_ptr<float>(), *m = means.data_ptr<float>(), *s = spreads.data_ptr<float>(), *g = factors.data_ptr<float>(), *b = offsets.data_ptr<float>();
    return from_rows(mapped_by_channel(rows, [=](int64_t i, int64_t c) { return (x[i] - m[c]) * (s[c] * g[c]) + b[c]; }));
  }

  // Ioffe & Szegedy 2015, section 3, with the sums over all processes' samples; those of scale and bias are summed with all other gradients.
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context, torch::autograd::tensor_list gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor &rows = saved[0], dy_rows = rows_of(gradients[0]);
    const int64_t channels = rows.size(-1), here = rows.numel() / channels;
    const float *x = rows.data_ptr<float>(), *dy = dy_rows.data_ptr<float>(), *g = saved[1].data_ptr<float>(), *m = saved[2].data_ptr<float>(), *s = saved[3].data_ptr<float>();
    std::vector<double> sums = sums_by_channel(here, channels, [=](int64_t i, int64_t) { return dy[i]; });
    const std::vector<double> products = sums_by_channel(here, channels, [=](int64_t i, int64_t c) { return dy[i] * ((x[i] - m[c]) * s[c]); });
    sums.insert(sums.end(), products.begin(), products.end());
    const at::Tensor own = at::tensor(sums, at::kDouble).to(at::kFloat);
    ranks().sum(std::span(sums));
    const double count = context->saved_data["count"].toDouble();
    std::vector<float> shift, slope;  // means over the batch of the gradient, and of it times the normalized value
    for (int64_t c = 0; c < channels; ++c) {
      shift.push_back(float(sums[size_t(c)] / count));
      slope.push_back(float(sums[size_t(channels + c)] / count));
    }
    const at::Tensor dx = mapped_by_channel(
        rows, [=, a = shift.data(), k = slope.data()](int64_t i, int64_t c) { return (dy[i] - a[c] - (x[i] - m[c]) * s[c] * k[c]) * (s[c] * g[c]); });
    return {from_rows(dx), own.narrow(0, channels, channels), own.narrow(0, 0, channels), {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor batch_norm_over_ranks(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& bias, at::Tensor mean, at::Tensor variance, double momentum, double epsilon) {
  return BatchNormOverRanks::apply(x, scale, bias, mean, variance, momentum, epsilon);
}

}  // namespace pare
