// Our own bits: SHA-256 over the little-endian f32 logits of the last position, for real and tiny
// models, on every instruction set that this machine has. A change here is a new version of the
// numerics contract, never an accident (docs/design.md). golden_hashes.inc is the table; a failing
// entry prints its new line.

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "arch_models.h"
#include "golden_support.h"
#include "tatara/numerics/digest.h"
#include "tatara/numerics/isa.h"

namespace tatara::test {
namespace {

using numerics::Activations;
using numerics::Isa;

struct Pinned {
  const char* model;  // "arch/NAME" for a tiny one
  const char* input;  // name of a golden case, or ids separated by commas
  const char* path;   // "int8" or "f32"
  const char* sha256;
};
constexpr Pinned kPinned[] = {
#include "golden_hashes.inc"
};

// Scalar kernels take half a second a token and more on real models.
constexpr std::size_t kScalarTokensMax = 7;

std::filesystem::path GoldenFile(const std::string& model) {
  static const std::map<std::string, std::string> kFiles = {
      {"smollm2-135m", "SmolLM2-135M-Instruct.Q4_1"},
      {"qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b-instruct-q4_k_m"},
      {"gemma3-270m", "gemma-3-270m-q4_k_m"},
  };
  const auto it = kFiles.find(model);
  const std::string name = model.starts_with("arch/") ? model
                           : it == kFiles.end()       ? model
                                                      : it->second;
  return DataDir() / "golden" / (name + ".json");
}

std::vector<std::int32_t> TokensOf(const Pinned& pinned) {
  std::vector<std::int32_t> tokens;
  if (std::string(pinned.model).starts_with("arch/")) {
    const auto json = nlohmann::json::parse(ReadFile(GoldenFile(pinned.model)));
    return json.at("token_ids").get<std::vector<std::int32_t>>();
  }
  if (std::isdigit(static_cast<unsigned char>(pinned.input[0])) != 0) {
    std::stringstream ids(pinned.input);
    for (std::string id; std::getline(ids, id, ',');) tokens.push_back(std::stoi(id));
    return tokens;
  }
  for (const GoldenCase& c : ReadGoldenCases(GoldenFile(pinned.model))) {
    if (c.name == pinned.input) return c.token_ids;
  }
  ADD_FAILURE() << "no case " << pinned.input << " of " << pinned.model;
  return {0};
}

// All entries of one model and path, on every instruction set, with 1 and 2 threads by turns.
void CheckPinned(const std::string& model, const std::filesystem::path& file,
                 const std::string& path) {
  const auto activations = path == "int8" ? Activations::kInt8 : Activations::kF32;
  const Isa before = numerics::ActiveIsa();
  int n_threads = 1;
  for (const Isa isa : numerics::AvailableIsas()) {
    numerics::SetActiveIsa(isa);
    ModelRunner runner(file, activations, n_threads, 768);
    n_threads = 3 - n_threads;
    for (const Pinned& pinned : kPinned) {
      if (pinned.model != model || pinned.path != path) continue;
      const std::vector<std::int32_t> tokens = TokensOf(pinned);
      const bool tiny = model.starts_with("arch/");
      if (isa == Isa::kScalar && !tiny && tokens.size() > kScalarTokensMax && !RunAll()) continue;
      const std::vector<float> logits = runner.LastLogits(tokens);
      for (const float logit : logits) ASSERT_TRUE(std::isfinite(logit)) << model;
      const std::string found = numerics::F32Sha256(logits);
      EXPECT_EQ(found, pinned.sha256)
          << "on " << numerics::IsaName(isa) << ": {\"" << pinned.model << "\", \"" << pinned.input
          << "\", \"" << pinned.path << "\",\n \"" << found << "\"},";
    }
  }
  numerics::SetActiveIsa(before);
}

class RealModelBits : public ::testing::TestWithParam<const char*> {};

TEST_P(RealModelBits, AreTheSameOnEveryInstructionSet) {
  const std::string model = GetParam();
  if (model == "qwen2.5-coder-1.5b" && !RunAll()) GTEST_SKIP() << "slow; set TATARA_TEST_ALL=1";
  TATARA_REQUIRE_DATA(golden, "golden");
  TATARA_REQUIRE_MODEL(file, model);
  CheckPinned(model, file, "int8");
  CheckPinned(model, file, "f32");
}

INSTANTIATE_TEST_SUITE_P(Models, RealModelBits,
                         ::testing::Values("smollm2-135m", "qwen2.5-coder-0.5b",
                                           "qwen2.5-coder-1.5b", "gemma3-270m"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name)
                             c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

TEST(TinyModelBits, AreTheSameOnEveryInstructionSet) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  std::set<std::string> names;
  for (const Pinned& pinned : kPinned) {
    if (std::string(pinned.model).starts_with("arch/")) names.insert(pinned.model);
  }
  for (const char* name : kDecoderModels) {
    EXPECT_TRUE(names.contains("arch/" + std::string(name))) << name << " has no hash";
  }
  for (const std::string& name : names) {
    const auto file = folder / (name.substr(5) + ".gguf");
    CheckPinned(name, file, "int8");
    CheckPinned(name, file, "f32");
  }
}

}  // namespace
}  // namespace tatara::test
