#include "fixtures.h"

namespace pare {
namespace {

std::span<const std::byte> span_of(const std::string& bytes) {
  return std::as_bytes(std::span(bytes));
}

uint64_t fnv(const std::vector<uint8_t>& values) {
  uint64_t value = 0xcbf29ce484222325u;
  for (uint8_t byte : values) value = (value ^ byte) * 0x100000001b3u;
  return value;
}

struct ResizeCase {
  Interpolation interpolation;
  int64_t height, width, channels, new_height, new_width;
  uint64_t hash;
  std::vector<int> first;
};

TEST(Resize, GivesPillowsBytes) {
  const ResizeCase cases[] = {
#define RESIZE(interpolation, h, w, c, nh, nw, hash, ...) \
  {Interpolation::interpolation, h, w, c, nh, nw, hash, {__VA_ARGS__}},
#include "resize_golden.inc"
#undef RESIZE
  };
  for (const ResizeCase& each : cases) {
    SCOPED_TRACE(::testing::Message() << int(each.interpolation) << ": " << each.height << "x" << each.width << "x"
                                    << each.channels << " to " << each.new_height << "x" << each.new_width);
    const Image image = resize(make_picture(each.height, each.width, each.channels), each.new_height, each.new_width,
                               each.interpolation);
    EXPECT_EQ(image.height, each.new_height);
    EXPECT_EQ(image.width, each.new_width);
    ASSERT_EQ(image.values.size(), size_t(each.new_height * each.new_width * each.channels));
    for (size_t i = 0; i < each.first.size(); ++i) EXPECT_EQ(int(image.values[i]), each.first[i]) << "byte " << i;
    EXPECT_EQ(fnv(image.values), each.hash);
  }
}

TEST(Image, PngComesBackByteForByte) {
  for (int64_t channels : {1, 3}) {
    const Image image = make_picture(7, 5, channels);
    const Image read = decode_image(span_of(encode_png(image)), "x");
    EXPECT_EQ(read.height, 7);
    EXPECT_EQ(read.width, 5);
    EXPECT_EQ(read.channels, channels);
    EXPECT_EQ(read.values, image.values);
  }
}

TEST(Image, PngTransparencyIsDropped) {
  const Image read = decode_image(span_of(encode_png({10, 20, 30, 0, 40, 50, 60, 255}, 1, 2, PNG_FORMAT_RGBA)), "x");
  EXPECT_EQ(read.channels, 3);
  EXPECT_EQ(read.values, (std::vector<uint8_t>{10, 20, 30, 40, 50, 60}));
}

TEST(Image, JpegIsCloseToWhatWasCompressed) {
  const Image colour = decode_image(span_of(encode_jpeg(plain_picture(20, 30, {200, 100, 50}))), "x");
  EXPECT_EQ(colour.height, 20);
  EXPECT_EQ(colour.width, 30);
  ASSERT_EQ(colour.channels, 3);
  for (size_t i = 0; i < colour.values.size(); ++i)
    EXPECT_NEAR(colour.values[i], (std::vector<int>{200, 100, 50})[i % 3], 2);
  const Image gray = decode_image(span_of(encode_jpeg(plain_picture(9, 9, {77}))), "x");
  ASSERT_EQ(gray.channels, 1);
  for (uint8_t value : gray.values) EXPECT_NEAR(value, 77, 1);
}

TEST(Image, BrokenFilesAreErrors) {
  const std::string png = encode_png(make_picture(40, 40, 3)), jpeg = encode_jpeg(make_picture(40, 40, 3));
  std::string flipped = png;
  flipped[png.size() / 2] = char(flipped[png.size() / 2] ^ 0x55);
  std::string huge = png;  // the extents in IHDR (bytes 16 … 23) with its checksum
  huge.replace(16, 8, std::string("\x00\x00\xff\xff\x00\x00\x04\x00", 8));
  const auto crc = uint32_t(crc32(0, reinterpret_cast<const Bytef*>(huge.data() + 12), 17));
  for (int i = 0; i < 4; ++i) huge[size_t(29 + i)] = char(crc >> (24 - 8 * i));
  std::string wide = jpeg;  // SOF0: ff c0, length, precision, height, width
  const size_t frame = wide.find("\xff\xc0");
  wide.replace(frame + 5, 4, std::string("\x80\x00\x80\x00", 4));
  const std::pair<std::string, std::string> cases[] = {
      {"", "empty"},
      {"hello", "neither a PNG nor a JPEG"},
      {png.substr(0, 20), "too early"},
      {png.substr(0, png.size() / 2), "too early"},
      {flipped, "damaged"},
      {huge, "cannot hold 1024x65535 pixels"},
      {wide, "an image of 32768x32768 pixels"},
      {jpeg.substr(0, jpeg.size() / 2), "damaged"},
      {jpeg.substr(0, 10), "damaged"},
  };
  for (const auto& [bytes, message] : cases) {
    const std::string text = error_of([&] { decode_image(span_of(bytes), "cat.png"); });
    expect_contains(text, message);
    expect_contains(text, "cat.png");
  }
}

TEST(Image, ColoursAndCrop) {
  const Image red{1, 2, 3, {255, 0, 0, 10, 20, 30}};
  EXPECT_EQ(to_gray(red).values, (std::vector<uint8_t>{76, 18}));  // PIL: Image.convert("L")
  EXPECT_EQ(to_rgb(to_gray(red)).values, (std::vector<uint8_t>{76, 76, 76, 18, 18, 18}));
  Image rows{5, 1, 1, {0, 1, 2, 3, 4}};
  EXPECT_EQ(crop_centre(rows, 3, 1).values, (std::vector<uint8_t>{1, 2, 3}));
  EXPECT_EQ(crop_centre(rows, 4, 1).values, (std::vector<uint8_t>{0, 1, 2, 3}));  // round(0.5) is 0 in Python
  EXPECT_EQ(crop_centre(rows, 2, 1).values, (std::vector<uint8_t>{2, 3}));        // round(1.5) is 2
}

}  // namespace
}  // namespace pare
