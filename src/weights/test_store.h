// For tests: a data directory with a catalogue of one model, and the environment it needs.
#pragma once

#include <gtest/gtest.h>
#include <zip.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "tatara/base/sha256.h"
#include "tatara/weights/model_store.h"
#include "test_support.h"

namespace tatara::weights::test {
namespace fs = std::filesystem;
using tatara::test::ReadFile;
using tatara::test::ScratchDir;

// Sets a variable until the end of the scope.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) {
      had_ = true;
      old_ = old;
    }
    ::setenv(name, value.c_str(), 1);
  }
  ~Environment() {
    if (had_) {
      ::setenv(name_, old_.c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  bool had_ = false;
  std::string old_;
};

// `n` bytes that no compression shortens and no two offsets share.
inline std::string Bytes(std::size_t n, std::uint64_t seed = 1) {
  std::string out(n, '\0');
  std::uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (char& c : out) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = static_cast<char>(state >> 32);
  }
  return out;
}

inline void WriteFile(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

inline void WriteZip(const fs::path& path,
                     const std::vector<std::pair<std::string, std::string>>& members) {
  fs::create_directories(path.parent_path());
  int code = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  ASSERT_NE(archive, nullptr);
  for (const auto& [name, content] : members) {
    zip_source_t* source = zip_source_buffer(archive, content.data(), content.size(), 0);
    ASSERT_GE(zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8), 0);
  }
  ASSERT_EQ(zip_close(archive), 0);
}

// One file of a model in the test's catalogue.
struct FileSpec {
  std::string path;
  std::string content;
  std::string sources;  // the TOML array, "[...]"
};

inline std::string CatalogueText(const std::string& name, const std::vector<FileSpec>& files,
                                 const std::string& licence_extra = "") {
  std::string out =
      "format = 1\n[[model]]\nname = \"" + name +
      "\"\ndescription = \"d\"\nkind = \"chat\"\nlanguages = [\"en\"]\ncontext_tokens = 9\n"
      "publisher = \"p\"\norigin = \"o\"\n[model.licence]\nname = \"L\"\nurl = \"u\"\n" +
      licence_extra;
  for (const FileSpec& file : files) {
    out += "[[model.file]]\npath = \"" + file.path +
           "\"\nbytes = " + std::to_string(file.content.size()) + "\nsha256 = \"" +
           Sha256Hex(file.content) + "\"\nsources = " + file.sources + "\n";
  }
  return out;
}

// A store in a scratch folder whose catalogue has the model "m".
class TestStore {
 public:
  explicit TestStore(const std::string& catalogue) {
    WriteFile(home() / "catalogue.toml", catalogue);
  }
  fs::path home() const { return dir_.path() / "home"; }
  fs::path Scratch(const std::string& name) const { return dir_.path() / name; }
  ModelStore Open(bool share_blocks = false) const {
    auto store =
        ModelStore::Open({.home = home(), .share_blocks = share_blocks, .retry_pause_ms = 10});
    EXPECT_TRUE(store.ok()) << store.error().text();
    return *std::move(store);
  }
  // Whether anything of a model can be seen in its place.
  bool Sees(const std::string& name) const { return fs::exists(home() / "models" / name); }

 private:
  ScratchDir dir_;
};

}  // namespace tatara::weights::test
