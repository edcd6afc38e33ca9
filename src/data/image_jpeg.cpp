#include <fmt/format.h>
#include <turbojpeg.h>

#include <memory>
#include <string_view>

#include "base/error.h"
#include "data/image.h"

namespace pare {
namespace {

struct Close {
  void operator()(void* handle) const { tjDestroy(handle); }
};

[[noreturn]] void fail(tjhandle handle, const std::string& where) {
  throw Error(where, fmt::format("the JPEG image is damaged: {}", tjGetErrorStr2(handle)),
              "fetch the file again or remove it");
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> file, const std::string& where) {
  const std::unique_ptr<void, Close> handle(tjInitDecompress());
  PARE_CHECK(handle != nullptr);
  const auto* bytes = reinterpret_cast<const unsigned char*>(file.data());
  int width = 0, height = 0, subsampling = 0, colours = 0;
  if (tjDecompressHeader3(handle.get(), bytes, file.size(), &width, &height, &subsampling, &colours) != 0 ||
      width < 1 || height < 1)
    fail(handle.get(), where);
  check_extents(height, width, where);
  if (colours == TJCS_CMYK || colours == TJCS_YCCK)
    throw Error(where, "a JPEG image in CMYK (print colours) is not read", "convert it to RGB");
  const bool gray = colours == TJCS_GRAY;
  Image image{height, width, gray ? 1 : 3, {}};
  image.values.resize(size_t(image.height * image.width * image.channels));
  // The exact inverse transform and smooth chroma, as PIL decodes. LIMITSCANS: hostile progressive files would take
  // minutes.
  const int flags = TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS;
  if (tjDecompress2(handle.get(), bytes, file.size(), image.values.data(), width, 0, height,
                    gray ? TJPF_GRAY : TJPF_RGB, flags) != 0) {
    // Real photographs carry harmless oddities (bytes between segments); missing pixels are not harmless.
    const std::string_view message = tjGetErrorStr2(handle.get());
    if (tjGetErrorCode(handle.get()) != TJERR_WARNING || message.find("remature end") != std::string_view::npos ||
        message.find("orrupt") != std::string_view::npos)
      fail(handle.get(), where);
  }
  return image;
}

std::string encode_jpeg(const Image& image, int quality) {
  PARE_CHECK(image.height > 0 && image.width > 0 &&
             int64_t(image.values.size()) == image.height * image.width * image.channels);
  const std::unique_ptr<void, Close> handle(tjInitCompress());
  PARE_CHECK(handle != nullptr);
  const bool gray = image.channels == 1;
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  const int failed = tjCompress2(handle.get(), image.values.data(), int(image.width), 0, int(image.height),
                                 gray ? TJPF_GRAY : TJPF_RGB, &bytes, &size, gray ? TJSAMP_GRAY : TJSAMP_420, quality,
                                 TJFLAG_ACCURATEDCT);
  const std::unique_ptr<unsigned char, decltype(&tjFree)> owned(bytes, tjFree);
  PARE_CHECK(failed == 0);
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace pare
