#pragma once
// What the rows of most families ask of the CPU. Compiled once, without the instructions they ask for.
namespace pare {

bool runs_anywhere();
bool runs_avx2();    // AVX2 and FMA; every CPU with FMA has F16C
bool runs_avx512();  // F, BW, VL and DQ
bool runs_avx512_bf16();

}  // namespace pare
