#include "huggingface_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "vocabulary_for_test.h"

namespace tatara::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;
using nlohmann::json;

json SmallWordPiece() {
  return json::parse(R"({
    "added_tokens": [
      {"id": 0, "content": "[UNK]", "special": true, "normalized": false},
      {"id": 1, "content": "[CLS]", "special": true, "normalized": false},
      {"id": 2, "content": "[SEP]", "special": true, "normalized": false},
      {"id": 9, "content": "New Word", "special": false, "normalized": true, "single_word": true}],
    "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                   "strip_accents": null, "lowercase": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                 {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
      "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
               {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
      "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                         "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}},
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 100,
              "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "cafe": 3, "##s": 4, ",": 5, "new": 6,
                        "word": 7, "漢": 8}}})");
}

Metadata Of(const std::string& text) {
  Metadata metadata("folder");
  metadata.Set(std::string(kHuggingFaceKey), text);
  return metadata;
}

std::string Refusal(const std::string& text) {
  const auto made = Tokenizer::FromMetadata(Of(text));
  EXPECT_FALSE(made.ok());
  return made.ok() ? "" : made.error().text();
}

TEST(HuggingFaceTokenizer, ReadsWordPieceWithItsSurroundings) {
  const auto tokenizer = MustMake(Of(SmallWordPiece().dump()));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->Encode("Cafés, 漢zzz", {.add_end = true}), (Ids{1, 3, 4, 5, 8, 0, 2}));
  EXPECT_EQ(tokenizer->Encode("NEW WORD new words", {.add_start = false}), (Ids{9, 6, 7, 4}));
  EXPECT_EQ(tokenizer->Encode("[CLS] new", {.add_start = false, .parse_special = true}),
            (Ids{1, 6}));
  EXPECT_EQ(tokenizer->Encode("[CLS]", {.add_start = false}), (Ids{0, 0, 0}));
  const PairIds pair = tokenizer->EncodePair("new", "word");
  EXPECT_EQ(pair.ids, (Ids{1, 6, 2, 7, 2}));
  EXPECT_EQ(pair.segments, (Ids{0, 0, 0, 1, 1}));
  EXPECT_EQ(tokenizer->Decode(Ids{3, 4, 5, 6, 7}), "cafes, new word");
}

TEST(HuggingFaceTokenizer, GuardedTextMakesNoSpecialToken) {
  const auto tokenizer = MustMake(Of(SmallWordPiece().dump()));
  ASSERT_NE(tokenizer, nullptr);
  const std::string prompt = "[CLS]" + tokenizer->Guard("new [SEP] word") + "[SEP]";
  const Ids ids =
      tokenizer->Encode(prompt, {.add_start = false, .parse_special = true, .guarded = true});
  EXPECT_EQ(ids.front(), 1);
  EXPECT_EQ(ids.back(), 2);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 1);
}

TEST(HuggingFaceTokenizer, RefusesByPlaceWhatItDoesNotKnow) {
  const auto with = [](const char* pointer, const json& value) {
    json document = SmallWordPiece();
    document[json::json_pointer(pointer)] = value;
    return Refusal(document.dump());
  };
  EXPECT_THAT(with("/normalizer/type", "Rot13"), HasSubstr("normalizer"));
  EXPECT_THAT(with("/normalizer/type", "Rot13"), HasSubstr("'Rot13'"));
  EXPECT_THAT(with("/normalizer/lowercase", 3), HasSubstr("normalizer.lowercase"));
  EXPECT_THAT(with("/pre_tokenizer/type", "UnicodeScripts"), HasSubstr("'UnicodeScripts'"));
  EXPECT_THAT(
      with("/pre_tokenizer",
           json{{"type", "Split"}, {"pattern", {{"Regex", "(a)\\1"}}}, {"behavior", "Isolated"}}),
      HasSubstr("back reference"));
  EXPECT_THAT(
      with("/pre_tokenizer",
           json{{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Sideways"}}),
      HasSubstr("Sideways"));
  EXPECT_THAT(with("/pre_tokenizer", json{{"type", "ByteLevel"}}), HasSubstr("BPE"));
  EXPECT_THAT(with("/decoder/type", "CTC"), HasSubstr("'CTC'"));
  EXPECT_THAT(with("/post_processor/single/0/SpecialToken/id", "[NO]"), HasSubstr("[NO]"));
  EXPECT_THAT(with("/post_processor/special_tokens/[CLS]/ids/0", 77), HasSubstr("id"));
  EXPECT_THAT(with("/model/type", "Markov"), HasSubstr("'Markov'"));
  EXPECT_THAT(with("/model/vocab/new", -1), HasSubstr("'new'"));
  EXPECT_THAT(with("/model/vocab/new", 7), HasSubstr("same id"));
  EXPECT_THAT(with("/model/vocab/new", 1e300), HasSubstr("'new'"));
  EXPECT_THAT(with("/model/vocab", json::array()), HasSubstr("model.vocab"));
  EXPECT_THAT(with("/model/max_input_chars_per_word", 1 << 30), HasSubstr("limit"));
  EXPECT_THAT(with("/added_tokens/3/id", 1 << 21), HasSubstr("added_tokens[3]"));
  EXPECT_THAT(with("/added_tokens/3/content", "new"), HasSubstr("disagrees"));
  EXPECT_THAT(with("/added_tokens/3/content", ""), HasSubstr("added_tokens[3]"));
}

TEST(HuggingFaceTokenizer, RefusesWhatIsNoTokenizerJson) {
  for (const char* text : {"", "{", "[]", "null", "3", "{}", "{\"model\": 3}", "{\"model\": {}}",
                           "{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}",
                           "{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\"]]}}",
                           "{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 0]], "
                           "\"unk_id\": 5}}",
                           "\xFF\xFE",
                           "{\"added_tokens\": {\"a\": 1}, \"model\": {\"vocab\": "
                           "{\"a\": 0}, \"merges\": []}}"}) {
    EXPECT_THAT(Refusal(text), HasSubstr("folder")) << text;
  }
  EXPECT_THAT(Refusal(std::string(100000, '[')), HasSubstr("nests"));
}

json SmallBpe() {
  return json::parse(R"({"model": {"type": "BPE", "dropout": null, "unk_token": null,
    "vocab": {"a": 0, "b": 1, "ab": 2, "abab": 3}, "merges": ["a b", ["ab", "ab"]]}})");
}

#ifndef __SANITIZE_ADDRESS__
// In a process of its own, which has little more memory than it holds already.
int ExitOfReadingWithin(rlim_t mib, const Metadata& metadata) {
  std::size_t n_pages = 0;
  std::ifstream("/proc/self/statm") >> n_pages;
  const rlim_t bytes = n_pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (mib << 20);
  const rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};
  if (n_pages == 0 || setrlimit(RLIMIT_AS, &limit) != 0) return 9;
  const auto made = MakeHuggingFaceTokenizer(metadata);
  if (made.ok() || made.error().kind() != ErrorKind::kUnavailable) return 1;
  return made.error().text().find("not enough memory") == std::string::npos ? 2 : 0;
}

TEST(HuggingFaceTokenizer, WantOfMemoryIsNoFaultOfTheFile) {
  Metadata metadata("m");
  metadata.Set("tokenizer.huggingface.json", "{\"x\":\"" + std::string(24 << 20, 'x') + "\"}");
  // A fresh process: what other tests have freed would be room.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // Too little for the text itself, then for what the parser holds beside it.
  EXPECT_EXIT(std::exit(ExitOfReadingWithin(16, metadata)), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(std::exit(ExitOfReadingWithin(40, metadata)), testing::ExitedWithCode(0), "");
}
#endif

TEST(HuggingFaceTokenizer, BpeMergesAreCheckedOneByOne) {
  const auto with = [](const char* pointer, const json& value) {
    json document = SmallBpe();
    document[json::json_pointer(pointer)] = value;
    return Refusal(document.dump());
  };
  const auto tokenizer = MustMake(Of(SmallBpe().dump()));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->Encode("ababab", {}), (Ids{3, 2}));
  EXPECT_THAT(with("/model/dropout", 0.1), HasSubstr("dropout"));
  EXPECT_THAT(with("/model/merges/0", "a b c"), HasSubstr("model.merges[0]"));
  EXPECT_THAT(with("/model/merges/0", 3), HasSubstr("model.merges[0]"));
  EXPECT_THAT(with("/model/merges/0", "b a"), HasSubstr("'ba'"));
  EXPECT_THAT(with("/model/merges/1", "a b"), HasSubstr("was there before"));
  EXPECT_THAT(with("/model/merges/1", json::array({"", "a"})), HasSubstr("not empty"));
}

TEST(HuggingFaceTokenizer, EveryCutFileIsRefusedOrRead) {
  const std::string text = SmallWordPiece().dump();
  for (std::size_t length = 0; length < text.size(); length += 7) {
    EXPECT_FALSE(Tokenizer::FromMetadata(Of(text.substr(0, length))).ok());
  }
  RandomForTest random(21);
  for (int i = 0; i < 400; ++i) {
    std::string broken = text;
    for (int n = 0; n < 3; ++n) {
      broken[random.Below(static_cast<std::uint32_t>(broken.size()))] =
          static_cast<char>(random.Below(256));
    }
    const auto made = Tokenizer::FromMetadata(Of(broken));
    if (made.ok()) (void)(*made)->Encode("new words [CLS] caf\xC3\xA9", {.parse_special = true});
  }
}

// Ids of the Python package tokenizers 0.23.3.
TEST(HuggingFaceTokenizer, AddedTokensEatWhiteSpaceAsTheySay) {
  json document = SmallBpe();
  document["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "_"}};
  document["model"]["vocab"]["_"] = 4;
  document["added_tokens"] = json::parse(R"([
    {"id": 5, "content": "<l>", "lstrip": true, "special": false, "normalized": false},
    {"id": 6, "content": "<r>", "rstrip": true, "special": false, "normalized": false},
    {"id": 7, "content": "w", "single_word": true, "special": false, "normalized": false}])");
  const auto tokenizer = MustMake(Of(document.dump()));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->Encode("a  <l> b", {}), (Ids{4, 0, 5, 4, 1}));
  EXPECT_EQ(tokenizer->Encode("a <r>  b", {}), (Ids{4, 0, 4, 6, 4, 1}));
  EXPECT_EQ(tokenizer->Encode("w aw w", {}), (Ids{7, 4, 0, 4, 7}));
}

}  // namespace
}  // namespace tatara::text
