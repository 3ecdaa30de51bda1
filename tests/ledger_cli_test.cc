// The ledger from the outside: a pulled model's lineage by the program, and the log checked by the
// verifier that stands alone, before and after a byte was changed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "program.h"
#include "test_support.h"

namespace tatara::test {
namespace {

using ::testing::HasSubstr;

std::string OneLine(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

// The verifier's exit status; `said` gets both of its outputs.
int Verify(const std::vector<std::string>& arguments, std::string& said) {
  std::string command = std::string("LC_ALL=C.UTF-8 '") + TATARA_VERIFIER + "'";
  for (const std::string& argument : arguments) command += " '" + argument + "'";
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  said.clear();
  std::array<char, 4096> buffer;
  for (std::size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    said.append(buffer.data(), n);
  }
  return WEXITSTATUS(pclose(pipe));
}

TEST(LedgerProgram, APullIsRecordedAndAChangedByteIsNamedByTheVerifier) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Program tatara;
  const std::string from = std::filesystem::path(model).parent_path().string();
  const Outcome pulled = tatara({"pull", "smollm2-135m", "--from", from});
  ASSERT_EQ(pulled.status, 0) << pulled.err;

  EXPECT_THAT(tatara({"lineage", "smollm2-135m"}).out, HasSubstr("  pull  "));
  const auto lineage = tatara({"lineage", model, "--json"}).json();
  ASSERT_EQ(lineage["things"].size(), 1U);
  EXPECT_EQ(lineage["things"][0]["name"], "smollm2-135m");
  EXPECT_EQ(lineage["things"][0]["made_by"]["command"][1], "pull");
  const auto page = tatara.folder() / "page.html";
  EXPECT_EQ(tatara({"lineage", "smollm2-135m", "--page", page.string()}).status, 0);
  EXPECT_THAT(ReadFile(page), HasSubstr("</html>"));
  const Outcome unknown = tatara({"lineage", "smollm2-135n"});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.err, HasSubstr("'smollm2-135m'"));

  const std::string key = OneLine(tatara({"ledger", "key"}).out);
  EXPECT_EQ(tatara({"ledger", "key", "--json"}).json()["key"], key);
  EXPECT_EQ(tatara({"ledger", "checkpoint", "--json"}).json()["checkpoint"],
            tatara({"ledger", "checkpoint"}).out);
  const std::string folder = (tatara.home() / "ledger").string();
  const auto kept = tatara.folder() / "kept";
  std::ofstream(kept, std::ios::binary) << tatara({"ledger", "checkpoint"}).out;
  EXPECT_TRUE(tatara({"ledger", "verify", "--earlier", kept.string(), "--json"}).json()["ok"]);
  std::string said;
  EXPECT_EQ(Verify({key, folder, "--earlier", kept.string()}, said), 0) << said;
  EXPECT_THAT(said, HasSubstr("1 entries"));

  const auto entries = std::filesystem::path(folder) / "entries";
  std::string bytes = ReadFile(entries);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(entries, std::ios::binary | std::ios::trunc) << bytes;
  EXPECT_EQ(Verify({key, folder}, said), 1);
  EXPECT_THAT(said, HasSubstr("entry 0"));
  const Outcome verified = tatara({"ledger", "verify", "--json"});
  EXPECT_EQ(verified.status, 1);
  EXPECT_FALSE(verified.json()["ok"]);
  EXPECT_EQ(Verify({"no key", folder}, said), 2);
  EXPECT_EQ(Verify({}, said), 2);
}

// A ledger as a training leaves it: entries, objects, and the checkpoint with its signature.
TEST(LedgerProgram, TheVerifierNamesEveryChangedByteOfALedger) {
  namespace fs = std::filesystem;
  Program tatara;
  std::string text;
  for (int i = 0; i < 60; ++i) text += "iron sand " + std::to_string(i) + "\n";
  std::ofstream(tatara.folder() / "text.txt") << text;
  const std::string recipe = (tatara.folder() / "r.toml").string();
  std::ofstream(recipe) << "name = \"r\"\n[data]\ntext = \"text.txt\"\n[model]\nn_layers = 1\n"
                           "n_embd = 8\nn_heads = 2\nn_ctx = 4\n[training]\nsteps = 1\n";
  const Outcome trained =
      tatara({"train", recipe, "--out", (tatara.folder() / "run").string(), "--json"});
  ASSERT_EQ(trained.status, 0) << trained.err;
  const std::string key = OneLine(tatara({"ledger", "key"}).out);
  const fs::path ledger = tatara.home() / "ledger";
  std::string said;
  ASSERT_EQ(Verify({key, ledger.string()}, said), 0) << said;
  EXPECT_THAT(said, HasSubstr("objects, as they were written"));
  int n_objects = 0;
  for (const auto& entry : fs::recursive_directory_iterator(ledger)) {
    if (!entry.is_regular_file() || entry.path().filename() == "lock") continue;
    const bool is_object = entry.path().string().find("/objects/") != std::string::npos;
    n_objects += is_object ? 1 : 0;
    fs::permissions(entry.path(), fs::perms::owner_all);
    const std::string bytes = ReadFile(entry.path());
    // A program started for each: all bytes only where all tests run; log_test.cc changes each.
    const std::size_t stride = RunAll() ? 1 : 1 + bytes.size() / 20;
    for (std::size_t i = 0; i < bytes.size(); i += stride) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << i % 8));
      std::ofstream(entry.path(), std::ios::binary | std::ios::trunc) << changed;
      ASSERT_EQ(Verify({key, ledger.string()}, said), 1) << entry.path() << " byte " << i;
      ASSERT_THAT(said, HasSubstr(is_object ? entry.path().string()
                                            : (ledger / entry.path().filename()).string()))
          << i;
    }
    std::ofstream(entry.path(), std::ios::binary | std::ios::trunc) << bytes;
  }
  EXPECT_GE(n_objects, 3);
  EXPECT_EQ(Verify({key, ledger.string()}, said), 0) << said;
}

TEST(LedgerProgram, TheVerifiersHelpIsNoFailure) {
  std::string said;
  EXPECT_EQ(Verify({"--help"}, said), 0);
  EXPECT_THAT(said, HasSubstr("--receipt FILE"));
  EXPECT_EQ(Verify({"--halp"}, said), 2);
}

TEST(LedgerProgram, TheVerifierChecksReceiptsAlone) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Program tatara;
  const std::string receipt = (tatara.folder() / "r.json").string();
  const Outcome ran =
      tatara({"run", model, "--prompt", "Iron sand", "--max-tokens", "4", "--receipt", receipt});
  ASSERT_EQ(ran.status, 0) << ran.err;
  std::string said;
  EXPECT_EQ(Verify({"--receipt", receipt}, said), 0) << said;
  std::string bytes = ReadFile(receipt);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(receipt, std::ios::binary | std::ios::trunc) << bytes;
  EXPECT_EQ(Verify({"--receipt", receipt}, said), 1);
  EXPECT_FALSE(said.empty());
}

TEST(LedgerProgram, AReceiptLeadsBackToItsModel) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Program tatara;
  const std::string from = std::filesystem::path(model).parent_path().string();
  ASSERT_EQ(tatara({"pull", "smollm2-135m", "--from", from}).status, 0);
  const std::string receipt = (tatara.folder() / "r.json").string();
  ASSERT_EQ(tatara({"run", "smollm2-135m", "--prompt", "Iron sand", "--max-tokens", "2",
                    "--receipt", receipt})
                .status,
            0);

  const auto things = tatara({"lineage", receipt, "--json"}).json()["things"];
  ASSERT_EQ(things.size(), 2U);
  EXPECT_EQ(things[0]["made_by"]["kind"], "run");
  EXPECT_TRUE(things[0]["made_by"]["entry"].is_null());
  EXPECT_EQ(things[0]["made_by"]["inputs"][0]["role"], "model");
  EXPECT_EQ(things[1]["name"], "smollm2-135m");
  EXPECT_EQ(things[1]["made_by"]["kind"], "pull");
  EXPECT_THAT(tatara({"lineage", receipt}).out, testing::Not(HasSubstr("Iron sand")));

  std::string bytes = ReadFile(receipt);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(receipt, std::ios::binary | std::ios::trunc) << bytes;
  const Outcome changed = tatara({"lineage", receipt});
  EXPECT_EQ(changed.status, 2);
  EXPECT_THAT(changed.err, HasSubstr("not as it was signed"));
}

}  // namespace
}  // namespace tatara::test
