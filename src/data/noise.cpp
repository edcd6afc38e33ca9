#include <fmt/format.h>

#include "base/random.h"
#include "data/reader.h"

// Standard normal numbers: what a generator of pictures takes for its latent values. No file: sample i of seed s is the same
// everywhere.
namespace pare {
namespace {

class NoiseSamples : public Samples {
 public:
  NoiseSamples(Dims dims, int64_t count, uint64_t seed) : dims_(std::move(dims)), count_(count), seed_(seed) {}
  int64_t size() const override { return count_; }
  Sample get(int64_t index) const override {
    PARE_CHECK(index >= 0 && index < count_);
    // A stream of its own for each sample: mixed, since neighbouring seeds of the generator share numbers.
    Random random(Random(seed_ * 0x9e3779b97f4a7c15u + uint64_t(index)).bits());
    Array values(Type::f32, dims_);
    for (float& value : values.mutable_values<float>()) value = float(random.normal());
    return {{values}, -1};
  }

 private:
  Dims dims_;
  int64_t count_;
  uint64_t seed_;
};

}  // namespace

Split read_noise(const SplitRequest& request) {
  const Section& section = request.section;
  Dims dims = section.integers("shape", 1, 1 << 20);
  dims.insert(dims.begin(), 1);
  if (count_of(dims) > 1 << 24) section.fail("shape", fmt::format("{} are more numbers a sample than the {} that are drawn", dims_text(dims), 1 << 24));
  Split split;
  split.samples = std::make_shared<NoiseSamples>(dims, section.integer("count", 10000, 1, 100'000'000), uint64_t(section.integer("draw", 1, 0, INT64_MAX)));
  return split;
}

}  // namespace pare
