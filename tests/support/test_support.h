// What tests share: where the data and the real models are, scratch folders, files.
// Absent data skips a test with the reason; with CI=true in the environment it fails the test
// instead.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>

namespace tatara::test {

// Folder of the shared data: TATARA_TEST_DATA, else ../shared/data beside the source tree.
std::filesystem::path DataDir();

// Path of a real model's file in TATARA_MODELS (default ~/.cache/tatara/test-models), by catalogue
// name (smollm2-135m, qwen2.5-coder-0.5b, qwen2.5-coder-1.5b, gemma3-270m); nothing where it is
// absent.
std::optional<std::filesystem::path> ModelFile(const std::string& name);

// True where absence of data must fail (CI=true).
bool OnCi();

// Slow tests (full grids, the 1.5B model) run only with TATARA_TEST_ALL=1, which `./check --all`
// sets.
bool RunAll();

// Whole file as bytes; fails the test when it cannot be read.
std::string ReadFile(const std::filesystem::path& path);

// An empty folder, removed with its contents when this goes out of scope.
class ScratchDir {
 public:
  ScratchDir();
  ~ScratchDir();
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A test that showed a model right says so, at its end. With TATARA_EVIDENCE naming a folder a note
// is left there, unless the test has failed; tools/models_table makes docs/models.md of them.
struct Evidence {
  std::string architecture;   // as general.architecture says it
  std::string kind;           // "tiny vectors" or "real weights"
  std::string model;          // what was tried
  double worst_of_scale = 0;  // largest distance of f32 logits or vectors, in their deviations
};
void RecordEvidence(const Evidence& evidence);

}  // namespace tatara::test

// Leaves the test: skipped with a reason, or failed on CI.
#define TATARA_SKIP_OR_FAIL(reason)                                    \
  do {                                                                 \
    if (::tatara::test::OnCi()) FAIL() << "missing on CI: " << reason; \
    GTEST_SKIP() << reason;                                            \
  } while (false)

// Declares `var` as the path of shared data below DataDir(), or leaves the test.
#define TATARA_REQUIRE_DATA(var, relative)                                  \
  const std::filesystem::path var = ::tatara::test::DataDir() / (relative); \
  if (!std::filesystem::exists(var)) TATARA_SKIP_OR_FAIL("no data at " << var)

// Declares `var` as the path of a real model, or leaves the test.
#define TATARA_REQUIRE_MODEL(var, name)                                                \
  const auto var##_found = ::tatara::test::ModelFile(name);                            \
  if (!var##_found) TATARA_SKIP_OR_FAIL("no model " << (name) << " in TATARA_MODELS"); \
  const std::filesystem::path var = *var##_found
