#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "data/data_set.h"

namespace {

// Descriptions that read one file of lines: texts with labels, ids, instructions, questions with answers.
struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("pare-fuzz-jsonl-" + std::to_string(getpid()));
  std::vector<std::string> descriptions;

  Folder() {
    std::filesystem::create_directories(path);
    std::ofstream(path / "tokenizer.json")
        << R"({"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "vocab": {"[UNK]": 0, "a": 1, "##b": 2, "what": 3, "##s": 4}},)"
        << R"("normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"}})";
    const std::string text = "[text]\ntokenizer = \"tokenizer.json\"\nlength = 16\n", lines = "files = [\"lines.jsonl\"]\n";
    add("task = \"classify-text\"\n[test]\nformat = \"jsonl\"\ntext = \"text\"\n" + lines + text);
    add("task = \"classify-text\"\n[test]\nformat = \"jsonl\"\n" + lines);
    add("task = \"language\"\n[test]\nformat = \"jsonl\"\nprompt = \"text\"\nanswer = \"answer\"\n" + lines + text);
    add("task = \"multiple-choice\"\n[test]\nformat = \"choices\"\nprompt = \"text\"\n" + lines + text);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  void add(const std::string& description) {
    descriptions.push_back(path / ("data" + std::to_string(descriptions.size()) + ".toml"));
    std::ofstream(descriptions.back()) << description;
  }
};

}  // namespace

// Any bytes as lines of JSON: an Error or samples that can be read, nothing else.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Folder folder;
  std::ofstream(folder.path / "lines.jsonl", std::ios::binary).write(reinterpret_cast<const char*>(data), std::streamsize(size));
  for (const std::string& description : folder.descriptions) {
    try {
      const pare::DataSet set = pare::read_data_set(description);
      for (int64_t i = 0; i < std::min<int64_t>(set.test->size(), 4); ++i) {
        set.test->get(i);
        set.test->truth(i);
      }
    } catch (const pare::Error&) {
    }
  }
  return 0;
}
