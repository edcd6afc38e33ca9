#pragma once
// Where tests find what is beside them, and where they may write.
#include <string>

namespace pare::testing {

// The source tree, and the folder of real models (which may be absent). Compiled into one file only: paths in the
// flags of every test would let no two trees share compiled objects.
std::string source_dir();
std::string models_dir();

// A new, empty folder, removed with all that is in it at the end of the scope. Tests run at the same time in several
// processes, so no name may be fixed.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // Writes a file of these bytes, in folders as needed, and returns its path.
  std::string write(const std::string& name, const std::string& bytes) const;

 private:
  std::string path_;
};

}  // namespace pare::testing
