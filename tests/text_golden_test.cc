// Token ids of real vocabularies against golden files that an independent implementation made.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tatara/text/tokenizer.h"
#include "tatara/weights/tensor_store.h"
#include "test_support.h"

namespace tatara {
namespace {

std::unique_ptr<text::Tokenizer> Open(const std::filesystem::path& path) {
  auto store = weights::OpenTensorStore(path);
  if (!store.ok()) {
    ADD_FAILURE() << store.error().text();
    return nullptr;
  }
  auto tokenizer = text::Tokenizer::FromMetadata((*store)->metadata());
  if (!tokenizer.ok()) {
    ADD_FAILURE() << tokenizer.error().text();
    return nullptr;
  }
  return std::move(tokenizer).value();
}

std::string Streamed(const text::Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  text::StreamDecoder decoder(tokenizer);
  std::string out;
  for (const std::int32_t id : ids) out += decoder.Push(id);
  return out + decoder.Flush();
}

void ExpectGoldenIds(const std::filesystem::path& model, const std::filesystem::path& golden) {
  const auto tokenizer = Open(model);
  ASSERT_NE(tokenizer, nullptr);
  const auto file = nlohmann::json::parse(test::ReadFile(golden));
  std::size_t n_cases = 0;
  for (const auto& test_case : file["cases"]) {
    const auto name = test_case["name"].get<std::string>();
    const auto text = test_case["text"].get<std::string>();
    const auto expected = test_case["token_ids"].get<std::vector<std::int32_t>>();
    const bool chat = name.starts_with("chat_");
    const auto ids = tokenizer->Encode(text, {.parse_special = chat});
    EXPECT_EQ(ids, expected) << name;
    EXPECT_EQ(tokenizer->Decode(ids, chat), text) << name;
    if (!chat) {
      EXPECT_EQ(Streamed(*tokenizer, ids), text) << name;
    }
    ++n_cases;
  }
  EXPECT_GE(n_cases, 6u);
}

TEST(TextGolden, SmolLm2IdsEqualTheReference) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  TATARA_REQUIRE_DATA(golden, "golden/SmolLM2-135M-Instruct.Q4_1.json");
  ExpectGoldenIds(model, golden);
}

TEST(TextGolden, QwenCoderIdsEqualTheReference) {
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-0.5b");
  TATARA_REQUIRE_DATA(golden, "golden/qwen2.5-coder-0.5b-instruct-q4_k_m.json");
  ExpectGoldenIds(model, golden);
}

TEST(TextGolden, Gemma3IdsEqualTheReference) {
  TATARA_REQUIRE_MODEL(model, "gemma3-270m");
  TATARA_REQUIRE_DATA(golden, "golden/gemma-3-270m-q4_k_m.json");
  ExpectGoldenIds(model, golden);
}

// llama.cpp's vocabulary vectors: texts between "\n__ggml_vocab_test__\n", one line of ids for
// each.
void ExpectVocabularyVectors(const std::filesystem::path& vocabulary, bool keeps_text = true) {
  const auto tokenizer = Open(vocabulary);
  ASSERT_NE(tokenizer, nullptr);
  const std::string texts = test::ReadFile(vocabulary.string() + ".inp");
  std::istringstream lines(test::ReadFile(vocabulary.string() + ".out"));
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::size_t n_texts = 0;
  for (std::size_t at = 0; at < texts.size(); ++n_texts) {
    const std::size_t end = texts.find(separator, at);
    if (end == std::string::npos) break;
    const std::string text = texts.substr(at, end - at);
    at = end + separator.size();
    std::string line;
    ASSERT_TRUE(std::getline(lines, line)) << "fewer lines than texts";
    std::istringstream numbers(line);
    std::vector<std::int32_t> expected;
    for (std::int32_t id; numbers >> id;) expected.push_back(id);
    EXPECT_EQ(tokenizer->Encode(text, {.add_start = false}), expected) << '"' << text << '"';
    if (keeps_text) {
      EXPECT_EQ(tokenizer->Decode(expected), text);
    }
  }
  EXPECT_EQ(n_texts, 46u);
}

TEST(TextGolden, Gpt2VocabularyEqualsItsVectors) {
  TATARA_REQUIRE_DATA(vocabulary, "tokenizer/ggml-vocab-gpt-2.gguf");
  ExpectVocabularyVectors(vocabulary);
}

TEST(TextGolden, LlamaVocabularyEqualsItsVectors) {
  TATARA_REQUIRE_DATA(vocabulary, "tokenizer/ggml-vocab-llama-spm.gguf");
  ExpectVocabularyVectors(vocabulary);
}

TEST(TextGolden, Phi3VocabularyEqualsItsVectors) {
  TATARA_REQUIRE_DATA(vocabulary, "tokenizer/ggml-vocab-phi-3.gguf");
  ExpectVocabularyVectors(vocabulary);
}

TEST(TextGolden, DeepSeekVocabulariesEqualTheirVectors) {
  TATARA_REQUIRE_DATA(llm, "tokenizer/ggml-vocab-deepseek-llm.gguf");
  ExpectVocabularyVectors(llm);
  TATARA_REQUIRE_DATA(coder, "tokenizer/ggml-vocab-deepseek-coder.gguf");
  ExpectVocabularyVectors(coder);
}

TEST(TextGolden, BertVocabularyEqualsItsVectors) {
  TATARA_REQUIRE_DATA(vocabulary, "tokenizer/ggml-vocab-bert-bge.gguf");
  ExpectVocabularyVectors(vocabulary, /*keeps_text=*/false);
}

// The ids of a model that embeds, with what stands around a text.
void ExpectEmbeddingIds(const text::Tokenizer& tokenizer, const std::filesystem::path& golden,
                        std::string_view key, bool with_prefix) {
  const auto file = nlohmann::json::parse(test::ReadFile(golden));
  std::size_t n_texts = 0;
  for (const auto& entry : file["texts"]) {
    const std::string name = entry["name"].get<std::string>();
    const bool special = !with_prefix || name == "literal-special-tokens";
    const auto& source =
        key == "composed" && entry.contains("composed") ? entry["composed"] : entry;
    const std::string prefix =
        with_prefix ? entry["kind"].get<std::string>() + ": " : std::string();
    auto ids = tokenizer.Encode(prefix + entry["text"].get<std::string>(),
                                {.add_end = true, .parse_special = special});
    // The reference cuts to the length that the model was tuned for, what ends a text included.
    if (const std::size_t n = source["token_ids"].size(); !with_prefix && ids.size() > n) {
      EXPECT_EQ(n, 256u);
      ids.erase(ids.begin() + 255, ids.end() - 1);
    }
    EXPECT_EQ(ids, source["token_ids"].get<std::vector<std::int32_t>>()) << name;
    ++n_texts;
  }
  EXPECT_EQ(n_texts, 15u);
}

TEST(TextGolden, MiniLmIdsEqualItsTokenizerJson) {
  TATARA_REQUIRE_MODEL(model, "minilm-l6");
  TATARA_REQUIRE_DATA(golden, "golden/minilm-l6.json");
  Metadata metadata("minilm");
  metadata.Set("tokenizer.huggingface.json",
               test::ReadFile(std::filesystem::path(model) / "tokenizer.json"));
  metadata.Set("tokenizer.huggingface.config",
               test::ReadFile(std::filesystem::path(model) / "tokenizer_config.json"));
  const auto tokenizer = text::Tokenizer::FromMetadata(metadata);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().text();
  ExpectEmbeddingIds(**tokenizer, golden, "token_ids", /*with_prefix=*/false);
}

TEST(TextGolden, E5IdsEqualTheReferenceComposedAndPlain) {
  TATARA_REQUIRE_MODEL(model, "e5-small");
  TATARA_REQUIRE_DATA(golden, "golden/e5-small.json");
  const auto store = weights::OpenTensorStore(model);
  ASSERT_TRUE(store.ok()) << store.error().text();
  Metadata metadata = (*store)->metadata();
  for (const bool composed : {true, false}) {
    metadata.Set("tokenizer.e5.composed", composed);
    const auto tokenizer = text::Tokenizer::FromMetadata(metadata);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().text();
    ExpectEmbeddingIds(**tokenizer, golden, composed ? "composed" : "token_ids",
                       /*with_prefix=*/true);
  }
}

TEST(TextGolden, AnswersEndWhereTheModelsEndThem) {
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-0.5b");
  const auto tokenizer = Open(model);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_TRUE(tokenizer->EndsGeneration(151645));   // <|im_end|>
  EXPECT_TRUE(tokenizer->EndsGeneration(151643));   // <|endoftext|>
  EXPECT_FALSE(tokenizer->EndsGeneration(151644));  // <|im_start|>
  EXPECT_TRUE(tokenizer->IsControl(151644));
  EXPECT_FALSE(tokenizer->IsControl(151657));  // <tool_call>, user-defined
}

TEST(TextGolden, UserTextMakesNoControlToken) {
  for (const char* name : {"smollm2-135m", "qwen2.5-coder-0.5b", "gemma3-270m"}) {
    TATARA_REQUIRE_MODEL(model, name);
    const auto tokenizer = Open(model);
    ASSERT_NE(tokenizer, nullptr);
    std::string all;
    for (std::int32_t id = 0; id < tokenizer->vocabulary_size(); ++id) {
      if (tokenizer->IsControl(id)) all += tokenizer->TokenText(id) + "x";
    }
    for (const std::int32_t id : tokenizer->Encode(all, {.add_start = false})) {
      ASSERT_FALSE(tokenizer->IsControl(id)) << tokenizer->TokenText(id);
    }
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(all, {.add_start = false})), all);
  }
}

}  // namespace
}  // namespace tatara
