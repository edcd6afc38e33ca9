#pragma once
// Written for the tests only: the epilogue of integer layers in the plainest form, and random data for it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/int8_epilogue/int8_epilogue.h"

namespace pare {

struct EpilogueCase {
  Int8Output type = Int8Output::u8;
  bool mid = false;
  bool residual = false;
  bool residual_signed = false;
  bool narrow = false;   // limits inside the type's range, as a ReLU6 gives
  float multiplier = 0;  // 0: such that the outputs fill the range
};

inline std::vector<EpilogueCase> all_epilogue_cases() {
  std::vector<EpilogueCase> cases;
  for (Int8Output type : {Int8Output::u8, Int8Output::s8, Int8Output::f32})
    for (bool mid : {false, true})
      for (int residual : {0, 1, 2})
        for (bool narrow : {false, true}) cases.push_back({type, mid, residual > 0, residual == 2, narrow});
  return cases;
}

inline int int8_value(std::uint8_t byte, bool is_signed) {
  return is_signed ? static_cast<std::int8_t>(byte) : byte;
}

inline std::vector<std::uint8_t> random_bytes(std::mt19937& random, std::size_t count, bool extreme = false) {
  static constexpr std::uint8_t kEnds[] = {0, 255, 127, 128};
  std::vector<std::uint8_t> bytes(count);
  for (auto& b : bytes) b = extreme ? (random() % 8 ? 255 : kEnds[random() % 4]) : static_cast<std::uint8_t>(random());
  return bytes;
}

// Extreme: each weight mostly one of the two ends, so that sums reach their largest magnitude.
inline std::vector<std::int8_t> random_weights(std::mt19937& random, std::size_t count, bool extreme = false) {
  static constexpr std::int8_t kEnds[] = {-128, -127, 127};
  std::vector<std::int8_t> weights(count);
  for (std::size_t i = 0; i < count; ++i) {
    weights[i] = extreme ? kEnds[i * 3 / count] : static_cast<std::int8_t>(random());
  }
  return weights;
}

// An Int8Epilogue with the arrays it points to.
struct EpilogueData {
  Int8Epilogue epilogue;
  std::vector<float> multiplier;
  std::vector<std::uint8_t> residual;

  EpilogueData(std::mt19937& random, const EpilogueCase& c, std::size_t count, int channels,
               const std::vector<std::int64_t>& sums)
      : multiplier(channels), residual(c.residual ? random_bytes(random, count) : std::vector<std::uint8_t>()) {
    double square = 0;
    for (auto sum : sums) square += double(sum) * double(sum);
    const float usual = static_cast<float>(60 / std::sqrt(square / double(sums.size()) + 1));
    for (auto& m : multiplier)
      m = c.multiplier != 0 ? c.multiplier : usual * (0.5f + static_cast<float>(random() % 1000) / 1000);
    Int8Epilogue& e = epilogue;
    e.multiplier = multiplier.data();
    e.has_mid = c.mid;
    e.mid_scale = 1.37f;
    e.mid_zero = 121;
    e.mid_lo = c.narrow ? 30 : 0;
    e.mid_hi = c.narrow ? 200 : 255;
    e.residual = c.residual ? residual.data() : nullptr;
    e.residual_signed = c.residual_signed;
    e.residual_zero = c.residual_signed ? -4 : 130;
    e.residual_scale = 0.613f;
    e.type = c.type;
    const bool s8 = c.type == Int8Output::s8;
    e.out_zero = s8 ? -3 : 126;
    e.out_lo = c.narrow ? (s8 ? -50 : 126) : (s8 ? -128 : 0);
    e.out_hi = c.narrow ? (s8 ? 90 : 201) : (s8 ? 127 : 255);
    if (c.narrow) {
      e.float_lo = 0;
      e.float_hi = 6;
    }
  }

  // The output's bytes.
  std::vector<std::uint8_t> reference(const std::vector<std::int64_t>& sums, int channels) const {
    const Int8Epilogue& e = epilogue;
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      volatile float v = static_cast<float>(static_cast<std::int32_t>(sums[i])) * multiplier[i % channels];
      if (e.has_mid) {
        const double q = std::clamp(std::nearbyint(double(v)) + e.mid_zero, double(e.mid_lo), double(e.mid_hi));
        v = static_cast<float>(q - e.mid_zero) * e.mid_scale;
      }
      if (e.residual) {
        volatile float r =
            static_cast<float>(int8_value(residual[i], e.residual_signed) - e.residual_zero) * e.residual_scale;
        v = v + r;
      }
      if (e.type == Int8Output::f32) {
        float limited = v > e.float_lo ? v : e.float_lo;  // -0 becomes the limit 0
        if (limited > e.float_hi) limited = e.float_hi;
        bytes.resize(bytes.size() + 4);
        std::memcpy(&bytes[bytes.size() - 4], &limited, 4);
      } else {
        const double q = std::clamp(std::nearbyint(double(v)) + e.out_zero, double(e.out_lo), double(e.out_hi));
        bytes.push_back(static_cast<std::uint8_t>(static_cast<int>(q)));
      }
    }
    return bytes;
  }
};

inline std::ptrdiff_t first_difference(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  if (a.size() != b.size()) return 0;
  const auto at = std::mismatch(a.begin(), a.end(), b.begin()).first;
  return at == a.end() ? -1 : at - a.begin();
}

}  // namespace pare
