#include "base/files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "base/error.h"
#include "support/places.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

class Files : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_ / name; }
  size_t count() const {
    return size_t(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()));
  }
  testing::TemporaryFolder folder_;
};

TEST_F(Files, WrittenAndReadBack) {
  const std::string text("a\0b\n", 4);
  write_text(path("x"), text);
  EXPECT_EQ(read_text(path("x")), text);
  EXPECT_EQ(file_size(path("x")), 4);
  write_text(path("x"), "");
  EXPECT_EQ(read_text(path("x")), "");
  EXPECT_EQ(count(), 1u);
}

TEST_F(Files, AWriterThatFailsLeavesTheOldFile) {
  write_text(path("x"), "old");
  EXPECT_THROW(write_file(path("x"), [](std::ostream& out) {
                 out << "half";
                 throw std::runtime_error("stop");
               }),
               std::runtime_error);
  EXPECT_EQ(read_text(path("x")), "old");
  EXPECT_EQ(count(), 1u);
}

TEST_F(Files, FaultsSayWhichFile) {
  for (const auto& action : {std::function<void()>([&] { read_text(path("absent")); }),
                             std::function<void()>([&] { read_text(folder_.path()); }),
                             std::function<void()>([&] { write_text(path("no/such/folder/x"), "a"); }),
                             std::function<void()>([&] { write_text(folder_.path(), "a"); }),
                             std::function<void()>([&] { file_size(path("absent")); }),
                             std::function<void()>([&] { MappedFile::open("/dev/zero"); })}) {
    try {
      action();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_FALSE(error.where().empty());
      EXPECT_FALSE(error.problem().empty());
    }
  }
  EXPECT_EQ(count(), 0u);
}

TEST_F(Files, AFullDiskIsAnErrorAndNoFile) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "/dev/full is absent";
  fs::create_symlink("/dev/full", path("x.part" + std::to_string(getpid())));
  EXPECT_THROW(write_text(path("x"), std::string(100000, 'a')), Error);
  EXPECT_EQ(count(), 0u);
}

TEST_F(Files, AMappedFileOutlivesItsName) {
  write_text(path("x"), "held");
  const auto file = MappedFile::open(path("x"));
  fs::remove(path("x"));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()), "held");
}

}  // namespace
}  // namespace pare
