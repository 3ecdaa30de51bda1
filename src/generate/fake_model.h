// For tests: a model whose logits are pseudo-random numbers of everything before them, read back
// from the cache pages, so that a wrong page, slot or position gives other logits; and a tokenizer
// to match.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "batch_engine.h"
#include "tatara/base/philox.h"

namespace tatara::generate::test {

inline constexpr int kFakeVocabulary = 40;
inline constexpr std::int32_t kFakeEnd = 0;
inline constexpr std::int32_t kFakeSpecial = 39;

// Digest of a history, one token more at a time.
inline std::uint64_t HashToken(std::uint64_t hash, std::int32_t token) {
  const auto words = RandomWords({.seed = hash,
                                  .purpose = RandomPurpose::kTest,
                                  .choice = static_cast<std::uint32_t>(token),
                                  .position = 1});
  return (std::uint64_t{words[0]} << 32) | words[1];
}

// Values in [-4, 4), coarse, so that ties occur.
inline void FakeLogits(std::uint64_t hash, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto words = RandomWords({.seed = hash, .purpose = RandomPurpose::kTest, .position = i});
    out[i] = static_cast<float>(static_cast<int>(words[2] % 256) - 128) / 32.0f;
  }
}

inline std::vector<float> FakeLogitsAfter(std::span<const std::int32_t> tokens) {
  std::uint64_t hash = 0;
  for (const std::int32_t token : tokens) hash = HashToken(hash, token);
  std::vector<float> logits(kFakeVocabulary);
  FakeLogits(hash, logits);
  return logits;
}

class FakeModel final : public model::Model {
 public:
  explicit FakeModel(std::int64_t n_ctx) {
    info_.architecture = "fake";
    info_.n_layers = 1;
    info_.n_vocab = kFakeVocabulary;
    info_.n_ctx = n_ctx;
    info_.cache = {{.n_kv_heads = 1, .head_dim = 1, .value_dim = 1}};
    activations_ = numerics::Activations::kF32;
  }

  // The key of a position is its token, the value its position; both exact in f32.
  void Forward(std::span<const model::SequenceSlice> slices, model::KvPool& kv, ThreadPool&,
               std::span<float> logits) override {
    ++n_forwards;
    slices_most = std::max(slices_most, static_cast<int>(slices.size()));
    std::set<int> written;
    float* row = logits.data();
    for (const model::SequenceSlice& slice : slices) {
      tokens_most = std::max(tokens_most, static_cast<int>(slice.tokens.size()));
      const std::int64_t end = slice.position + static_cast<std::int64_t>(slice.tokens.size());
      ASSERT_GE(static_cast<std::int64_t>(slice.pages.size()) * 64, end);
      const std::set<int> distinct(slice.pages.begin(), slice.pages.end());
      ASSERT_EQ(distinct.size(), slice.pages.size()) << "a page serves two places of one sequence";
      for (std::int64_t p = slice.position / 64; p <= (end - 1) / 64; ++p) {
        ASSERT_TRUE(written.insert(slice.pages[static_cast<std::size_t>(p)]).second)
            << "two slices write one page";
      }
      for (std::int64_t p = slice.position; p < end; ++p) {
        const int page = slice.pages[static_cast<std::size_t>(p / 64)];
        Floats(kv.KeyPage(page, 0))[p % 64] =
            static_cast<float>(slice.tokens[static_cast<std::size_t>(p - slice.position)]);
        Floats(kv.ValuePage(page, 0))[p % 64] = static_cast<float>(p);
      }
      std::uint64_t hash = 0;
      std::size_t next_row = 0;
      for (std::int64_t p = 0; p < end; ++p) {
        const int page = slice.pages[static_cast<std::size_t>(p / 64)];
        ASSERT_EQ(Floats(kv.ValuePage(page, 0))[p % 64], static_cast<float>(p))
            << "page of another place";
        hash = HashToken(hash, static_cast<std::int32_t>(Floats(kv.KeyPage(page, 0))[p % 64]));
        if (next_row < slice.logit_rows.size() &&
            slice.logit_rows[next_row] == p - slice.position) {
          FakeLogits(hash, {row, kFakeVocabulary});
          if (broken_after >= 0 && p >= broken_after)
            row[3] = std::numeric_limits<float>::quiet_NaN();
          row += kFakeVocabulary;
          ++next_row;
        }
      }
      ASSERT_EQ(next_row, slice.logit_rows.size());
    }
    ASSERT_EQ(row, logits.data() + logits.size());
  }

  int n_forwards = 0;
  int slices_most = 0;
  int tokens_most = 0;
  std::int64_t broken_after = -1;  // logits of positions from here on hold a NaN

 private:
  static float* Floats(std::byte* page) { return reinterpret_cast<float*>(page); }
};

// Ids 1..30: letters and pieces of letters; 31..36: bytes of あ (E3 81 82) and é (C3 A9); 39: a
// control token; 0: the end.
class FakeTokenizer final : public text::Tokenizer {
 public:
  std::vector<std::int32_t> Encode(std::string_view text,
                                   const text::EncodeOptions&) const override {
    std::vector<std::int32_t> ids;
    for (const char c : text) ids.push_back(1 + (static_cast<unsigned char>(c) % 26));
    return ids;
  }
  std::string TokenBytes(std::int32_t id, bool show_special) const override {
    static const std::map<std::int32_t, std::string> kPieces = {
        {27, "the "}, {28, "ab"},   {29, "ba"},   {30, "aab"},          {31, "\xE3"}, {32, "\x81"},
        {33, "\x82"}, {34, "\xC3"}, {35, "\xA9"}, {36, "\xE3\x81\x82"}, {37, " "},    {38, "\n"}};
    if (id == kFakeEnd || id == kFakeSpecial) return show_special ? "<>" : "";
    if (const auto it = kPieces.find(id); it != kPieces.end()) return it->second;
    if (id < 1 || id > 26) return "";
    return std::string(1, static_cast<char>('a' + (id - 1) % 4));
  }
  std::string Decode(std::span<const std::int32_t> ids, bool show_special) const override {
    std::string out;
    for (const std::int32_t id : ids) out += TokenBytes(id, show_special);
    return out;
  }
  std::int32_t vocabulary_size() const override { return kFakeVocabulary; }
  bool IsControl(std::int32_t id) const override { return id == kFakeEnd || id == kFakeSpecial; }
  bool EndsGeneration(std::int32_t id) const override { return id == kFakeEnd; }
  std::int32_t start_id() const override { return -1; }
  std::int32_t end_id() const override { return kFakeEnd; }
  std::string TokenText(std::int32_t id) const override { return TokenBytes(id, true); }
};

struct FakeEngine {
  FakeModel* model;
  std::unique_ptr<BatchEngine> engine;
};

inline FakeEngine MakeFakeEngine(const EngineOptions& options, std::int64_t n_ctx = 4096) {
  EngineParts parts;
  auto fake = std::make_unique<FakeModel>(n_ctx);
  FakeModel* model = fake.get();
  parts.model = std::move(fake);
  parts.format = PromptFormat::FromParts("fake.gguf", std::make_unique<FakeTokenizer>(), "");
  parts.pool = std::make_unique<ThreadPool>(options.n_threads == 0 ? 2 : options.n_threads);
  parts.path = "fake.gguf";
  auto engine = BatchEngine::Make(std::move(parts), options);
  EXPECT_TRUE(engine.ok()) << engine.error().text();
  return {model, std::move(engine).value()};
}

// Pseudo-random ids without the end token.
inline std::vector<std::int32_t> FakePrompt(std::uint64_t seed, std::size_t n) {
  std::vector<std::int32_t> ids(n);
  for (std::size_t i = 0; i < n; ++i) {
    ids[i] =
        1 +
        static_cast<std::int32_t>(
            RandomWords(
                {.seed = seed, .purpose = RandomPurpose::kTest, .choice = 9, .position = i})[0] %
            (kFakeVocabulary - 1));
  }
  return ids;
}

}  // namespace tatara::generate::test
