#pragma once
// Matrices as MatMulNBits of com.microsoft holds them (onnxruntime, docs/ContribOperators.md): the form in which ONNX Runtime's
// own quantizer writes language models.
#include <optional>

#include "graph/graph.h"

namespace pare {

// Integers without sign, those of one output after the other, in blocks along the inputs; the last block is filled up.
struct NBitsMatrix {
  int64_t rows = 0, columns = 0;  // inputs K, outputs N
  int64_t bits = 4, block = 32;
  Array bytes;   // uint8 [N, blocks, block · bits / 8], the first integer in the low bits
  Array scales;  // f32 [N · blocks]
  Array zeros;   // uint8 [N · ⌈blocks · bits / 8⌉], packed like the bytes; empty: 2^(bits − 1)
};

// Of an affine tensor of 4 or 8 bits with groups along the inputs: the first axis, or the last where `transposed`. None where
// MatMulNBits cannot hold it (its blocks are powers of two from 16 on).
std::optional<NBitsMatrix> n_bits_matrix(const Tensor& weight, bool transposed);
// The same matrix as an affine tensor [K, N], group along axis 0. None where parts do not fit each other or the sizes.
std::optional<Tensor> tensor_of_n_bits(const NBitsMatrix& matrix);

}  // namespace pare
