#pragma once
// Written for the tests only: the epilogue of integer layers in the plainest form, and random data for it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
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
  Int8Activation first, last;
  bool table = false;
  int gap = 0;           // elements between the pixels of the output
};

inline std::vector<EpilogueCase> all_epilogue_cases() {
  std::vector<EpilogueCase> cases;
  for (Int8Output type : {Int8Output::u8, Int8Output::s8, Int8Output::f32})
    for (bool mid : {false, true})
      for (int residual : {0, 1, 2})
        for (bool narrow : {false, true}) cases.push_back({type, mid, residual > 0, residual == 2, narrow});
  for (Int8Output type : {Int8Output::u8, Int8Output::s8, Int8Output::f32})
    for (int kind = Int8Activation::leaky_relu; kind <= Int8Activation::hard_swish; ++kind) {
      if (type == Int8Output::f32 && (kind == Int8Activation::gelu || kind == Int8Activation::gelu_tanh)) continue;  // for bytes only
      const Int8Activation some{Int8Activation::Kind(kind), 0.17f, 0.5f, type != Int8Output::f32, 1.7f};
      cases.push_back({type, true, true, false, false, 0, some, {}, true, 0});
      cases.push_back({type, false, true, true, false, 0.01f, {}, some, false, 3});
      Int8Activation unit = some;
      unit.alpha = 1;
      unit.scale = kind == Int8Activation::leaky_relu ? 1.0f : 40.0f;
      cases.push_back({type, false, false, false, false, kind == Int8Activation::leaky_relu ? 0 : 0.003f, {}, unit, false, 0});
      if (kind == Int8Activation::leaky_relu) cases.back().last.alpha = 0.1f;
      if (kind == Int8Activation::swish) {  // its loop without anything else knows its slope
        cases.push_back(cases.back());
        cases.back().last.alpha = 1.7f;
      }
    }
  for (Int8Output type : {Int8Output::u8, Int8Output::s8})
    for (bool residual : {false, true}) cases.push_back({type, false, residual, false, false, 0, {}, {}, true, residual ? 0 : 5});
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

// By the definition, in double; the kernels' floats may be a rounding step beside it.
inline double reference_activation(const Int8Activation& a, double x) {
  const double gate = std::clamp(double(a.alpha) * x + a.beta, 0.0, 1.0);
  switch (a.kind) {
    case Int8Activation::none: return x;
    case Int8Activation::leaky_relu: return a.scale * (x < 0 ? double(a.alpha) * x : x);
    case Int8Activation::sigmoid: return a.scale / (1 + std::exp(-x));
    case Int8Activation::swish: return a.scale * x / (1 + std::exp(-double(a.alpha) * x));
    case Int8Activation::gelu: return a.scale * x * 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
    case Int8Activation::gelu_tanh: return a.scale * x * 0.5 * (1 + std::tanh(std::sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x)));
    case Int8Activation::hard_sigmoid: return a.scale * gate;
    default: return a.scale * x * gate;
  }
}

// An Int8Epilogue with the arrays it points to.
struct EpilogueData {
  Int8Epilogue epilogue;
  std::vector<float> multiplier;
  std::vector<std::uint8_t> residual, table;
  int gap;

  EpilogueData(std::mt19937& random, const EpilogueCase& c, std::size_t count, int channels,
               const std::vector<std::int64_t>& sums)
      : multiplier(channels),
        residual(c.residual ? random_bytes(random, count / channels * (channels + c.gap)) : std::vector<std::uint8_t>()),
        table(c.table ? random_bytes(random, 256) : std::vector<std::uint8_t>()),
        gap(c.gap) {
    double square = 0;
    for (auto sum : sums) square += double(sum) * double(sum);
    const float usual = static_cast<float>(60 / std::sqrt(square / double(sums.size()) + 1));
    for (auto& m : multiplier)
      m = c.multiplier != 0 ? c.multiplier : usual * (0.5f + static_cast<float>(random() % 1000) / 1000);
    Int8Epilogue& e = epilogue;
    e.multiplier = multiplier.data();
    e.most_sum = 1;
    for (auto sum : sums) e.most_sum = std::max(e.most_sum, static_cast<float>(std::abs(double(sum))));
    e.first = c.first;
    e.last = c.last;
    e.table = c.table ? table.data() : nullptr;
    e.pitch = c.gap > 0 ? channels + c.gap : 0;
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

  bool exact() const { return epilogue.first.kind == Int8Activation::none && epilogue.last.kind == Int8Activation::none; }

  // The output's bytes; those between the pixels stay 0xa5.
  std::vector<std::uint8_t> reference(const std::vector<std::int64_t>& sums, int channels) const {
    const Int8Epilogue& e = epilogue;
    std::vector<std::uint8_t> bytes;
    const std::size_t width = e.type == Int8Output::f32 ? 4 : 1;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      if (i > 0 && i % channels == 0) bytes.resize(bytes.size() + gap * width, 0xa5);
      volatile float v = static_cast<float>(static_cast<std::int32_t>(sums[i])) * multiplier[i % channels];
      v = static_cast<float>(reference_activation(e.first, v));
      if (e.has_mid) {
        const double q = std::clamp(std::nearbyint(double(v)) + e.mid_zero, double(e.mid_lo), double(e.mid_hi));
        v = static_cast<float>(q - e.mid_zero) * e.mid_scale;
      }
      if (e.residual) {
        const std::size_t at = i + i / channels * gap;
        volatile float r =
            static_cast<float>(int8_value(residual[at], e.residual_signed) - e.residual_zero) * e.residual_scale;
        v = v + r;
      }
      v = static_cast<float>(reference_activation(e.last, v));
      if (e.type == Int8Output::f32) {
        float limited = v > e.float_lo ? v : e.float_lo;  // -0 becomes the limit 0
        if (limited > e.float_hi) limited = e.float_hi;
        bytes.resize(bytes.size() + 4);
        std::memcpy(&bytes[bytes.size() - 4], &limited, 4);
      } else {
        const double q = std::clamp(std::nearbyint(double(v)) + e.out_zero, double(e.out_lo), double(e.out_hi));
        const auto byte = static_cast<std::uint8_t>(static_cast<int>(q));
        bytes.push_back(e.table ? table[byte] : byte);
      }
    }
    bytes.resize(bytes.size() + gap * width, 0xa5);
    return bytes;
  }

  // Empty if `output` is what `expected` says: the same bits, or with an activation 2e-6 of a float and one step of a byte
  // now and then (that a table or a step before a residual turns into more).
  std::string difference(const std::vector<std::uint8_t>& output, const std::vector<std::uint8_t>& expected) const {
    if (output.size() != expected.size()) return "sizes differ";
    if (exact()) {
      const auto at = std::mismatch(output.begin(), output.end(), expected.begin()).first - output.begin();
      return at == std::ptrdiff_t(output.size()) ? "" : "byte " + std::to_string(at);
    }
    const bool real = epilogue.type == Int8Output::f32;
    std::size_t off = 0;
    for (std::size_t i = 0; i < output.size(); i += real ? 4 : 1) {
      float a = output[i], b = expected[i];
      if (real) std::memcpy(&a, &output[i], 4), std::memcpy(&b, &expected[i], 4);
      off += real ? std::abs(a - b) > 2e-6f * std::max(std::abs(b), 1e-3f) : a != b;
    }
    return off * 100 <= output.size() ? "" : std::to_string(off) + " elements of " + std::to_string(output.size());
  }
};

// Where the plain kernel's bits and another's differ; -1: nowhere.
inline std::ptrdiff_t first_difference(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  if (a.size() != b.size()) return 0;
  const auto at = std::mismatch(a.begin(), a.end(), b.begin()).first;
  return at == a.end() ? -1 : at - a.begin();
}

}  // namespace pare
