#include <algorithm>
#include <cstring>

#include "formats/format.h"
#include "formats/pack/pack.h"

namespace pare {
namespace {

bool detect(const std::string&, std::span<const std::byte> head) {
  return head.size() >= kPackMagic.size() && std::memcmp(head.data(), kPackMagic.data(), kPackMagic.size()) == 0;
}

}  // namespace

extern const Format format_pack;
const Format format_pack{"pack", ".pare",
                         "the whole model in one file with entropy-coded weights; pare compress x.pare -o y.onnx gives the standard file back",
                         detect, read_pack, write_pack, nullptr};

}  // namespace pare
