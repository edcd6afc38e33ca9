#include "formats/pack/coding.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <vector>

#include "formats/pack/bytes.h"

namespace pare {
namespace {

enum Positions : uint8_t { kAll, kBitmap, kGaps, kPositionKinds };
enum Method : uint8_t { kStored, kZstd };
constexpr size_t kPalette = 256;
constexpr uint8_t kLongGap = 255;

// Large streams are noise that no level shrinks further; small ones are names and structure, where the last level pays.
int level_for(size_t size) { return size <= (size_t(1) << 20) ? 19 : 6; }

void append_stream(ByteWriter& out, const std::string& bytes) {
  const std::string frame = zstd_compress(bytes);
  const bool smaller = frame.size() + 2 < bytes.size();
  out.byte(smaller ? kZstd : kStored);
  if (smaller) out.number(frame.size());
  out.raw(smaller ? frame : bytes);
}

void read_stream(ByteReader& in, std::span<std::byte> out) {
  const uint8_t method = in.byte();
  if (method > kZstd) in.fail("a stream of weights is coded in way " + std::to_string(method) + ", this version of pare knows 0 and 1");
  if (method == kZstd) {
    const uint64_t size = in.number();
    zstd_decompress(in.take(size), out, in.where());
  } else if (!out.empty()) {
    std::memcpy(out.data(), in.take(out.size()).data(), out.size());
  }
}

// `out` comes from a vector that grows only as far as the file's own size lets it.
std::vector<std::byte> read_vector(ByteReader& in, size_t size) {
  std::vector<std::byte> bytes(size);
  read_stream(in, bytes);
  return bytes;
}

bool is_zero(const std::byte* element, size_t width) {
  for (size_t k = 0; k < width; ++k)
    if (element[k] != std::byte(0)) return false;
  return true;
}

uint64_t bits_of(const std::byte* element, size_t width) {
  uint64_t bits = 0;
  std::memcpy(&bits, element, width);
  return bits;
}

std::string planes_of(std::string_view elements, size_t width, size_t plane) {
  std::string bytes(elements.size() / width, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = elements[i * width + plane];
  return bytes;
}

// The distinct elements, sorted, or nothing where there are more than a palette holds.
std::vector<uint64_t> palette_of(std::string_view elements, size_t width) {
  std::vector<uint64_t> distinct;
  std::unordered_map<uint64_t, char> seen;
  for (size_t i = 0; i + width <= elements.size(); i += width) {
    const uint64_t bits = bits_of(reinterpret_cast<const std::byte*>(elements.data()) + i, width);
    if (!seen.emplace(bits, 0).second) continue;
    if (distinct.size() == kPalette) return {};
    distinct.push_back(bits);
  }
  std::sort(distinct.begin(), distinct.end());
  return distinct;
}

void append_elements(ByteWriter& out, std::string_view elements, size_t width, const std::vector<uint64_t>& palette) {
  if (palette.empty()) {
    for (size_t plane = 0; plane < width; ++plane) append_stream(out, planes_of(elements, width, plane));
    return;
  }
  std::unordered_map<uint64_t, uint8_t> place;
  std::string table, indices;
  for (uint64_t bits : palette) {
    place.emplace(bits, uint8_t(place.size()));
    table.append(reinterpret_cast<const char*>(&bits), width);
  }
  for (size_t i = 0; i < elements.size(); i += width)
    indices += char(place[bits_of(reinterpret_cast<const std::byte*>(elements.data()) + i, width)]);
  out.byte(uint8_t(palette.size() - 1));
  append_stream(out, table);
  append_stream(out, indices);
}

std::string positions_of(std::span<const std::byte> bytes, size_t width, Positions kind) {
  const size_t count = bytes.size() / width;
  std::string stream(kind == kBitmap ? (count + 7) / 8 : 0, '\0');
  size_t gap = 0;
  for (size_t i = 0; i < count; ++i) {
    if (is_zero(bytes.data() + i * width, width)) {
      ++gap;
    } else if (kind == kBitmap) {
      stream[i / 8] = char(uint8_t(stream[i / 8]) | 1 << i % 8);
    } else {
      stream.append(gap / kLongGap, char(kLongGap));
      stream += char(gap % kLongGap);
      gap = 0;
    }
  }
  return stream;
}

std::string encode_as(std::span<const std::byte> bytes, size_t width, Positions positions, std::string_view elements,
                      const std::vector<uint64_t>& palette) {
  ByteWriter out;
  out.byte(uint8_t(positions + (palette.empty() ? 0 : kPositionKinds)));
  if (positions != kAll) {
    const std::string stream = positions_of(bytes, width, positions);
    if (positions == kGaps) out.number(stream.size());
    append_stream(out, stream);
  }
  append_elements(out, elements, width, palette);
  return std::move(out.bytes());
}

// Where the stored elements go, in order.
std::vector<uint64_t> read_positions(ByteReader& in, uint8_t kind, size_t count) {
  std::vector<uint64_t> places;
  if (kind == kBitmap) {
    const auto bitmap = read_vector(in, (count + 7) / 8);
    for (size_t i = 0; i < count; ++i)
      if (uint8_t(bitmap[i / 8]) >> i % 8 & 1) places.push_back(i);
    if (count % 8 != 0 && uint8_t(bitmap.back()) >> count % 8 != 0) in.fail("the positions of weights reach behind the last one");
    return places;
  }
  const uint64_t size = in.number();
  if (size > count) in.fail("has " + std::to_string(size) + " gaps between weights, of which there are only " + std::to_string(count));
  uint64_t at = 0;
  for (std::byte gap : read_vector(in, size_t(size))) {
    at += uint8_t(gap);
    if (uint8_t(gap) == kLongGap) continue;
    if (at >= count) in.fail("the positions of weights reach behind the last one");
    places.push_back(at++);
  }
  return places;
}

// `stored` elements, one after the other.
std::vector<std::byte> read_elements(ByteReader& in, bool palette, size_t stored, size_t width) {
  std::vector<std::byte> elements(stored * width);
  if (!palette) {
    for (size_t plane = 0; plane < width; ++plane) {
      const auto bytes = read_vector(in, stored);
      for (size_t i = 0; i < stored; ++i) elements[i * width + plane] = bytes[i];
    }
    return elements;
  }
  const size_t entries = size_t(in.byte()) + 1;
  const auto table = read_vector(in, entries * width), indices = read_vector(in, stored);
  for (size_t i = 0; i < stored; ++i) {
    const size_t index = uint8_t(indices[i]);
    if (index >= entries) in.fail("names entry " + std::to_string(index) + " of a palette of " + std::to_string(entries));
    std::memcpy(elements.data() + i * width, table.data() + index * width, width);
  }
  return elements;
}

}  // namespace

std::string zstd_compress(std::string_view bytes) {
  std::string frame(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size = ZSTD_compress(frame.data(), frame.size(), bytes.data(), bytes.size(), level_for(bytes.size()));
  PARE_CHECK(!ZSTD_isError(size));
  frame.resize(size);
  return frame;
}

void zstd_decompress(std::span<const std::byte> frame, std::span<std::byte> out, const std::string& where) {
  const char* const fix = "the file is damaged: copy it again, or make it again with pare compress";
  if (ZSTD_getFrameContentSize(frame.data(), frame.size()) != out.size())
    throw Error(where, "holds a compressed stream that is broken, or of another size than its tensors need", fix);
  const size_t size = ZSTD_decompress(out.data(), out.size(), frame.data(), frame.size());
  if (ZSTD_isError(size) || size != out.size())
    throw Error(where, std::string("a compressed stream is broken: ") + (ZSTD_isError(size) ? ZSTD_getErrorName(size) : "it ends early"), fix);
}

std::string encode_block(std::span<const std::byte> bytes, size_t width) {
  const size_t count = bytes.size() / width;
  PARE_CHECK(width > 0 && width <= 8 && count * width == bytes.size());
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string nonzero;
  for (size_t i = 0; i < count; ++i)
    if (!is_zero(bytes.data() + i * width, width)) nonzero += all.substr(i * width, width);
  const size_t zeros = count - nonzero.size() / width;
  std::string best;
  const auto offer = [&](Positions positions, std::string_view elements, const std::vector<uint64_t>& palette) {
    std::string coded = encode_as(bytes, width, positions, elements, palette);
    if (best.empty() || coded.size() < best.size()) best = std::move(coded);
  };
  // A weight in 20 must be zero before positions are worth trying: a bit for each is a 32nd of a float.
  for (Positions positions : {kAll, kBitmap, kGaps}) {
    if (positions != kAll && zeros * 20 < count) continue;
    const std::string_view elements = positions == kAll ? all : std::string_view(nonzero);
    offer(positions, elements, {});
    if (width > 1)
      if (const auto palette = palette_of(elements, width); !palette.empty()) offer(positions, elements, palette);
  }
  return best;
}

void decode_block(std::span<const std::byte> coded, size_t width, std::span<std::byte> out, const std::string& where) {
  ByteReader in(coded, where);
  const uint8_t kind = in.byte();
  if (kind >= 2 * kPositionKinds) in.fail("weights are coded in way " + std::to_string(kind) + ", this version of pare knows 0 to 5");
  const size_t count = out.size() / width;
  const bool palette = kind >= kPositionKinds;
  if (kind % kPositionKinds == kAll) {
    const auto elements = read_elements(in, palette, count, width);
    if (!elements.empty()) std::memcpy(out.data(), elements.data(), elements.size());
  } else {
    const auto places = read_positions(in, kind % kPositionKinds, count);
    const auto elements = read_elements(in, palette, places.size(), width);
    std::fill(out.begin(), out.end(), std::byte(0));
    for (size_t i = 0; i < places.size(); ++i) std::memcpy(out.data() + places[i] * width, elements.data() + i * width, width);
  }
  if (in.left() > 0) in.fail("has " + std::to_string(in.left()) + " bytes too many behind its weights");
}

}  // namespace pare
