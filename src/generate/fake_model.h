// For tests: a model whose logits are pseudo-random numbers of everything before them, read back
// from the cache pages, so that a wrong page, slot or position gives other logits; it keeps the
// same as a recurrent state, which must agree; and a tokenizer to match.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
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
  explicit FakeModel(std::int64_t n_ctx, int page_tokens = 64) {
    info_.architecture = "fake";
    info_.n_layers = 1;
    info_.n_vocab = kFakeVocabulary;
    info_.n_ctx = n_ctx;
    info_.cache = {{.n_kv_heads = 1, .head_dim = 1, .value_dim = 1}, {.n_state = kStateFloats}};
    info_.page_tokens = page_tokens;
    activations_ = numerics::Activations::kF32;
  }

  // The key of a position is its token, the value its position; both exact in f32.
  void Forward(std::span<const model::SequenceSlice> slices, model::KvPool& kv, ThreadPool&,
               std::span<float> logits) override {
    ++n_forwards;
    slices_most = std::max(slices_most, static_cast<int>(slices.size()));
    const std::int64_t page_tokens = info_.page_tokens;
    ASSERT_EQ(kv.page_tokens(), page_tokens);
    std::set<int> written;
    float* row = logits.data();
    for (const model::SequenceSlice& slice : slices) {
      tokens_most = std::max(tokens_most, static_cast<int>(slice.tokens.size()));
      const std::int64_t end = slice.position + static_cast<std::int64_t>(slice.tokens.size());
      ASSERT_GE(static_cast<std::int64_t>(slice.pages.size()) * page_tokens, end);
      const std::set<int> distinct(slice.pages.begin(), slice.pages.end());
      ASSERT_EQ(distinct.size(), slice.pages.size()) << "a page serves two places of one sequence";
      for (std::int64_t p = slice.position / page_tokens; p <= (end - 1) / page_tokens; ++p) {
        ASSERT_TRUE(written.insert(slice.pages[static_cast<std::size_t>(p)]).second)
            << "two slices write one page";
      }
      std::uint64_t state = 0;
      if (slice.position > 0) {  // the end of the page before, or this page's own
        const int from = slice.pages[static_cast<std::size_t>((slice.position - 1) / page_tokens)];
        ASSERT_EQ(kv.state_end(from), slice.position) << "a state of another place";
        std::copy_n(reinterpret_cast<const std::byte*>(kv.State(from, 1)), sizeof state,
                    reinterpret_cast<std::byte*>(&state));
      }
      for (std::int64_t p = slice.position; p < end; ++p) {
        const int page = slice.pages[static_cast<std::size_t>(p / page_tokens)];
        const std::int32_t token = slice.tokens[static_cast<std::size_t>(p - slice.position)];
        *Slot(kv, page, p, true) = static_cast<float>(token);
        *Slot(kv, page, p, false) = static_cast<float>(p);
        state = HashToken(state, token);
        std::copy_n(reinterpret_cast<const std::byte*>(&state), sizeof state,
                    reinterpret_cast<std::byte*>(kv.State(page, 1)));
        kv.set_state_end(page, p + 1);
      }
      std::uint64_t hash = 0;
      std::size_t next_row = 0;
      for (std::int64_t p = 0; p < end; ++p) {
        const int page = slice.pages[static_cast<std::size_t>(p / page_tokens)];
        ASSERT_EQ(*Slot(kv, page, p, false), static_cast<float>(p)) << "page of another place";
        hash = HashToken(hash, static_cast<std::int32_t>(*Slot(kv, page, p, true)));
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
      ASSERT_EQ(state, hash) << "the state is not that of the tokens in the pages";
    }
    ASSERT_EQ(row, logits.data() + logits.size());
    if (after_pass) {
      std::int64_t n_tokens = 0;
      for (const model::SequenceSlice& slice : slices) {
        n_tokens += static_cast<std::int64_t>(slice.tokens.size());
      }
      after_pass(n_tokens);
    }
  }

  int n_forwards = 0;
  int slices_most = 0;
  int tokens_most = 0;
  std::function<void(std::int64_t n_tokens)> after_pass;
  std::int64_t broken_after = -1;  // logits of positions from here on hold a NaN

 private:
  static constexpr std::int64_t kStateFloats = 2;  // a digest of 64 bits
  static float* Slot(model::KvPool& kv, int page, std::int64_t position, bool key) {
    const auto tile = static_cast<int>(position % kv.page_tokens() / 64);
    std::byte* start = key ? kv.KeyPage(page, 0, tile) : kv.ValuePage(page, 0, tile);
    return reinterpret_cast<float*>(start) + position % 64;
  }
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

inline FakeEngine MakeFakeEngine(const EngineOptions& options, std::int64_t n_ctx = 4096,
                                 int page_tokens = 64) {
  EngineParts parts;
  auto fake = std::make_unique<FakeModel>(n_ctx, page_tokens);
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
