#pragma once
#include <cstdint>

#include "base/types.h"

namespace pare {

// How a value outside a narrow type's range is stored, and where the 8-bit exponent type rounds to.
struct CastRule {
  bool saturate = true;  // the largest finite value; else infinity, or NaN where the type has no infinity
  enum class Round : uint8_t { up, down, nearest } e8m0 = Round::up;
};

// Floats of 8 bits and fewer travel as codes, one a byte or packed in arrays: float8e4m3fn, float8e4m3fnuz, float8e5m2,
// float8e5m2fnuz (Micikevicius et al. 2022; Noune et al. 2022), float4e2m1 and float8e8m0 (OCP Microscaling 1.0).
bool is_small_float(Type type);
float small_to_float(Type type, uint8_t code);
uint8_t float_to_small(Type type, float value, CastRule rule = {});  // to nearest, ties to even

}  // namespace pare
