#pragma once
#include <string>
#include <string_view>

#include "base/array.h"

namespace pare::text_form {

// What the two halves of the text form share. A graph is
//
//   graph "resnet20" ir 8 opset 13, com.microsoft=1
//   producer "pytorch"                                  doc, functions likewise
//   metadata "key" = "value"
//   input x: float32 Nx3x32x32                          "N": a named extent, "?": an unknown one
//   outer h: float32 8                                  in a subgraph: a value of the graph around it
//   const b: float32 3 [0.5, 1.0, 2.0]
//   const z: float32 16x3x3x3 all 0.0                   one number
//   const w: float32 16x3x3x3 base64 "…"                or #0123abcd, a digest, which cannot be read back
//   const q: float32 16x8 as int8 axis=0 group=0 {int8 16x8 base64 "…", float32 16 [...]}
//   value v: float32 3                                  a value that no other line would name
//   y: float32 Nx16x32x32 = Conv(x, w, _) {pads=[1, 1, 1, 1], alpha=1.0} "node name"
//   z, _ = Gelu@com.microsoft(y)
//   output z
//
// Attribute values: 3, 0.5, "text", lists of these, tensor TYPE SHAPE DATA, graph {…}, [graph {…}, …]; empty lists say
// their kind (ints[], floats[], strings[], graphs[]). A name of other than bare characters, or that reads as something
// else, is quoted; a value without a name is %0, %1, … in order of appearance. Strings escape \" \\ \n \t \xHH.

constexpr int64_t kInline = 16;   // constants of up to so many elements are always written out
constexpr int64_t kMostFilled = int64_t(1) << 27;  // elements of all constants that are one number
constexpr int kDeepest = 32;      // graphs inside graphs

bool is_bare(char c);                   // may stand in a name without quotes
bool is_keyword(std::string_view text);
bool is_bare_extent(std::string_view name);  // a named extent that needs no quotes
std::string quoted(std::string_view text);
std::string encode_base64(const std::byte* bytes, size_t size);
bool decode_base64(std::string_view text, std::string& bytes);  // false: not base64
Array repeated(const Array& one, const Dims& dims);  // an array of these extents, all its elements the one of `one`
bool has_numbers(Type type);            // its elements can be written as numbers

}  // namespace pare::text_form
