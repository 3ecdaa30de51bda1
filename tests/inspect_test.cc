// `tatara inspect` as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "program.h"

namespace tatara {
namespace {

using test::Outcome;
using test::Program;
using testing::HasSubstr;

TEST(Inspect, SaysWhatATinyModelIs) {
  TATARA_REQUIRE_DATA(path, "golden/arch/gpt-oss_mxfp4.gguf");
  Program tatara;
  const auto report = tatara({"inspect", path.string(), "--json", "--digest"}).json();
  EXPECT_EQ(report["container"], "gguf");
  EXPECT_EQ(report["architecture"], "gpt-oss");
  EXPECT_EQ(report["architecture_known"], true);
  EXPECT_EQ(report["tensors"], 41);
  EXPECT_EQ(report["types"].size(), 2u);
  EXPECT_EQ(report["context_tokens"], 256);
  EXPECT_EQ(report["rope"]["scaling"], "yarn");
  EXPECT_EQ(report["tokenizer"]["tokens"], 272);
  EXPECT_EQ(report["sha256"].get<std::string>().size(), 64u);
  tatara.environment()["LC_ALL"] = "ja_JP.UTF-8";
  const Outcome table = tatara({"inspect", path.string()});
  EXPECT_EQ(table.status, 0);
  EXPECT_THAT(table.out, HasSubstr("アーキテクチャ"));
  EXPECT_THAT(table.out, HasSubstr("MXFP4"));
}

TEST(Inspect, VocabulariesWithoutTensorsAreNoErrors) {
  TATARA_REQUIRE_DATA(path, "tokenizer/ggml-vocab-gpt-2.gguf");
  Program tatara;
  const Outcome outcome = tatara({"inspect", path.string()});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("a vocabulary only"));
}

TEST(Inspect, UnknownArchitecturesNameTheNearest) {
  TATARA_REQUIRE_DATA(path, "golden/arch/llama_q8_0.gguf");
  std::string bytes = test::ReadFile(path);
  for (std::size_t at = bytes.find("llama"); at < 4096; at = bytes.find("llama", at)) {
    bytes.replace(at, 5, "llamo");
  }
  Program tatara;
  const auto changed = tatara.folder() / "odd.gguf";
  std::ofstream(changed, std::ios::binary) << bytes;
  const auto report = tatara({"inspect", changed.string(), "--json"}).json();
  EXPECT_EQ(report["architecture"], "llamo");
  EXPECT_EQ(report["architecture_known"], false);
  EXPECT_EQ(report["nearest_architecture"], "llama");
}

TEST(Inspect, WhatIsNoModelIsRefusedByName) {
  Program tatara;
  const auto path = tatara.folder() / "notes.txt";
  std::ofstream(path) << "hello";
  const Outcome outcome = tatara({"inspect", path.string()});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("notes.txt: not a model"));
}

}  // namespace
}  // namespace tatara
