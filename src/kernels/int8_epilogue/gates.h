#pragma once
// Written by tools/fit_gates.py: the function of a is a · over(a²) / under(a²), coefficients of the lowest power first.

namespace pare {
namespace {

// sigmoid(a) - 1/2; error 5.7e-07, also where an a beyond 14 is taken for it.
struct SigmoidGate {
  static constexpr float most = 14.0f;
  static constexpr float over[] = {0x1.ffff70p-3f, 0x1.f7e5b6p-8f, 0x1.2a72fcp-15f, 0x1.07bcdcp-26f};
  static constexpr float under[] = {0x1.000000p+0f, 0x1.d34adep-4f, 0x1.593f16p-10f, 0x1.2a87dep-19f};
};

// sigmoid(a) - 1/2; error 1.4e-07, also where an a beyond 16 is taken for it.
struct FineSigmoidGate {
  static constexpr float most = 16.0f;
  static constexpr float over[] = {0x1.fffffep-3f, 0x1.1336d0p-7f, 0x1.d32926p-15f, 0x1.6d4b34p-24f, 0x1.02c24cp-36f};
  static constexpr float under[] = {0x1.000000p+0f, 0x1.def0b4p-4f, 0x1.ac365ap-10f, 0x1.646decp-18f, 0x1.c5d9eep-29f};
};

// Phi(a) - 1/2, Phi the normal distribution's: Gelu; error 2.3e-07, also where an a beyond 5.25 is taken for it.
struct GaussGate {
  static constexpr float most = 5.25f;
  static constexpr float over[] = {0x1.98842ap-2f, 0x1.00bceap-4f, 0x1.996450p-8f, 0x1.ca9c4cp-12f, 0x1.7d5020p-18f, -0x1.216bb0p-26f};
  static constexpr float under[] = {0x1.000000p+0f, 0x1.4b8b06p-2f, 0x1.6daf32p-5f, 0x1.bdf23cp-9f, 0x1.345b4ap-13f};
};

}  // namespace
}  // namespace pare
