#include "hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_http_server.h"
#include "test_store.h"

namespace tatara::weights {
namespace {

using test::Environment;
using test::HttpAnswer;
using test::HttpServer;
using test::TestStore;
using testing::HasSubstr;

const std::string kCommit(40, 'a');

std::string Listing(const std::vector<std::string>& files, const std::string& more = "") {
  std::string siblings;
  for (const std::string& file : files) {
    siblings += (siblings.empty() ? "" : ",") + ("{\"rfilename\":\"" + file + "\"}");
  }
  return "{\"sha\":\"" + kCommit + "\",\"siblings\":[" + siblings + "]" + more + "}";
}

Result<CatalogueEntry> Entry(const std::string& listing,
                             const std::string& what = "hf:org/Repo-1.5B") {
  return EntryFromListing(*ParseRepository(what), listing);
}

std::vector<std::string> Paths(const CatalogueEntry& entry) {
  std::vector<std::string> paths;
  for (const CatalogueFile& file : entry.files) paths.push_back(file.path);
  return paths;
}

TEST(Hub, TakesWhatAFolderNeedsAndNothingElse) {
  const auto entry = Entry(Listing(
      {".gitattributes", "README.md", "config.json", "model.safetensors", "model.fp16.safetensors",
       "onnx/model.onnx", "pytorch_model.bin", "tokenizer.json", "1_Pooling/config.json"},
      ",\"cardData\":{\"license\":\"apache-2.0\"}"));
  ASSERT_TRUE(entry.ok()) << entry.error().text();
  EXPECT_EQ(entry->name, "Repo-1.5B");
  EXPECT_EQ(entry->licence.name, "apache-2.0");
  EXPECT_THAT(Paths(*entry), testing::ElementsAre("model.safetensors", "config.json",
                                                  "tokenizer.json", "1_Pooling/config.json"));
  EXPECT_EQ(entry->files[0].sources[0].parts[0],
            "hf:org/Repo-1.5B@" + kCommit + "/model.safetensors");
}

TEST(Hub, TakesTheFoldersOfSentenceTransformersModules) {
  const auto entry =
      Entry(Listing({"config.json", "model.safetensors", "modules.json", "1_Pooling/config.json",
                     "2_Dense/config.json", "2_Dense/model.safetensors",
                     "2_Dense/pytorch_model.bin", "10_Dense/model.safetensors", "onnx/config.json",
                     "_Dense/config.json", "3Dense/config.json", "2_Dense/deeper/config.json"}));
  ASSERT_TRUE(entry.ok()) << entry.error().text();
  EXPECT_THAT(Paths(*entry), testing::UnorderedElementsAre(
                                 "config.json", "model.safetensors", "modules.json",
                                 "1_Pooling/config.json", "2_Dense/config.json",
                                 "2_Dense/model.safetensors", "10_Dense/model.safetensors"));
}

TEST(Hub, TakesAllShards) {
  const auto entry =
      Entry(Listing({"config.json", "model-00001-of-00002.safetensors",
                     "model-00002-of-00002.safetensors", "model.safetensors.index.json"}));
  ASSERT_TRUE(entry.ok()) << entry.error().text();
  EXPECT_EQ(entry->files.size(), 4u);
  EXPECT_EQ(entry->files[0].path, "model.safetensors.index.json");
}

TEST(Hub, ARepositoryIsNamedByOrganisationAndName) {
  EXPECT_EQ(ParseRepository("hf:org/repo@v1")->revision, "v1");
  EXPECT_EQ(ParseRepository("hf:org/repo")->revision, "main");
  for (const char* bad : {"hf:org", "hf:org/repo/f", "hf:/repo", "hf:org/", "hf:org/..",
                          "hf:o rg/r", "https://org/repo", "hf:org/repo@"}) {
    EXPECT_FALSE(ParseRepository(bad)) << bad;
  }
}

TEST(Hub, OneGgufIsTakenOfSeveralTheUserChooses) {
  EXPECT_THAT(Paths(*Entry(Listing({"m-00002-of-00002.gguf", "m-00001-of-00002.gguf"}))),
              testing::ElementsAre("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"));
  EXPECT_THAT(Entry(Listing({"a.Q4_K.gguf", "a.Q8_0.gguf"})).error().text(),
              HasSubstr("2 GGUF models are there; name one:\n  hf:org/Repo-1.5B/a.Q4_K.gguf\n"));
  EXPECT_THAT(Entry(Listing({"pytorch_model.bin"})).error().text(),
              HasSubstr("neither safetensors"));
}

TEST(Hub, HostileListingsNameNoFileOutsideTheFolder) {
  const auto entry = Entry(Listing({"config.json", "model.safetensors", "../tokenizer.json",
                                    "/etc/tokenizer.json", "a//config.json"}));
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->files.size(), 2u);
  for (const char* listing :
       {"", "[]", "{}", "{\"siblings\":{}}", "{\"siblings\":[1,{\"rfilename\":2}]}"}) {
    EXPECT_FALSE(Entry(listing).ok()) << listing;
  }
}

TEST(Hub, PullsARepositoryWholeOrNotAtAll) {
  const std::string weights = test::Bytes(5000);
  const std::string listing = "{\"sha\":\"" + kCommit +
                              "\",\"cardData\":{\"license\":\"mit\"},\"siblings\":["
                              "{\"rfilename\":\"config.json\",\"size\":2},{\"rfilename\":\"model."
                              "safetensors\",\"size\":5000,"
                              "\"lfs\":{\"sha256\":\"" +
                              Sha256Hex(weights) + "\"}}]}";
  bool damaged = true;
  HttpServer hub([&](const std::string& request) {
    if (request.find("GET /api/models/org/tiny/revision/main?blobs=true ") == 0) {
      return HttpAnswer{.body = listing};
    }
    if (request.find("/org/tiny/resolve/" + kCommit + "/config.json") != std::string::npos) {
      return HttpAnswer{.body = "{}"};
    }
    return HttpAnswer{.body = damaged ? std::string(5000, 'x') : weights};
  });
  const Environment endpoint("HF_ENDPOINT", hub.Url(""));
  const TestStore place(test::CatalogueText("m", {{"m.gguf", "x", "[\"file:/none\"]"}}));
  ModelStore store = place.Open();
  PullOptions options;
  std::string announced;
  options.announce = [&](const CatalogueEntry& entry) {
    announced = entry.licence.name + " " + std::to_string(entry.n_bytes());
  };
  EXPECT_FALSE(store.Pull("hf:org/tiny", options).ok());
  EXPECT_FALSE(place.Sees("tiny"));
  damaged = false;
  const auto pulled = store.Pull("hf:org/tiny", options);
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_EQ(announced, "mit 5002");
  EXPECT_EQ(pulled->model.licence, "mit");
  EXPECT_TRUE(pulled->model.digest_was_known);
  EXPECT_EQ(pulled->model.sha256(), Sha256Hex(weights));
  EXPECT_EQ(test::ReadFile(pulled->model.folder / "config.json"), "{}");
  EXPECT_TRUE(store.Pull("hf:org/tiny", options)->was_there);
}

}  // namespace
}  // namespace tatara::weights
