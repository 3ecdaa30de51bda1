#include "tatara/weights/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "catalogue_text.h"
#include "source_spec.h"
#include "test_support.h"

namespace tatara::weights {
namespace {

using testing::HasSubstr;

TEST(Catalogue, BuiltInCarriesTheSixModelsWithTheirFacts) {
  const auto parsed = ParseCatalogue(BuiltInCatalogue(), "(built in)");
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  std::vector<std::string> names;
  for (const CatalogueEntry& model : parsed->models) {
    names.push_back(model.name);
    EXPECT_FALSE(model.description_ja.empty()) << model.name;
    EXPECT_FALSE(model.origin_ja.empty()) << model.name;
    EXPECT_EQ(model.licence.terms.empty(), model.name != "gemma3-270m");
    EXPECT_EQ(model.licence.terms.empty(), model.licence.terms_ja.empty());
  }
  EXPECT_THAT(names, testing::ElementsAre("qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b",
                                          "smollm2-135m", "gemma3-270m", "minilm-l6", "e5-small"));
  const CatalogueEntry& large = *parsed->Find("qwen2.5-coder-1.5b");
  EXPECT_EQ(large.n_bytes(), 1117320768u);
  ASSERT_EQ(large.files.front().sources.size(), 2u);
  EXPECT_THAT(large.files.front().sources[0].parts.front(), testing::StartsWith("hf:Qwen/"));
  EXPECT_EQ(large.files.front().sources[1].parts.size(), 22u);
  EXPECT_EQ(parsed->Nearest("qwen2.5-coder-15b"), "qwen2.5-coder-1.5b");
  EXPECT_EQ(parsed->Nearest("completely different"), "");
}

// One model, whole; each test below damages one line of it.
constexpr std::string_view kGood = R"(format = 1
[[model]]
name = "a"
description = "d"
kind = "chat"
languages = ["en"]
context_tokens = 10
publisher = "p"
origin = "o"
[model.licence]
name = "MIT"
url = "https://example.org"
[[model.file]]
path = "f.gguf"
bytes = 5
sha256 = "0123456789012345678901234567890123456789012345678901234567890123"
sources = ["file:/x", ["pypi:a==1!b", "pypi:c==1!d"]]
)";

std::string Damaged(std::string_view from, std::string_view to) {
  std::string text(kGood);
  const std::size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Catalogue, DamageIsRefusedWithLineAndPlace) {
  ASSERT_TRUE(ParseCatalogue(kGood, "c.toml").ok())
      << ParseCatalogue(kGood, "c.toml").error().text();
  struct Case {
    std::string_view from, to, expected;
  };
  for (const Case& c : {
           Case{"sha256 =", "sha265 =",
                "c.toml:16: model[0].file[0] has the unknown key 'sha265'; did you mean 'sha256'?"},
           Case{"kind = ", "colour = \"red\"\nkind = ", "has the unknown key 'colour'"},
           Case{"name = \"MIT\"", "name = 5", "model[0].licence: 'name' must be"},
           Case{"name = \"a\"", "name = \"../a\"", "'name' must be"},
           Case{"format = 1", "format = 2", "'format' must be"},
           Case{"bytes = 5", "bytes = -5", "'bytes' must be"},
           Case{"bytes = 5", "bytes = 5.5", "'bytes' must be"},
           Case{"f.gguf", "../f.gguf", "'path' must be"},
           Case{"f.gguf", "record.json", "'path' must be"},
           Case{"sha256 = \"0", "sha256 = \"G", "'sha256' must be"},
           Case{"\"file:/x\"", "\"ftp://x\"", "ftp://x"},
           Case{"\"file:/x\"", "5", "'sources' must be"},
           Case{"[\"file:/x\"", "[[], \"file:/x\"", "'sources' must be"},
           Case{"\"chat\"", "\"cat\"", "'kind' must be"},
           Case{"[\"en\"]", "[1]", "'languages' must be"},
           Case{"context_tokens = 10", "context_tokens = [", "c.toml:"},
           Case{"[model.licence]", "[model.license]", "did you mean 'licence'?"},
           Case{"publisher = \"p\"\n", "", "'publisher' must be"},
       }) {
    const auto parsed = ParseCatalogue(Damaged(c.from, c.to), "c.toml");
    ASSERT_FALSE(parsed.ok()) << c.from << " -> " << c.to;
    EXPECT_THAT(parsed.error().text(), HasSubstr(std::string(c.expected)));
  }
}

TEST(Catalogue, TheSameNameTwiceIsRefused) {
  std::string twice(kGood);
  twice += std::string(kGood).substr(kGood.find("[[model]]"));
  const auto parsed = ParseCatalogue(twice, "c.toml");
  ASSERT_FALSE(parsed.ok());
  EXPECT_THAT(parsed.error().text(), HasSubstr("model[1]: 'name' must be unique"));
}

TEST(Catalogue, AFileInTheDataDirectoryTakesThePlaceOfTheBuiltIn) {
  const test::ScratchDir dir;
  EXPECT_EQ(LoadCatalogue(dir.path())->path, "(built in)");
  std::ofstream(dir.path() / "catalogue.toml") << kGood;
  EXPECT_EQ(LoadCatalogue(dir.path())->models.size(), 1u);
  ::setenv("TATARA_CATALOGUE", (dir.path() / "none.toml").c_str(), 1);
  const auto missing = LoadCatalogue(dir.path());
  ::unsetenv("TATARA_CATALOGUE");
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().text(), HasSubstr("none.toml"));
}

TEST(SourceSpec, ReadsEveryKind) {
  const auto hf = ParseSourceSpec("hf:org/repo-x@38f6/sub/file.gguf");
  ASSERT_TRUE(hf.ok()) << hf.error().text();
  EXPECT_EQ(hf->repository, "org/repo-x");
  EXPECT_EQ(hf->revision, "38f6");
  EXPECT_EQ(hf->path, "sub/file.gguf");
  EXPECT_EQ(hf->FileName(), "file.gguf");
  EXPECT_EQ(ParseSourceSpec("hf:org/repo/f")->revision, "main");
  const auto pypi = ParseSourceSpec("pypi:pack-age==0.1.2!dir/model.zip!in.bin");
  ASSERT_TRUE(pypi.ok());
  EXPECT_EQ(pypi->requirement, "pack-age==0.1.2");
  EXPECT_THAT(pypi->members, testing::ElementsAre("dir/model.zip", "in.bin"));
  EXPECT_EQ(ParseSourceSpec("file:///a/b c")->path, "/a/b c");
  EXPECT_EQ(ParseSourceSpec("file:rel/b")->path, "rel/b");
  EXPECT_EQ(ParseSourceSpec("https://h.example/a/b.gguf?sig=1")->FileName(), "b.gguf");
  EXPECT_TRUE(ParseSourceSpec("http://127.0.0.1:99/x").ok());
}

TEST(SourceSpec, RefusesWhatCouldReachElsewhere) {
  for (const std::string_view text : {"",
                                      "x",
                                      "hf:",
                                      "hf:org",
                                      "hf:org/repo",
                                      "hf:org/repo/",
                                      "hf:org/repo/../f",
                                      "hf:o rg/repo/f",
                                      "hf:org/repo@/f",
                                      "hf:org/repo@a b/f",
                                      "hf:-org/repo/f",
                                      "hf:org/repo//f",
                                      "hf:org/repo/.git",
                                      "pypi:a",
                                      "pypi:a==1",
                                      "pypi:a!b",
                                      "pypi:--index-url==1!b",
                                      "pypi:a==1!../b",
                                      "pypi:a==1!",
                                      "pypi:a==1!b!c!d",
                                      "pypi:a b==1!c",
                                      "pypi:a==1;x!c",
                                      "http://example.org/x",
                                      "https://",
                                      "https://u:p@example.org/x",
                                      "http://127.0.0.1.example.org/x",
                                      "http://1.2.3.4/",
                                      "ftp://a/b",
                                      "file:",
                                      "file:/a/",
                                      "pypi:a==1!b\\c"}) {
    EXPECT_FALSE(ParseSourceSpec(text).ok()) << text;
  }
}

TEST(SourceSpec, AnErrorDoesNotShowAPassword) {
  const auto refused = ParseSourceSpec("https://user:secret@example.org/x");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().text(), testing::Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace tatara::weights
