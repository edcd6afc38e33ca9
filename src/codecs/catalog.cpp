#include "codecs/codecs.h"

namespace pare {

std::span<const Codec* const> codecs() {
  static const Codec* const all[] = {
#define CODEC(name) &codec_##name,
#include "codecs/catalog.inc"
#undef CODEC
  };
  return all;
}

const Codec* find_codec(std::string_view name) {
  for (const Codec* codec : codecs())
    if (name == codec->name) return codec;
  return nullptr;
}

}  // namespace pare
