#include "train/torch/batches.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace pare {
namespace {

// dst = src moved by (dy, dx), mirrored or not; what comes in from outside repeats the border.
void move_plane(const float* src, float* dst, int64_t h, int64_t w, int64_t dy, int64_t dx, bool mirrored) {
  for (int64_t y = 0; y < h; ++y) {
    const float* row = src + std::clamp<int64_t>(y + dy, 0, h - 1) * w;
    for (int64_t x = 0; x < w; ++x) {
      const int64_t from = std::clamp<int64_t>(x + dx, 0, w - 1);
      dst[y * w + x] = row[mirrored ? w - 1 - from : from];
    }
  }
}

// A square of the plane at (top, left), as far as it lies inside, becomes `value`.
void fill_square(float* plane, int64_t h, int64_t w, int64_t top, int64_t left, int64_t side, float value) {
  for (int64_t y = std::max<int64_t>(top, 0); y < std::min(top + side, h); ++y)
    for (int64_t x = std::max<int64_t>(left, 0); x < std::min(left + side, w); ++x) plane[y * w + x] = value;
}

}  // namespace

SampleSplit split_samples(const TrainingSource& data, double held_out, uint64_t seed) {
  SampleSplit split;
  split.train.resize(size_t(data.count));
  std::iota(split.train.begin(), split.train.end(), int64_t(0));
  Random random(seed ^ 0x5eed);
  shuffle(std::span(split.train), random);
  const auto count = int64_t(std::llround(held_out * double(data.count)));
  split.held_out.assign(split.train.begin(), split.train.begin() + count);
  split.train.erase(split.train.begin(), split.train.begin() + count);
  return split;
}

int64_t read_at_once(const TrainingSource& data, int64_t batch) { return data.tokens ? 1 : std::max<int64_t>(batch, 1); }

std::vector<std::vector<int64_t>> in_parts(const std::vector<int64_t>& samples, int64_t at_once) {
  std::vector<std::vector<int64_t>> parts;
  for (size_t first = 0; first < samples.size(); first += size_t(at_once))
    parts.emplace_back(samples.begin() + int64_t(first), samples.begin() + int64_t(std::min(samples.size(), first + size_t(at_once))));
  return parts;
}

std::vector<std::vector<int64_t>> epoch_batches(const TrainingSource& data, const std::vector<int64_t>& samples, int64_t batch, uint64_t seed, int64_t epoch) {
  Random random(seed * 1000003 + uint64_t(epoch));
  std::vector<int64_t> order = samples;
  shuffle(std::span(order), random);
  constexpr int64_t kPool = 50;  // batches whose samples are sorted by length together: enough to waste little, few enough to stay random
  if (data.length)
    for (size_t first = 0; first < order.size(); first += size_t(batch * kPool)) {
      const auto last = order.begin() + int64_t(std::min(order.size(), first + size_t(batch * kPool)));
      std::stable_sort(order.begin() + int64_t(first), last, [&](int64_t a, int64_t b) { return data.length(a) < data.length(b); });
    }
  std::vector<std::vector<int64_t>> batches = in_parts(order, batch);
  if (data.length) shuffle(std::span(batches), random);
  // A last batch of a few samples would shake batch statistics.
  if (batches.size() > 1 && batches.back().size() < 2) batches.pop_back();
  return batches;
}

void augment(TrainingBatch& batch, const std::string& how, uint64_t seed) {
  if (how == "none" || batch.inputs.empty() || batch.inputs[0].rank() != 4 || batch.inputs[0].type() != Type::f32) return;
  const auto asked = [&](const char* what) { return how.find(what) != std::string::npos; };
  const bool flips = asked("flip"), shifts = asked("shift"), erases = asked("erase");
  const Array pictures = batch.inputs[0];
  Array moved(Type::f32, pictures.dims());
  const int64_t n = pictures.dim(0), c = pictures.dim(1), h = pictures.dim(2), w = pictures.dim(3), reach = h / 8;
  const float* src = pictures.values<float>().data();
  float* dst = moved.mutable_values<float>().data();
  const std::vector<int64_t> samples = std::move(batch.contents);
  const bool repeats = how == "flip";  // else there are too many
  batch.contents.resize(repeats ? size_t(n) : 0);
  for (int64_t i = 0; i < n; ++i) {
    Random random(Random(seed * 0x9e3779b97f4a7c15u + uint64_t(samples[size_t(i)])).bits());  // mixed: neighbouring seeds share numbers
    const auto below = [&](int64_t count) { return int64_t(random.below(uint64_t(count))); };
    const bool mirrored = flips && below(2) == 1;
    const int64_t dy = shifts ? below(2 * reach + 1) - reach : 0, dx = shifts ? below(2 * reach + 1) - reach : 0;
    const int64_t least = std::max<int64_t>(h / 7, 1), side = erases && below(2) == 1 ? least + below(2 * least + 1) : 0;
    const int64_t top = side ? below(h) - side / 2 : 0, left = side ? below(w) - side / 2 : 0;
    for (int64_t k = 0; k < c; ++k) {
      const int64_t plane = (i * c + k) * h * w;
      move_plane(src + plane, dst + plane, h, w, dy, dx, mirrored);
      if (side) fill_square(dst + plane, h, w, top, left, side, std::accumulate(src + plane, src + plane + h * w, 0.0f) / float(h * w));
    }
    if (repeats) batch.contents[size_t(i)] = mirrored ? -1 - samples[size_t(i)] : samples[size_t(i)];
  }
  batch.inputs[0] = std::move(moved);
}

void BatchReader::start() {
  if (at_ >= batches_.size()) return;
  coming_ = std::async(std::launch::async, [this, at = at_] {
    TrainingBatch batch = data_.batch(batches_[at]);
    batch.contents = batches_[at];
    return batch;
  });
  ++at_;
}

TrainingBatch BatchReader::next() {
  TrainingBatch batch = coming_.get();
  start();
  return batch;
}

}  // namespace pare
