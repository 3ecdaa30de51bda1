// Attention: kernels of every instruction set against the oracle, the whole against a
// straightforward f64 form, masks by themselves, and one digest whatever the chunking, batch,
// threads and instruction set.
#include "tatara/numerics/attention.h"

#include <algorithm>
#include <cmath>

#include "kernel_test_support.h"
#include "tatara/numerics/digest.h"
#include "tatara/numerics/dtype.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace tatara::numerics {
namespace {

using test::Inputs;
using test::TestValues;

// A sequence with its queries, keys and values, and a cache whose unwritten slots hold NaN.
class Sequence {
 public:
  Sequence(const AttentionShape& shape, int n_tokens, std::uint64_t seed)
      : shape_(shape),
        n_tokens_(n_tokens),
        queries_(
            TestValues(static_cast<std::size_t>(n_tokens) * shape.n_heads * shape.head_dim, seed)),
        keys_(TestValues(static_cast<std::size_t>(n_tokens) * shape.n_kv_heads * shape.head_dim,
                         seed + 1)),
        values_(TestValues(static_cast<std::size_t>(n_tokens) * shape.n_kv_heads * shape.value_dim,
                           seed + 2)),
        out_(static_cast<std::size_t>(n_tokens) * shape.n_heads * shape.value_dim, -1.0F) {
    const std::size_t n_pages = (n_tokens + kPageTokens - 1) / kPageTokens;
    const std::size_t page_values = shape.n_kv_heads * kPageTokens * CacheElementBytes(shape.cache);
    for (std::size_t i = 0; i < n_pages; ++i) {
      k_pages_.emplace_back(page_values * shape.head_dim, std::byte{0xff});
      v_pages_.emplace_back(page_values * shape.value_dim, std::byte{0xff});
    }
    for (auto& page : k_pages_) k_pointers_.push_back(page.data());
    for (auto& page : v_pages_) v_pointers_.push_back(page.data());
  }

  // Stores the keys and values of the next tokens and describes their queries.
  AttentionSequence Next(int n) {
    n = std::min(n, n_tokens_ - done_);
    for (int t = done_; t < done_ + n; ++t) {
      StoreKeyValue(shape_, key(t), value(t), t % kPageTokens, k_pages_[t / kPageTokens].data(),
                    v_pages_[t / kPageTokens].data());
    }
    const AttentionSequence sequence{
        .queries =
            queries_.data() + static_cast<std::ptrdiff_t>(done_) * shape_.n_heads * shape_.head_dim,
        .query_stride = static_cast<std::int64_t>(shape_.n_heads) * shape_.head_dim,
        .out = out_.data() + static_cast<std::ptrdiff_t>(done_) * shape_.n_heads * shape_.value_dim,
        .out_stride = static_cast<std::int64_t>(shape_.n_heads) * shape_.value_dim,
        .position = done_,
        .n_tokens = n,
        .k_pages = k_pointers_,
        .v_pages = v_pointers_};
    done_ += n;
    return sequence;
  }

  bool finished() const { return done_ == n_tokens_; }
  int n_tokens() const { return n_tokens_; }
  const std::vector<float>& out() const { return out_; }
  float* query(int t, int head) {
    return queries_.data() +
           (static_cast<std::ptrdiff_t>(t) * shape_.n_heads + head) * shape_.head_dim;
  }
  float* key(int t) {
    return keys_.data() + static_cast<std::ptrdiff_t>(t) * shape_.n_kv_heads * shape_.head_dim;
  }
  float* value(int t) {
    return values_.data() + static_cast<std::ptrdiff_t>(t) * shape_.n_kv_heads * shape_.value_dim;
  }
  const float* out_of(int t, int head) const {
    return out_.data() +
           (static_cast<std::ptrdiff_t>(t) * shape_.n_heads + head) * shape_.value_dim;
  }

 private:
  AttentionShape shape_;
  int n_tokens_, done_ = 0;
  std::vector<float> queries_, keys_, values_, out_;
  std::vector<std::vector<std::byte>> k_pages_, v_pages_;
  std::vector<const std::byte*> k_pointers_, v_pointers_;
};

struct Run {
  int chunk = 1 << 20;
  int threads = 1;
};

void RunAttention(const AttentionShape& shape, std::vector<Sequence*> sequences, Run run) {
  if (shape.bidirectional) run.chunk = 1 << 20;  // a sequence is one call
  ThreadPool pool(run.threads);
  AttentionScratch scratch;
  for (;;) {
    std::vector<AttentionSequence> batch;
    for (Sequence* sequence : sequences) {
      if (!sequence->finished()) batch.push_back(sequence->Next(run.chunk));
    }
    if (batch.empty()) return;
    Attention(shape, batch, scratch, pool);
  }
}

float Rounded(const AttentionShape& shape, float x) {
  return shape.cache == CacheType::kF32 ? x : F16ToF32(F32ToF16(x));
}

struct Seen {
  int first, end;
};
Seen KeysSeen(const AttentionShape& shape, int t, int n_tokens) {
  if (!shape.bidirectional) {
    return {shape.window == 0 ? 0 : std::max(0, t - shape.window + 1), t + 1};
  }
  if (shape.window == 0) return {0, n_tokens};
  return {std::max(0, t - shape.window / 2), std::min(n_tokens, t + shape.window / 2 + 1)};
}

// softmax(q k / ...) v over the keys that the query sees, in f64.
std::vector<double> Reference(const AttentionShape& shape, Sequence& sequence, int t, int head) {
  const int kv_head = head / (shape.n_heads / shape.n_kv_heads);
  const auto [first, end] = KeysSeen(shape, t, sequence.n_tokens());
  std::vector<double> weights;
  for (int key = first; key < end; ++key) {
    double score = 0;
    for (int d = 0; d < shape.head_dim; ++d) {
      score += static_cast<double>(sequence.query(t, head)[d]) *
               Rounded(shape, sequence.key(key)[kv_head * shape.head_dim + d]);
    }
    score *= shape.scale;
    if (shape.soft_cap != 0) score = shape.soft_cap * std::tanh(score / shape.soft_cap);
    if (!shape.alibi_slopes.empty()) score -= shape.alibi_slopes[head] * std::abs(t - key);
    weights.push_back(score);
  }
  const double max = *std::max_element(weights.begin(), weights.end());
  double sum = shape.sinks.empty() ? 0 : std::exp(shape.sinks[head] - max);
  for (double& w : weights) sum += w = std::exp(w - max);
  std::vector<double> out(shape.value_dim);
  for (int key = first; key < end; ++key) {
    for (int d = 0; d < shape.value_dim; ++d) {
      out[d] += weights[key - first] / sum *
                Rounded(shape, sequence.value(key)[kv_head * shape.value_dim + d]);
    }
  }
  return out;
}

constexpr float kSinks[] = {0.5F, -3.0F, 12.0F, 0.0F, -40.0F, 2.0F};
constexpr float kSlopes[] = {0.5F, 0.25F, 0.125F, 0.7071F, 0.0625F, 0.35355F};

std::vector<AttentionShape> Shapes() {
  std::vector<AttentionShape> shapes;
  for (const CacheType cache : {CacheType::kF16, CacheType::kF32}) {
    shapes.push_back({.n_heads = 14,
                      .n_kv_heads = 2,
                      .head_dim = 64,
                      .value_dim = 64,
                      .scale = 0.125F,
                      .cache = cache});
    shapes.push_back({.n_heads = 3,
                      .n_kv_heads = 3,
                      .head_dim = 5,
                      .value_dim = 7,
                      .scale = 0.4F,
                      .window = 5,
                      .cache = cache});
    shapes.push_back({.n_heads = 6,
                      .n_kv_heads = 2,
                      .head_dim = 20,
                      .value_dim = 33,
                      .scale = 0.2F,
                      .window = 64,
                      .cache = cache});
    shapes.push_back({.n_heads = 4,
                      .n_kv_heads = 1,
                      .head_dim = 256,
                      .value_dim = 256,
                      .scale = 0.0625F,
                      .window = 70,
                      .cache = cache});
    shapes.push_back({.n_heads = 1,
                      .n_kv_heads = 1,
                      .head_dim = 1,
                      .value_dim = 1,
                      .scale = 1.0F,
                      .window = 1,
                      .cache = cache});
    shapes.push_back({.n_heads = 70,
                      .n_kv_heads = 1,
                      .head_dim = 16,
                      .value_dim = 16,
                      .scale = 0.25F,
                      .cache = cache});
    // Soft cap; sinks; both directions, whole and in a window, with ALiBi; everything at once.
    const std::span<const float> sinks = kSinks, slopes = kSlopes;
    shapes.push_back({.n_heads = 8,
                      .n_kv_heads = 4,
                      .head_dim = 16,
                      .value_dim = 16,
                      .scale = 0.5F,
                      .window = 40,
                      .cache = cache,
                      .soft_cap = 2.5F});
    shapes.push_back({.n_heads = 6,
                      .n_kv_heads = 2,
                      .head_dim = 20,
                      .value_dim = 24,
                      .scale = 0.2F,
                      .cache = cache,
                      .sinks = sinks.first(6)});
    shapes.push_back({.n_heads = 5,
                      .n_kv_heads = 5,
                      .head_dim = 12,
                      .value_dim = 12,
                      .scale = 0.3F,
                      .bidirectional = true,
                      .cache = cache,
                      .alibi_slopes = slopes.first(5)});
    shapes.push_back({.n_heads = 2,
                      .n_kv_heads = 2,
                      .head_dim = 32,
                      .value_dim = 32,
                      .scale = 0.2F,
                      .window = 70,
                      .bidirectional = true,
                      .cache = cache});
    shapes.push_back({.n_heads = 6,
                      .n_kv_heads = 3,
                      .head_dim = 8,
                      .value_dim = 40,
                      .scale = 0.4F,
                      .window = 33,
                      .bidirectional = true,
                      .cache = cache,
                      .soft_cap = 4.0F,
                      .sinks = sinks,
                      .alibi_slopes = slopes});
  }
  return shapes;
}

std::string Describe(const AttentionShape& s) {
  return std::to_string(s.n_heads) + "/" + std::to_string(s.n_kv_heads) + " heads, dims " +
         std::to_string(s.head_dim) + ", " + std::to_string(s.value_dim) + ", window " +
         std::to_string(s.window) + (s.bidirectional ? ", both directions" : "") +
         (s.soft_cap != 0 ? ", soft cap" : "") + (s.sinks.empty() ? "" : ", sinks") +
         (s.alibi_slopes.empty() ? "" : ", ALiBi") +
         (s.cache == CacheType::kF16 ? ", f16" : ", f32");
}

TEST(Attention, AgreesWithAStraightforwardDoublePrecisionForm) {
  for (const AttentionShape& shape : Shapes()) {
    Sequence sequence(shape, 150, 100);
    RunAttention(shape, {&sequence}, {});
    for (int t = 0; t < sequence.n_tokens(); t += 7) {
      for (int head = 0; head < shape.n_heads; head += 3) {
        const auto want = Reference(shape, sequence, t, head);
        for (int d = 0; d < shape.value_dim; ++d) {
          ASSERT_NEAR(sequence.out_of(t, head)[d], want[d], 3e-5)
              << Describe(shape) << ": token " << t << " head " << head << " value " << d;
        }
      }
    }
  }
}

// The mask by itself: with a query of zeros all scores are equal, so the output is the mean of the
// values seen; values are powers that name their position.
void ExpectOnlyTheWindowIsSeen(bool bidirectional, int window) {
  const AttentionShape shape{.n_heads = 2,
                             .n_kv_heads = 1,
                             .head_dim = 3,
                             .value_dim = 200,
                             .window = window,
                             .bidirectional = bidirectional,
                             .cache = CacheType::kF32};
  Sequence sequence(shape, 200, 200);
  for (int t = 0; t < 200; ++t) {
    std::fill_n(sequence.query(t, 0), 2 * shape.head_dim, 0.0F);
    std::fill_n(sequence.value(t), 200, 0.0F);
    sequence.value(t)[t] = 1.0F;
  }
  RunAttention(shape, {&sequence}, {});
  for (int t = 0; t < 200; ++t) {
    const auto [first, end] = KeysSeen(shape, t, 200);
    for (int key = 0; key < 200; ++key) {
      const bool seen = key >= first && key < end;
      const float weight = sequence.out_of(t, 1)[key];
      if (!seen) {
        ASSERT_EQ(weight, 0.0F) << "window " << window << ": query " << t << " sees key " << key;
      } else {
        ASSERT_NEAR(weight * static_cast<float>(end - first), 1.0F, 1e-5F)
            << "window " << window << ": query " << t << " key " << key;
      }
    }
  }
}

TEST(Attention, AQuerySeesItsWindowAndNothingElse) {
  for (const int window : {0, 1, 2, 3, 63, 64, 65, 66, 127, 128, 129, 500}) {
    ExpectOnlyTheWindowIsSeen(false, window);
    ExpectOnlyTheWindowIsSeen(true, window);
  }
}

TEST(Attention, ChunksBatchesThreadsAndSetsChangeNoBit) {
  for (const AttentionShape& shape : Shapes()) {
    std::vector<float> want;
    for (const Isa isa : AvailableIsas()) {
      SetActiveIsa(isa);
      for (const int threads : {1, 2, 3, 8}) {
        for (const int chunk : {1, 7, 64, 1 << 20}) {
          if (shape.bidirectional && chunk != 1 << 20) continue;
          if (chunk == 1 && threads == 8) continue;  // mostly waiting on two processors
          // The oracle is slow: each chunking with one number of threads.
          if (isa == Isa::kScalar && threads != 1 + chunk % 3) continue;
          Sequence sequence(shape, 150, 300), other(shape, 45, 400), third(shape, 1, 500);
          const bool batched = (threads + chunk) % 2 == 0;
          RunAttention(shape,
                       batched ? std::vector{&other, &sequence, &third} : std::vector{&sequence},
                       {.chunk = chunk, .threads = threads});
          if (want.empty()) want = sequence.out();
          ASSERT_EQ(test::FirstDifference(want, sequence.out()), "")
              << Describe(shape) << ": " << IsaName(isa) << " threads " << threads << " chunk "
              << chunk;
        }
      }
    }
  }
}

// The sink's weight is what the values' weights lack: with values of one, the output is 1 less it.
TEST(Attention, ASinkTakesItsPartOfTheWeightAndGivesNoValue) {
  const AttentionShape shape{.n_heads = 6,
                             .n_kv_heads = 6,
                             .head_dim = 3,
                             .value_dim = 1,
                             .cache = CacheType::kF32,
                             .sinks = kSinks};
  Sequence sequence(shape, 100, 250);
  for (int t = 0; t < 100; ++t) {
    std::fill_n(sequence.query(t, 0), 6 * shape.head_dim, 0.0F);  // every score is 0
    std::fill_n(sequence.value(t), 6, 1.0F);
  }
  RunAttention(shape, {&sequence}, {});
  for (int t = 0; t < 100; ++t) {
    for (int head = 0; head < 6; ++head) {
      const double keys = t + 1, sink = std::exp(static_cast<double>(kSinks[head]));
      EXPECT_NEAR(sequence.out_of(t, head)[0], keys / (keys + sink), 1e-6);
    }
  }
}

TEST(Attention, OneQueryOverALongContextIsDealtToThreadsWithTheSameBits) {
  const AttentionShape shape{
      .n_heads = 3, .n_kv_heads = 1, .head_dim = 32, .value_dim = 32, .scale = 0.2F};
  Sequence one(shape, 2000, 600), many(shape, 2000, 600);
  RunAttention(shape, {&one}, {.chunk = 1999, .threads = 1});
  RunAttention(shape, {&many}, {.chunk = 1999, .threads = 8});
  EXPECT_EQ(test::FirstDifference(one.out(), many.out()), "");
}

constexpr float kGoldenPerHead[14] = {0.5F, 1.0F, 0.25F, 2.0F, 0.125F, 0.75F, 0.0625F,
                                      0.0F, 1.5F, 3.0F,  0.1F, 0.2F,   0.3F,  0.01F};

TEST(Attention, BitsAreTheGoldenOnes) {
  const AttentionShape qwen{
      .n_heads = 14, .n_kv_heads = 2, .head_dim = 64, .value_dim = 64, .scale = 0.125F};
  const AttentionShape gemma{.n_heads = 4,
                             .n_kv_heads = 1,
                             .head_dim = 256,
                             .value_dim = 256,
                             .scale = 0.0625F,
                             .window = 100};
  AttentionShape exact = qwen;
  exact.cache = CacheType::kF32;
  AttentionShape gpt = qwen, bert = exact;
  gpt.soft_cap = 3.0F;
  gpt.sinks = kGoldenPerHead;
  bert.bidirectional = true;
  bert.window = 128;
  bert.alibi_slopes = kGoldenPerHead;
  const struct {
    AttentionShape shape;
    const char* sha256;
  } cases[] = {
      {gpt, "e741188b5184f14b757f9ff03d13b8552bd8a7e587362e1be2c8a405e542a3de"},
      {bert, "91d2a1a49a2b3985d0bf2ef0c5b53e905ceb3773d621404f093a93e8a29cb48b"},
      {qwen, "737a4dfe37501a5950224ef020f5e119865724b99d2b48b5e4b2007650de1839"},
      {gemma, "dbe4912c668edb89672809563808cd75422d38f537d216534384117d28d61504"},
      {exact, "becb608dfb625649b2016a2180ad508842ef32d03571eeb459d668dfafb01eff"},
  };
  for (const auto& golden : cases) {
    Sequence sequence(golden.shape, 300, 700);
    RunAttention(golden.shape, {&sequence}, {.chunk = 128, .threads = 2});
    EXPECT_EQ(F32Sha256(sequence.out()), golden.sha256) << Describe(golden.shape);
  }
}

// Kernels of every set against the oracle on ragged shapes and masks, wild values included.
TEST(Attention, EverySetsTileMergeAndDivisionMatchTheOracle) {
  for (const auto& [name, kernels] : test::FloatKernelsUnderTest()) {
    for (const Inputs inputs : {Inputs::kOrdinary, Inputs::kWild}) {
      for (int i = 0; i < 300; ++i) {
        const auto words = RandomWords({.seed = 800, .position = static_cast<std::uint64_t>(i)});
        const int head_dim = 1 + static_cast<int>(words[0] % 90);
        const int value_stride = 16 * (1 + static_cast<int>(words[1] % 6));
        const int n_rows = 1 + static_cast<int>(words[2] % (2 * kernels->attention_rows + 3));
        const auto k = TestValues(head_dim * 64, 801 + i, inputs);
        const auto v = TestValues(value_stride * 64, 901 + i, inputs);
        const auto q = TestValues(head_dim * n_rows, 1001 + i, inputs);
        const auto slopes = TestValues(n_rows, 1101 + i, inputs);
        std::vector<float> positions(n_rows);
        for (int r = 0; r < n_rows; ++r) positions[r] = static_cast<float>(7 * r + i - 150);
        std::vector<std::int32_t> lo(n_rows), hi(n_rows);
        for (int r = 0; r < n_rows; ++r) {
          const auto draw =
              RandomWords({.seed = 802, .position = static_cast<std::uint64_t>(i * 64 + r)});
          lo[r] = i % 3 == 0 ? 0 : static_cast<int>(draw[0] % 65);
          hi[r] = i % 3 == 0 ? (i % 2 == 0 ? 64 : 37 + r) : static_cast<int>(draw[1] % 65);
        }
        const AttentionTile tile{.k = k.data(),
                                 .v = v.data(),
                                 .head_dim = head_dim,
                                 .value_stride = value_stride,
                                 .scale = 0.3F,
                                 .soft_cap = i % 4 < 2 ? 0.0F : 1.5F,
                                 .n_rows = n_rows,
                                 .q = q.data(),
                                 .lo = lo.data(),
                                 .hi = hi.data(),
                                 .slopes = i % 5 < 3 ? nullptr : slopes.data(),
                                 .positions = positions.data()};
        const auto run = [&](const FloatKernels& with) {
          std::vector<float> all(2 * n_rows * (value_stride + 2) + n_rows * value_stride);
          float* p = all.data();
          const TileResult own{p, p + n_rows, p + 2 * n_rows};
          p += n_rows * (value_stride + 2);
          const TileResult running{p, p + n_rows, p + 2 * n_rows};
          const auto before = TestValues(n_rows * (value_stride + 2), 803, inputs);
          std::copy(before.begin(), before.end(), p);
          with.attention_tile(tile, own);
          with.attention_merge(tile, own, running);
          p += n_rows * (value_stride + 2);
          for (int r = 0; r < n_rows; ++r) {
            with.attention_finish(running.o + r * value_stride, running.l[r], value_stride - 3,
                                  p + r * value_stride);
          }
          return all;
        };
        ASSERT_EQ(test::FirstDifference(run(kFloatKernelsScalar), run(*kernels)), "")
            << name << " case " << i << (inputs == Inputs::kWild ? " wild" : "");
      }
    }
  }
}

TEST(Attention, KeysAndValuesAreRoundedToTheCachesTypeAlike) {
  const AttentionShape shape{.n_heads = 2, .n_kv_heads = 2, .head_dim = 37, .value_dim = 19};
  const auto key = TestValues(2 * 37, 900, Inputs::kWild),
             value = TestValues(2 * 19, 901, Inputs::kWild);
  for (const Isa isa : AvailableIsas()) {
    SetActiveIsa(isa);
    std::vector<std::byte> k(2 * 37 * 64 * 2), v(2 * 19 * 64 * 2);
    StoreKeyValue(shape, key.data(), value.data(), 63, k.data(), v.data());
    for (int i = 0; i < 74; ++i) {
      EXPECT_EQ(LoadLe<std::uint16_t>(k.data() + (i * 64 + 63) * 2), F32ToF16(key[i]))
          << IsaName(isa);
    }
    for (int i = 0; i < 38; ++i) {
      const int at = (i / 19 * 64 + 63) * 19 + i % 19;
      EXPECT_EQ(LoadLe<std::uint16_t>(v.data() + at * 2), F32ToF16(value[i])) << IsaName(isa);
    }
  }
}

#if defined(__x86_64__)
TEST(Attention, FlushToZeroInTheCallerChangesNoBit) {
  const AttentionShape shape{
      .n_heads = 2, .n_kv_heads = 1, .head_dim = 8, .value_dim = 8, .cache = CacheType::kF32};
  std::vector<std::vector<float>> outputs;
  for (const unsigned flags : {0U, 0x8040U}) {
    Sequence sequence(shape, 100, 1000);
    for (int t = 0; t < 100; ++t) {
      for (int d = 0; d < 8; ++d) sequence.value(t)[d] *= 0x1p-128F;
    }
    const unsigned saved = _mm_getcsr();
    _mm_setcsr(saved | flags);
    RunAttention(shape, {&sequence}, {.threads = 2});
    _mm_setcsr(saved);
    outputs.push_back(sequence.out());
  }
  EXPECT_EQ(test::FirstDifference(outputs[0], outputs[1]), "");
}
#endif

}  // namespace
}  // namespace tatara::numerics
