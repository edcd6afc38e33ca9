#pragma once
// Input rows under bands of output rows, where integer convolutions find them: in the input itself, or copied with
// their padding. Only for *_<isa>.cpp files: `Isa` must be a type of an unnamed namespace. Isa provides
//   copy(to, from, bytes, flip), fill(to, count, value): into scratch
// `Packed` has the fields shape, direct, input_signed and input_zero of PackedConvInt8.

#include <cstddef>
#include <cstdint>

#include "kernels/conv_int8/conv_int8.h"

namespace pare {

struct ConvInt8Band {
  const std::uint8_t* input;  // the first tap of the band's first pixel
  std::ptrdiff_t row_step;    // bytes to the next output row
  std::ptrdiff_t col_step;    // bytes to the next output pixel
  std::size_t pixel;          // index of the first output pixel
  int pixels;
};

template <class Isa, class Packed>
class ConvInt8Bands {
 public:
  ConvInt8Bands(const Packed& packed, const ConvInt8Args& args)
      : packed_(packed),
        shape_(packed.shape),
        args_(args),
        in_c_(shape_.in_c / shape_.groups),
        pixel_bytes_(packed.direct ? shape_.in_c : in_c_),
        padded_w_(shape_.in_w + shape_.pad_left + shape_.pad_right),
        row_bytes_(pixel_bytes_ * padded_w_) {}

  // `rows` output rows from `out_row` of one image, for one group of the convolution.
  ConvInt8Band prepare(int group, int image, int out_row, int rows) {
    const std::uint8_t* input = static_cast<const std::uint8_t*>(args_.input) +
                                std::size_t(image) * shape_.in_h * shape_.in_w * shape_.in_c +
                                std::size_t(group) * in_c_;
    ConvInt8Band band;
    band.row_step = row_bytes_ * shape_.stride_h;
    band.col_step = pixel_bytes_ * shape_.stride_w;
    band.pixel = (std::size_t(image) * shape_.out_h() + out_row) * shape_.out_w();
    band.pixels = rows * shape_.out_w();
    const int first_row = out_row * shape_.stride_h - shape_.pad_top;
    if (packed_.direct) {
      band.input = input + std::ptrdiff_t(first_row) * row_bytes_;
      return band;
    }
    band.input = static_cast<const std::uint8_t*>(args_.scratch);
    const int in_rows = (rows - 1) * shape_.stride_h + shape_.dilation_h * (shape_.kernel_h - 1) + 1;
    copy_rows(input, first_row, in_rows);
    return band;
  }

  // First input bytes of `count` pixels, every `step`-th from `first` of the band.
  void point(const ConvInt8Band& band, const std::uint8_t** to, int first, int count, int step) const {
    const int out_w = shape_.out_w();
    int col = first % out_w;
    const std::uint8_t* row = band.input + (first / out_w) * band.row_step;
    for (int i = 0; i < count; ++i) {
      to[i] = row + col * band.col_step;
      col += step;
      while (col >= out_w) {
        col -= out_w;
        row += band.row_step;
      }
    }
  }

 private:
  // Input rows [first, first + count) with their padding into scratch; padding holds the input's zero point.
  void copy_rows(const std::uint8_t* input, int first, int count) {
    std::uint8_t* to = static_cast<std::uint8_t*>(args_.scratch);
    const std::uint8_t flip = packed_.input_signed ? 0x80 : 0;
    const int left = shape_.pad_left * in_c_, right = shape_.pad_right * in_c_;
    const std::size_t in_row = std::size_t(shape_.in_w) * shape_.in_c;
    if (shape_.groups == 1 && padded_w_ == shape_.in_w && first >= 0 && first + count <= shape_.in_h) {
      Isa::copy(to, input + first * in_row, in_row * count, flip);
      return;
    }
    for (int row = first; row < first + count; ++row, to += row_bytes_) {
      if (row < 0 || row >= shape_.in_h) {
        Isa::fill(to, padded_w_ * in_c_, packed_.input_zero);
        continue;
      }
      const std::uint8_t* from = input + row * in_row;
      std::uint8_t* at = to + left;
      Isa::fill(to, left, packed_.input_zero);
      if (shape_.groups == 1) {
        Isa::copy(at, from, in_row, flip);
        at += in_row;
      } else {
        // Values of their own: stores of bytes might change members, as far as the compiler knows.
        const int channels = in_c_, apart = shape_.in_c, width = shape_.in_w;
        const std::ptrdiff_t step = pixel_bytes_;
        for (int col = 0; col < width; ++col, at += step, from += apart) Isa::copy(at, from, channels, flip);
      }
      Isa::fill(at, right, packed_.input_zero);
    }
  }

  const Packed& packed_;
  const ConvInt8Shape& shape_;
  const ConvInt8Args& args_;
  int in_c_;
  std::ptrdiff_t pixel_bytes_;  // between neighbouring input pixels, in scratch or in the input
  int padded_w_;
  std::ptrdiff_t row_bytes_;
};

}  // namespace pare
