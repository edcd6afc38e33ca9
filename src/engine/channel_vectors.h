#pragma once
// How the channels of a float image lie in vectors of a kernel's lanes, for kernels that take strides.
#include "engine/plan.h"

namespace pare {

// In elements: channels b · lanes … of pixel (row, column) of image i lie at i · image + b · block + row · this->row + column · pixel.
struct ChannelVectors {
  int64_t blocks, pixel, row, block, image;
};

inline int64_t vectors_of(int64_t channels, int64_t lanes) { return (channels + lanes - 1) / lanes; }

// `storage`: an image, blocked by `lanes` or with channels innermost.
inline ChannelVectors channel_vectors(const Storage& storage, int64_t lanes) {
  const int64_t channels = storage.dims[1], height = storage.dims[2], width = storage.dims[3], blocks = vectors_of(channels, lanes);
  if (storage.layout == Layout::blocked) return {blocks, lanes, width * lanes, height * width * lanes, blocks * height * width * lanes};
  return {blocks, channels, width * channels, lanes, channels * height * width};
}

}  // namespace pare
