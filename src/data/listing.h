#pragma once
#include <string>
#include <vector>

namespace pare {

// What a folder of pictures holds. Hidden files and files of no picture's ending are passed over; pictures of a kind
// that is not read are an Error, for leaving them out would change the score.
struct Listing {
  std::vector<std::string> folders, images;  // names and paths, sorted
};
Listing list_folder(const std::string& path);

}  // namespace pare
