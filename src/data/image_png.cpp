#include <fmt/format.h>
#include <png.h>

#include <csetjmp>
#include <cstring>

#include "base/error.h"
#include "data/bytes.h"
#include "data/image.h"

namespace pare {
namespace {

// libpng reports errors by a jump: nothing with a destructor may be made between setjmp and the jump. So the state that
// outlives it lies here, and the two steps below hold plain values only.
struct PngReader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> file;
  size_t used = 0;
  char message[128] = "";
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
};

void on_error(png_structp png, png_const_charp message) {
  auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
  std::strncpy(reader->message, message, sizeof(reader->message) - 1);
  longjmp(png_jmpbuf(png), 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep out, size_t size) {
  auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
  if (size > reader->file.size() - reader->used) png_error(png, "the file ends too early");
  std::memcpy(out, reader->file.data() + reader->used, size);
  reader->used += size;
}

bool read_header(PngReader& reader) {
  if (setjmp(png_jmpbuf(reader.png))) return false;
  png_set_read_fn(reader.png, &reader, on_read);
  png_read_info(reader.png, reader.info);
  return true;
}

bool set_transforms(PngReader& reader) {
  if (setjmp(png_jmpbuf(reader.png))) return false;
  png_set_expand(reader.png);  // palettes and less than 8 bits
  png_set_strip_16(reader.png);
  png_set_strip_alpha(reader.png);
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  return true;
}

bool read_rows(PngReader& reader, png_bytepp rows) {
  if (setjmp(png_jmpbuf(reader.png))) return false;
  png_read_image(reader.png, rows);
  return true;
}

[[noreturn]] void fail(const PngReader& reader, const std::string& where) {
  throw Error(fmt::format("{} byte {}", where, reader.used),
              fmt::format("the PNG image is damaged: {}", reader.message), "fetch the file again or remove it");
}

}  // namespace

Image decode_png(std::span<const std::byte> file, const std::string& where) {
  PngReader reader;
  reader.file = file;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  PARE_CHECK(reader.info != nullptr);
  if (!read_header(reader)) fail(reader, where);
  Image image;
  image.height = png_get_image_height(reader.png, reader.info);
  image.width = png_get_image_width(reader.png, reader.info);
  check_extents(image.height, image.width, where);
  // The stored rows (at the file's own bits a pixel) must be possible for a file of this size, before they are
  // allocated.
  const size_t stored = png_get_rowbytes(reader.png, reader.info) * size_t(image.height);
  if (!can_inflate_to(file.size(), stored))
    throw Error(where,
                fmt::format("a PNG file of {} bytes cannot hold {}x{} pixels", file.size(), image.height, image.width),
                "fetch the file again or remove it");
  if (!set_transforms(reader)) fail(reader, where);
  image.channels = png_get_channels(reader.png, reader.info);
  const size_t row = size_t(image.width * image.channels);
  PARE_CHECK((image.channels == 1 || image.channels == 3) && png_get_rowbytes(reader.png, reader.info) == row);
  image.values.resize(row * size_t(image.height));
  std::vector<png_bytep> rows(size_t(image.height));
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = image.values.data() + y * row;
  if (!read_rows(reader, rows.data())) fail(reader, where);
  return image;
}

std::string encode_png(const Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.height = png_uint_32(image.height);
  png.width = png_uint_32(image.width);
  png.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::string bytes(size, '\0');
  PARE_CHECK(png_image_write_to_memory(&png, bytes.data(), &size, 0, image.values.data(), 0, nullptr) != 0);
  bytes.resize(size);
  return bytes;
}

}  // namespace pare
