#include "test_support.h"

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

namespace tatara::test {
namespace fs = std::filesystem;

fs::path DataDir() {
  if (const char* dir = std::getenv("TATARA_TEST_DATA")) return dir;
  return fs::path(TATARA_SOURCE_DIR) / ".." / "shared" / "data";
}

std::optional<fs::path> ModelFile(const std::string& name) {
  static const std::map<std::string, std::string> kFiles = {
      {"smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf"},
      {"qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"},
      {"qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"},
      {"gemma3-270m", "gemma-3-270m-q4_k_m.gguf"},
      {"e5-small", "e5-small-q4.bin"},
      {"minilm-l6", "all-MiniLM-L6-v2"},
  };
  const char* dir = std::getenv("TATARA_MODELS");
  const char* home = std::getenv("HOME");
  const fs::path models =
      dir ? fs::path(dir) : fs::path(home ? home : "/") / ".cache/tatara/test-models";
  const auto it = kFiles.find(name);
  if (it == kFiles.end()) return std::nullopt;
  fs::path file = models / it->second;
  if (!fs::exists(file)) return std::nullopt;
  return file;
}

bool OnCi() {
  const char* ci = std::getenv("CI");
  return ci != nullptr && std::string(ci) == "true";
}

bool RunAll() {
  return std::getenv("TATARA_TEST_ALL") != nullptr;
}

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << "cannot read " << path;
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void RecordEvidence(const Evidence& evidence) {
  const char* folder = std::getenv("TATARA_EVIDENCE");
  if (folder == nullptr || ::testing::Test::HasFailure()) return;
  std::string name = evidence.architecture + "__" + evidence.kind + "__" + evidence.model;
  for (char& c : name) c = c == '/' || c == ' ' ? '-' : c;
  std::ofstream out(fs::path(folder) / (name + ".txt"));
  out << evidence.architecture << '\n'
      << evidence.kind << '\n'
      << evidence.model << '\n'
      << evidence.worst_of_scale << '\n';
  EXPECT_TRUE(out.good()) << folder;
}

ScratchDir::ScratchDir() {
  std::string pattern = (fs::temp_directory_path() / "tatara-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "cannot make a folder like " << pattern;
  path_ = pattern;
}

ScratchDir::~ScratchDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace tatara::test
