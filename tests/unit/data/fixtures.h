#pragma once
#include <gtest/gtest.h>
#include <png.h>
#include <turbojpeg.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "data/data_set.h"
#include "data/image.h"
#include "support/places.h"

namespace pare {

using testing::TemporaryFolder;

// The text of the Error that `action` throws; empty (and a failed test) where it throws none.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "expected an Error, found another exception: " << error.what();
    return "";
  }
  ADD_FAILURE() << "expected an Error";
  return "";
}

inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "expected \"" << part << "\" in:\n" << text;
}

// The same bytes as picture() of tools/record_resize.py.
inline Image make_picture(int64_t height, int64_t width, int64_t channels) {
  Image image{height, width, channels, {}};
  uint32_t state = 1;
  for (int64_t i = 0; i < height * width * channels; ++i) {
    state = state * 1664525u + 1013904223u;
    image.values.push_back(uint8_t(state >> 24));
  }
  return image;
}

inline Image plain_picture(int64_t height, int64_t width, std::vector<uint8_t> pixel) {
  Image image{height, width, int64_t(pixel.size()), {}};
  for (int64_t i = 0; i < height * width; ++i) image.values.insert(image.values.end(), pixel.begin(), pixel.end());
  return image;
}

inline std::string encode_png(const std::vector<uint8_t>& values, int64_t height, int64_t width, int format) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = png_uint_32(width), png.height = png_uint_32(height), png.format = png_uint_32(format);
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&png, nullptr, &size, 0, values.data(), 0, nullptr);
  std::string bytes(size, '\0');
  EXPECT_TRUE(png_image_write_to_memory(&png, bytes.data(), &size, 0, values.data(), 0, nullptr));
  bytes.resize(size);
  return bytes;
}

inline std::string encode_jpeg(const Image& image) {
  tjhandle handle = tjInitCompress();
  unsigned char* out = nullptr;
  unsigned long size = 0;
  const bool gray = image.channels == 1;
  EXPECT_EQ(tjCompress2(handle, image.values.data(), int(image.width), 0, int(image.height),
                        gray ? TJPF_GRAY : TJPF_RGB, &out, &size, gray ? TJSAMP_GRAY : TJSAMP_444, 95, 0),
            0);
  std::string bytes(reinterpret_cast<char*>(out), size);
  tjFree(out);
  tjDestroy(handle);
  return bytes;
}

inline std::string cifar_record(uint8_t label, uint8_t red, uint8_t green, uint8_t blue) {
  return std::string(1, char(label)) + std::string(1024, char(red)) + std::string(1024, char(green)) +
         std::string(1024, char(blue));
}

inline std::string idx_bytes(std::vector<uint32_t> dims, const std::string& elements) {
  std::string bytes = {'\0', '\0', '\x08', char(dims.size())};
  for (uint32_t extent : dims)
    for (int shift = 24; shift >= 0; shift -= 8) bytes += char(extent >> shift & 255);
  return bytes + elements;
}

// A deflate stream; window_bits as in zlib.h: 31 makes gzip, -15 the raw stream of zip.
inline std::string deflated(const std::string& bytes, int window_bits) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, bytes.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = uInt(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = uInt(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

inline std::string gzip(const std::string& bytes) {
  return deflated(bytes, 31);
}

template <class T>
std::string little_endian(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

struct ZipEntry {
  std::string name, bytes;
  bool compress = false;
};

// An archive as numpy writes it: 64-bit local headers (sizes in an extra field), plain sizes in the directory.
inline std::string zip_bytes(const std::vector<ZipEntry>& entries) {
  std::string file, directory;
  for (const ZipEntry& entry : entries) {
    const std::string data = entry.compress ? deflated(entry.bytes, -15) : entry.bytes;
    const auto crc = uint32_t(crc32(0, reinterpret_cast<const Bytef*>(entry.bytes.data()), uInt(entry.bytes.size())));
    const auto name = uint16_t(entry.name.size()), method = uint16_t(entry.compress ? 8 : 0);
    const std::string common = little_endian<uint16_t>(45) + little_endian<uint16_t>(0) + little_endian(method) +
                               little_endian<uint32_t>(0) + little_endian(crc);
    directory += "PK\x01\x02" + little_endian<uint16_t>(45) + common + little_endian(uint32_t(data.size())) +
                 little_endian(uint32_t(entry.bytes.size())) + little_endian(name) + std::string(12, '\0') +
                 little_endian(uint32_t(file.size())) + entry.name;
    file += "PK\x03\x04" + common + std::string(8, '\xff') + little_endian(name) + little_endian<uint16_t>(20) +
            entry.name + little_endian<uint16_t>(1) + little_endian<uint16_t>(16) +
            little_endian(uint64_t(entry.bytes.size())) + little_endian(uint64_t(data.size())) + data;
  }
  const auto count = uint16_t(entries.size());
  return file + directory + "PK\x05\x06" + std::string(4, '\0') + little_endian(count) + little_endian(count) +
         little_endian(uint32_t(directory.size())) + little_endian(uint32_t(file.size())) + std::string(2, '\0');
}

inline std::string npy_bytes(const std::string& header, const std::string& elements, int version = 1) {
  const std::string text = header + "\n";
  return std::string("\x93NUMPY") + char(version) + '\0' +
         (version == 1 ? little_endian(uint16_t(text.size())) : little_endian(uint32_t(text.size()))) + text + elements;
}

inline std::string npy_header(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

template <class T>
std::string bytes_of_values(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace pare
