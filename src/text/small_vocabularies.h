// Small vocabularies as metadata, for tests and fuzz targets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tatara/base/metadata.h"
#include "tatara/base/utf8.h"
#include "tatara/text/byte_alphabet.h"

namespace tatara::text {

// A vocabulary in the making; add to it, then Build.
struct SmallVocabulary {
  std::vector<std::string> tokens;
  std::vector<std::int64_t> types;
  std::vector<double> scores;
  std::vector<std::string> merges;
  std::string model, pre;

  std::int32_t Add(std::string text, std::int64_t type = 1, double score = 0) {
    tokens.push_back(std::move(text));
    types.push_back(type);
    scores.push_back(score);
    return static_cast<std::int32_t>(tokens.size() - 1);
  }
  std::int32_t Find(std::string_view text) const {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] == text) return static_cast<std::int32_t>(i);
    }
    return -1;
  }
  // Both pieces and their union, where they are not there yet.
  void AddMerge(const std::string& left, const std::string& right) {
    for (const std::string& piece : {left, right, left + right}) {
      if (Find(piece) < 0) Add(piece);
    }
    merges.push_back(left + " " + right);
  }
  Metadata Build() const {
    Metadata metadata("small.gguf");
    metadata.Set("tokenizer.ggml.model", model);
    metadata.Set("tokenizer.ggml.tokens", tokens);
    metadata.Set("tokenizer.ggml.token_type", types);
    if (model == "gpt2") {
      metadata.Set("tokenizer.ggml.pre", pre);
      metadata.Set("tokenizer.ggml.merges", merges);
    } else {
      metadata.Set("tokenizer.ggml.scores", scores);
    }
    return metadata;
  }
};

inline std::string InAlphabet(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) AppendUtf8(out, CharacterOfByte(static_cast<unsigned char>(c)));
  return out;
}

// All 256 bytes, some merges of English and Japanese, control and user-defined tokens.
inline SmallVocabulary SmallByteLevel() {
  SmallVocabulary v;
  v.model = "gpt2";
  v.pre = "gpt-2";
  for (int b = 0; b < 256; ++b) v.Add(InAlphabet(std::string(1, static_cast<char>(b))));
  const std::pair<std::string_view, std::string_view> kMerges[] = {
      {" ", "t"},   {"h", "e"},   {" t", "he"},     {"i", "n"},           {"a", "a"},
      {"aa", "aa"}, {"e", "r"},   {"\xE3", "\x81"}, {"\xE3\x81", "\x82"}, {"\xE6", "\x97"},
      {" ", " "},   {"  ", "  "}, {"aa", "a"},      {"b", "a"},           {"ab", "ab"},
      {"a", "b"},   {"1", "2"},   {"\n", "\n"},     {"!", "!"},
  };
  for (const auto& [left, right] : kMerges) v.AddMerge(InAlphabet(left), InAlphabet(right));
  v.Add("<|end|>", 3);
  v.Add("<|endoftext|>", 3);
  v.Add("<tool>", 4);
  v.Add("<tool><x>", 4);
  return v;
}

// Control and byte tokens, then pieces with scores that fall with their place.
inline SmallVocabulary SmallSentencePiece() {
  SmallVocabulary v;
  v.model = "llama";
  v.Add("<unk>", 2);
  v.Add("<s>", 3);
  v.Add("</s>", 3);
  for (int b = 0; b < 256; ++b) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    v.Add({'<', '0', 'x', kHex[b >> 4], kHex[b & 15], '>'}, 6);
  }
  v.Add("\n\n", 4);
  v.Add("  ", 4);
  double score = 0;
  for (const char* piece :
       {"▁t", "he", "▁the", "in", "aa", "aaaa", "er", "ab", "ba", "▁a", "日本", "本語", "日本語",
        "。", "a",  "b",    "e",  "h",  "i",    "n",  "r",  "t",  "▁",  "日",   "本",   "語"}) {
    v.Add(piece, 1, score -= 1);
  }
  return v;
}

}  // namespace tatara::text
