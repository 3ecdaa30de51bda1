// What users get wrong, and files that are broken or hold less than a whole model: refused by name
// on the built program, or taken where nothing is missing for what was asked.
#include <gmock/gmock.h>

#include <cstring>
#include <fstream>
#include <limits>

#include "program.h"
#include "tatara/weights/hf_export.h"
#include "tatara/weights/tensor_store.h"

namespace tatara {
namespace {

using test::Outcome;
using test::Program;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

void WriteFile(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

void ExpectRefused(const Outcome& outcome, const std::string& words) {
  EXPECT_EQ(outcome.status, 2) << outcome.err;
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, HasSubstr(words));
}

// The file with every number of one f32 tensor not a number.
std::filesystem::path WithNaN(const std::filesystem::path& file, const char* tensor,
                              const std::filesystem::path& folder) {
  std::string bytes = test::ReadFile(file);
  const auto store = weights::OpenTensorStore(file);
  EXPECT_TRUE(store.ok()) << store.error().text();
  const weights::TensorView* view = (*store)->Find(tensor);
  EXPECT_TRUE(view != nullptr && view->dtype == numerics::DType::kF32);
  const std::string data(reinterpret_cast<const char*>(view->data.data()), view->data.size());
  const std::size_t at = bytes.find(data);
  EXPECT_NE(at, bytes.npos);
  for (std::size_t i = 0; i < data.size(); i += sizeof(float)) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(bytes.data() + at + i, &nan, sizeof nan);
  }
  auto broken = folder / ("nan_" + file.filename().string());
  WriteFile(broken, bytes);
  return broken;
}

TEST(Refusals, EmptyItemsAndValuesAreNoZerosAndNoDefaults) {
  Program tatara;
  for (const char* command : {"logits", "embed"}) {
    for (const char* ids : {"1,,2", "1,", ",1", "1, 2", "2147483648"}) {
      ExpectRefused(tatara({command, "m", "--tokens", ids}), "--tokens: '");
    }
  }
  for (const char* option :
       {"--tokens", "--top", "--adapter", "--threads", "--context", "--activations"}) {
    ExpectRefused(tatara({"logits", "m", option, ""}), std::string(option) + ": ");
  }
  for (const char* option : {"--seed", "--temperature", "--max-tokens", "--receipt", "--chat"}) {
    ExpectRefused(tatara({"run", "m", option, ""}), std::string(option) + ": ");
  }
  ExpectRefused(tatara({"pull", "m", "--from", ""}), "--from: its value is empty");
  for (const char* command : {"run", "logits"}) {
    ExpectRefused(tatara({command, "m", "--tokens", "1", "--adapter", ""}),
                  "--adapter: its value is empty");
  }
  ExpectRefused(tatara({"run", "m", "--prompt", "a", "--adapter", "a", "--adapter", "b"}),
                "--adapter: given more often than it can be");
}

TEST(Refusals, OptionsOfTheOtherKindOfVocabularyAreNotPassedOver) {
  Program tatara;
  const std::string text = (tatara.folder() / "text.txt").string();
  WriteFile(text, "iron sand\n");
  ExpectRefused(tatara({"tokenizer", "train", text, "--byte-fallback"}), "--byte-fallback: --kind");
  ExpectRefused(tatara({"tokenizer", "train", text, "--kind", "unigram", "--pre", "qwen2"}),
                "--pre: --kind unigram");
}

TEST(Refusals, AVocabularyReplacesNoFileAndComesFromSomeText) {
  Program tatara;
  const std::string text = (tatara.folder() / "text.txt").string();
  const std::string empty = (tatara.folder() / "empty.txt").string();
  const std::string out = (tatara.folder() / "tokenizer.json").string();
  WriteFile(text, "iron sand\n");
  WriteFile(empty, "");
  for (const char* kind : {"bpe", "unigram"}) {
    ExpectRefused(
        tatara({"tokenizer", "train", empty, "--kind", kind, "--vocab", "300", "--out", out}),
        "empty.txt: no text to learn from");
  }
  EXPECT_FALSE(std::filesystem::exists(out));
  ASSERT_EQ(tatara({"tokenizer", "train", text, empty, "--vocab", "300", "--out", out}).status, 0);
  const std::string made = test::ReadFile(out);
  ExpectRefused(tatara({"tokenizer", "train", text, "--vocab", "280", "--out", out}),
                "tokenizer.json: is there already; choose another --out");
  EXPECT_EQ(test::ReadFile(out), made);
}

TEST(Refusals, NamesAndBoundsAreSaidAsTheyAreTyped) {
  Program tatara;
  const Outcome unknown = tatara({"tokenizer", "train", "text.txt", "--pre", "gpt-5"});
  ExpectRefused(unknown, "--pre: found 'gpt-5', expected one of ");
  EXPECT_THAT(unknown.err, AllOf(HasSubstr(" gpt-2, "), HasSubstr(" llama3, "),
                                 Not(HasSubstr("tokenizer.ggml"))));
  ExpectRefused(tatara({"estimate", "recipe.toml", "--watts", "-1"}),
                "--watts: found '-1', expected a number from 0 to 1000000000 (");
  const std::string help = tatara({"tokenizer", "train", "--help"}).out;
  EXPECT_THAT(help, AllOf(HasSubstr("=8192"), HasSubstr("=tokenizer.json"), HasSubstr("=gpt-2")));
}

TEST(Refusals, WhatIsNeitherReceiptNorRunIsNotReplayed) {
  Program tatara;
  for (const auto& [name, content] : {std::pair{"note.txt", "nothing"}, {"object.json", "{}"}}) {
    const std::string file = (tatara.folder() / name).string();
    WriteFile(file, content);
    ExpectRefused(tatara({"replay", file}), std::string(name) + ": neither a receipt nor a run");
  }
}

TEST(Refusals, AModelWithoutATokenizerTakesIdsAndNoText) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/qwen2.gguf");
  Program tatara;
  const auto store = weights::OpenTensorStore(gguf);
  ASSERT_TRUE(store.ok()) << store.error().text();
  const std::string folder = (tatara.folder() / "hf").string();
  ASSERT_TRUE(weights::ExportHuggingFace(**store, folder, {}).ok());
  const std::vector<std::string> tail = {"--tokens", "1,2,3", "--activations", "f32", "--json"};
  const auto logits = [&](const std::string& model) {
    std::vector<std::string> arguments = {"logits", model};
    arguments.insert(arguments.end(), tail.begin(), tail.end());
    const Outcome outcome = tatara(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.out;
  };
  EXPECT_EQ(logits(folder), logits(gguf.string()));
  EXPECT_EQ(tatara({"logits", folder, "--tokens", "1"}).status, 0);
  EXPECT_EQ(tatara({"bench", folder, "--prompt-tokens", "8", "--generate-tokens", "4", "--rounds",
                    "1", "--json"})
                .status,
            0);

  const std::string words = "there is no tokenizer (neither tokenizer.json nor";
  ExpectRefused(tatara({"run", folder, "--prompt", "a"}), words);
  ExpectRefused(tatara({"tokenize", folder}, "a"), words);
  TATARA_REQUIRE_MODEL(minilm, "minilm-l6");
  const std::string encoder = (tatara.folder() / "encoder").string();
  std::filesystem::copy(minilm, encoder, std::filesystem::copy_options::recursive);
  std::filesystem::remove(std::filesystem::path(encoder) / "tokenizer.json");
  const Outcome vector = tatara({"embed", encoder, "--tokens", "101,7592,102", "--json"});
  EXPECT_EQ(vector.out, tatara({"embed", minilm, "--tokens", "101,7592,102", "--json"}).out);
  EXPECT_EQ(vector.status, 0) << vector.err;
  ExpectRefused(tatara({"embed", encoder}, "a"), words);
  ExpectRefused(tatara({"rerank", encoder, "--query", "q"}, "a"), words);
}

TEST(Refusals, WhatIsNoNumberIsNoResult) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/qwen2.gguf");
  TATARA_REQUIRE_DATA(encoder, "golden/arch/bert.gguf");
  Program tatara;
  const auto decoder = WithNaN(gguf, "output_norm.weight", tatara.folder());
  ExpectRefused(tatara({"logits", decoder.string(), "--tokens", "1,2", "--json"}),
                "the model's logits hold NaN");
  const auto vectors = WithNaN(encoder, "token_embd_norm.weight", tatara.folder());
  ExpectRefused(tatara({"embed", vectors.string(), "--tokens", "1,2", "--json"}),
                "the model's outputs hold NaN");
}

TEST(Refusals, IdsPastTheEmbeddingAreFoundInEveryWindowOfAText) {
  TATARA_REQUIRE_MODEL(minilm, "minilm-l6");
  Program tatara;
  const auto folder = tatara.folder() / "long";
  std::filesystem::copy(minilm, folder, std::filesystem::copy_options::recursive);
  std::filesystem::remove(folder / "sentence_bert_config.json");  // windows instead of a cut
  auto tokenizer = nlohmann::json::parse(test::ReadFile(folder / "tokenizer.json"));
  tokenizer["added_tokens"].push_back({{"id", 30522},
                                       {"content", "zzz"},
                                       {"special", false},
                                       {"single_word", false},
                                       {"lstrip", false},
                                       {"rstrip", false},
                                       {"normalized", false}});
  WriteFile(folder / "tokenizer.json", tokenizer.dump());
  std::string text = "zzz";
  for (int i = 0; i < 700; ++i) text += " hello";
  ExpectRefused(tatara({"embed", folder.string(), "--json"}, text),
                "token id 30522 is outside the vocabulary");
  EXPECT_EQ(tatara({"embed", folder.string(), "--json"}, text.substr(3)).status, 0);
}

TEST(Refusals, ALineWithoutTokensIsNumberedFromTheFirstOfTheInput) {
  TATARA_REQUIRE_MODEL(minilm, "minilm-l6");
  Program tatara;
  const auto folder = tatara.folder() / "bare";
  std::filesystem::copy(minilm, folder, std::filesystem::copy_options::recursive);
  auto tokenizer = nlohmann::json::parse(test::ReadFile(folder / "tokenizer.json"));
  tokenizer["post_processor"] = nullptr;  // nothing stands around a text
  WriteFile(folder / "tokenizer.json", tokenizer.dump());
  std::string lines;
  for (int i = 0; i < 260; ++i) lines += "a\n";
  const Outcome outcome = tatara({"embed", folder.string(), "--json"}, lines + "\na\n");
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("text 261 gives no token"));
}

TEST(Refusals, AVocabularyAloneIsNoModel) {
  TATARA_REQUIRE_DATA(path, "tokenizer/ggml-vocab-gpt-2.gguf");
  Program tatara;
  ExpectRefused(tatara({"logits", path.string(), "--tokens", "1"}), "a vocabulary only");
  ExpectRefused(tatara({"run", path.string(), "--prompt", "a"}), "a vocabulary only");
  ExpectRefused(tatara({"embed", path.string()}, "a"), "a vocabulary only");
}

TEST(Refusals, AFolderIsTakenForAPathByItsNameAlone) {
  Program tatara;
  std::filesystem::create_directory(tatara.folder() / "mlm");
  WriteFile(tatara.folder() / "mlm" / "tokenizer.json", "{}");
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(tatara.folder());
  std::filesystem::create_directory("smollm2-135m");
  const Outcome named = tatara({"inspect", "mlm"});
  const Outcome of_catalogue = tatara({"inspect", "smollm2-135m"});
  std::filesystem::current_path(before);
  ExpectRefused(named, "mlm: a folder with neither config.json nor checkpoints");
  EXPECT_THAT(of_catalogue.err, HasSubstr("tatara pull smollm2-135m"));
}

TEST(Refusals, BrokenTextIsRemarkedOnOnce) {
  TATARA_REQUIRE_DATA(path, "tokenizer/ggml-vocab-gpt-2.gguf");
  Program tatara;
  const std::string remark = "the input is not valid UTF-8 throughout";
  const Outcome broken = tatara({"tokenize", path.string(), "--json"}, "a\xff\xfe");
  EXPECT_EQ(broken.status, 0);
  EXPECT_THAT(broken.err, HasSubstr(remark));
  EXPECT_THAT(tatara({"tokenize", path.string(), "--json"}, "あ").err, Not(HasSubstr(remark)));
  TATARA_REQUIRE_MODEL(e5, "e5-small");
  const Outcome lines = tatara({"embed", e5.string(), "--json"}, "\xff\n\xfe\n");
  EXPECT_EQ(lines.status, 0) << lines.err;
  const std::size_t first = lines.err.find(remark);
  EXPECT_NE(first, lines.err.npos);
  EXPECT_EQ(lines.err.find(remark, first + 1), lines.err.npos);
}

}  // namespace
}  // namespace tatara
