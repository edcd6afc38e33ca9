#include "data/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

std::string lower_extension(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = char(std::tolower(uint8_t(c)));
  return ending;
}

}  // namespace

Listing list_folder(const std::string& path) {
  static const std::vector<std::string> read = {".png", ".jpg", ".jpeg"};
  static const std::vector<std::string> other = {".bmp", ".gif", ".webp", ".tif", ".tiff",
                                                 ".ppm", ".pgm", ".heic", ".avif"};
  Listing result;
  std::error_code code;
  for (fs::directory_iterator it(path, code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().string(), ending = lower_extension(it->path());
    if (name.starts_with('.')) continue;
    if (it->is_directory(code))
      result.folders.push_back(name);
    else if (std::find(read.begin(), read.end(), ending) != read.end())
      result.images.push_back(it->path().string());
    else if (std::find(other.begin(), other.end(), ending) !=
             other.end())  // left out silently it would change the score
      throw Error(it->path().string(), fmt::format("{} images are not read", ending),
                  "convert it to PNG or JPEG, or remove it");
  }
  if (code)
    throw Error(path, "cannot list the folder: " + code.message(), "check the permissions and that no link is broken");
  std::sort(result.folders.begin(), result.folders.end());
  std::sort(result.images.begin(), result.images.end());
  return result;
}

}  // namespace pare
