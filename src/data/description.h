#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/array.h"

namespace pare {

// One table of a data description. Everything that is wrong with it is an Error naming file, line, table and key.
class Section {
 public:
  static Section read(const std::string& path);  // the whole file

  bool has(const std::string& key) const;
  std::vector<std::string> keys() const;
  // Throws where a key is not among `known`, naming the nearest one.
  void allow(const std::vector<std::string>& known) const;

  std::optional<Section> section(const std::string& key) const;
  bool is_section(const std::string& key) const;
  bool is_text(const std::string& key) const;
  std::string text(const std::string& key) const;
  std::string text(const std::string& key, const std::string& otherwise) const;
  // The row number of the text in `choices`; throws naming them and the nearest.
  size_t choice(const std::string& key, const std::vector<std::string>& choices) const;
  bool boolean(const std::string& key, bool otherwise) const;
  int64_t integer(const std::string& key, int64_t otherwise, int64_t least, int64_t most) const;
  double number(const std::string& key, double otherwise) const;  // finite
  std::vector<double> numbers(const std::string& key) const;      // a number is a list of one; {} where absent
  Dims integers(const std::string& key, int64_t least, int64_t most) const;
  std::vector<std::string> texts(const std::string& key) const;  // a text is a list of one
  // A file or folder the key names, relative to the description's folder; throws where it does not exist.
  std::string file(const std::string& key) const { return existing(key, text(key), false); }
  std::string folder(const std::string& key) const { return existing(key, text(key), true); }
  std::vector<std::string> files(const std::string& key) const;
  std::string existing(const std::string& key, const std::string& name, bool folder) const;

  std::string where(const std::string& key) const;  // "cifar10.toml:7"
  std::string title() const;                        // "[test]"
  [[noreturn]] void fail(const std::string& key, const std::string& what, const std::string& fix = "") const;

 private:
  struct Table;
  explicit Section(std::shared_ptr<const Table> table) : table_(std::move(table)) {}
  std::shared_ptr<const Table> table_;
};

// The one of `known` with the fewest letters to change; empty where there is none.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

}  // namespace pare
