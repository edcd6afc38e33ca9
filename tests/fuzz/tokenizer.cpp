#include "tokenizers/tokenizer.h"

#include "base/error.h"

// Any bytes as a tokenizer.json, and as a text for it: an Error or ids that decode, nothing else.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t cut = bytes.find('\0');  // behind it stands the text
  const std::string_view text = cut == std::string_view::npos ? bytes : bytes.substr(cut + 1);
  try {
    const pare::Tokenizer tokenizer(pare::parse_tokenizer(bytes.substr(0, cut), "fuzz"));
    tokenizer.decode(tokenizer.encode(text));
  } catch (const pare::Error&) {
  }
  return 0;
}
