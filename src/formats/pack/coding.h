#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace pare {

// How the bytes of weights are made small: nothing is lost, and what is chosen shows in the file's size only.
//
// A block of n elements of `width` bytes is   kind [uint8] | streams, each: method [uint8] | coded size, if not stored | bytes
//
// kind = positions + 3 · palette
//   positions 0  every element is stored
//             1  a stream of one bit an element, set where it is not zero, the first in the low bit; then only those
//             2  a stream of gaps: g < 255 skips g zeros and takes an element; 255 skips 255 zeros and takes none
//   palette   1  a stream of the distinct elements, at most 256, by bits; then one byte an element: its place there
// Elements of several bytes are stored as planes, all first bytes, all second bytes, …: exponents are alike where
// mantissas are noise. Each stream is stored as it is, or as one zstd frame (RFC 8878). All sizes but that of the gaps
// follow from what precedes, so nothing a file says is believed before it fits.

// The smallest of the kinds for these bytes.
std::string encode_block(std::span<const std::byte> bytes, size_t width);
// The reverse, into `out`, whose size is known from the tensors' extents. Throws Error (where) on anything that does not fit.
void decode_block(std::span<const std::byte> coded, size_t width, std::span<std::byte> out, const std::string& where);

// One zstd frame, and its reverse, which must give `size` bytes.
std::string zstd_compress(std::string_view bytes);
void zstd_decompress(std::span<const std::byte> frame, std::span<std::byte> out, const std::string& where);

// The most that `coded` bytes may say they decode to: no real weights shrink further, and a small file cannot make us
// allocate what it likes. The writer keeps to it.
constexpr uint64_t kMostRatio = 1000, kAlwaysAllowed = uint64_t(16) << 20;

}  // namespace pare
