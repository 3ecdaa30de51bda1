// Attention for training: forward against f64, backward against finite differences in f64, the same
// bits on every instruction set and with any number of threads, and documents kept apart.
#include "tatara/numerics/training_attention.h"

#include <cmath>
#include <vector>

#include "kernel_test_support.h"

namespace tatara::numerics {
namespace {

using test::FirstDifference;
using test::TestValues;

struct Case {
  int n_sequences, n_tokens, n_heads, n_kv_heads, head_dim;
  bool packed = false;  // several documents in a sequence
  int window = 0;
  float soft_cap = 0;
  double dropout = 0;
};

struct Inputs {
  explicit Inputs(const Case& c) : shape(c) {
    const auto rows = static_cast<std::size_t>(c.n_sequences * c.n_tokens);
    const std::size_t width = static_cast<std::size_t>(c.head_dim);
    q = TestValues(rows * c.n_heads * width, 1);
    k = TestValues(rows * c.n_kv_heads * width, 2);
    v = TestValues(rows * c.n_kv_heads * width, 3);
    dout = TestValues(rows * c.n_heads * width, 4);
    first_keys.resize(rows);
    for (std::size_t i = 0; i < rows; ++i) {
      const int token = static_cast<int>(i) % c.n_tokens;
      first_keys[i] = c.packed && token >= c.n_tokens / 3 ? c.n_tokens / 3 : 0;
    }
  }
  TrainingAttention Attention() const {
    return {.n_sequences = shape.n_sequences,
            .n_tokens = shape.n_tokens,
            .n_heads = shape.n_heads,
            .n_kv_heads = shape.n_kv_heads,
            .head_dim = shape.head_dim,
            .scale = 0.3F,
            .q = q.data(),
            .k = k.data(),
            .v = v.data(),
            .q_stride = std::int64_t{shape.n_heads} * shape.head_dim,
            .k_stride = std::int64_t{shape.n_kv_heads} * shape.head_dim,
            .v_stride = std::int64_t{shape.n_kv_heads} * shape.head_dim,
            .first_keys = shape.packed ? first_keys.data() : nullptr,
            .window = shape.window,
            .soft_cap = shape.soft_cap,
            .dropout = Key(),
            .first_sequence = 2};
  }
  DropoutKey Key() const { return {.seed = 9, .site = 4, .step = 7, .rate = shape.dropout}; }
  Case shape;
  std::vector<float> q, k, v, dout;
  std::vector<std::int32_t> first_keys;
};

// out, dq, dk, dv.
std::vector<float> Everything(const Inputs& in, int n_threads) {
  const TrainingAttention a = in.Attention();
  ThreadPool pool(n_threads);
  AttentionWorkspace workspace;
  std::vector<float> out(in.q.size()), dq(in.q.size()), dk(in.k.size()), dv(in.v.size());
  const auto n_rows = static_cast<std::size_t>(a.n_sequences * a.n_tokens * a.n_heads);
  std::vector<float> maxima(n_rows), sums(n_rows);
  const AttentionOutput output{out.data(), maxima.data(), sums.data()};
  CausalAttention(a, output, workspace, pool);
  CausalAttentionBackward(a, output, {in.dout.data(), dq.data(), dk.data(), dv.data()}, workspace,
                          pool);
  for (const auto& part : {dq, dk, dv}) out.insert(out.end(), part.begin(), part.end());
  return out;
}

std::vector<double> PlainForward(const Inputs& in, const std::vector<double>& q,
                                 const std::vector<double>& k, const std::vector<double>& v) {
  const Case& c = in.shape;
  std::vector<double> out(q.size());
  const int group = c.n_heads / c.n_kv_heads;
  for (int s = 0; s < c.n_sequences; ++s) {
    for (int h = 0; h < c.n_heads; ++h) {
      for (int t = 0; t < c.n_tokens; ++t) {
        const int row = s * c.n_tokens + t;
        const double* query = &q[(row * c.n_heads + h) * c.head_dim];
        double sum = 0;
        std::vector<double> total(c.head_dim);
        const int first = c.window == 0 ? 0 : t - c.window + 1;
        for (int j = std::max(in.first_keys[row], first); j <= t; ++j) {
          const int at = ((s * c.n_tokens + j) * c.n_kv_heads + h / group) * c.head_dim;
          double score = 0;
          for (int d = 0; d < c.head_dim; ++d) score += query[d] * k[at + d];
          score *= static_cast<double>(0.3F);
          if (c.soft_cap != 0) score = c.soft_cap * std::tanh(score / c.soft_cap);
          const double weight = std::exp(score);
          sum += weight;
          float kept = 1;  // what dropout makes of 1 at this place
          Dropout(in.Key(),
                  ((2U + static_cast<unsigned>(s)) * c.n_heads + h) * c.n_tokens * c.n_tokens +
                      t * c.n_tokens + j,
                  {&kept, 1});
          for (int d = 0; d < c.head_dim; ++d) total[d] += kept * weight * v[at + d];
        }
        for (int d = 0; d < c.head_dim; ++d)
          out[(row * c.n_heads + h) * c.head_dim + d] = total[d] / sum;
      }
    }
  }
  return out;
}

std::vector<double> Wide(const std::vector<float>& x) {
  return {x.begin(), x.end()};
}

const std::vector<Case> kSmall = {{1, 1, 1, 1, 3},
                                  {2, 5, 2, 2, 4},
                                  {1, 9, 4, 2, 5, true},
                                  {2, 9, 2, 1, 5, true, 4},
                                  {1, 7, 2, 1, 4, false, 3, 0.5F},
                                  {2, 8, 2, 2, 4, true, 0, 0, 0.4},
                                  {1, 9, 4, 2, 4, false, 5, 0.7F, 0.3}};

TEST(CausalAttention, ForwardAndBackwardMeetF64) {
  for (const Case& c : kSmall) {
    const Inputs in(c);
    const std::vector<float> got = Everything(in, 2);
    const std::vector<double> q = Wide(in.q), k = Wide(in.k), v = Wide(in.v);
    const std::vector<double> out = PlainForward(in, q, k, v);
    for (std::size_t i = 0; i < out.size(); ++i) EXPECT_NEAR(got[i], out[i], 1e-5);
    const auto loss = [&](const std::vector<double>& a, const std::vector<double>& b,
                          const std::vector<double>& d) {
      double sum = 0;
      const std::vector<double> o = PlainForward(in, a, b, d);
      for (std::size_t i = 0; i < o.size(); ++i) sum += o[i] * in.dout[i];
      return sum;
    };
    std::size_t at = out.size();
    for (int which = 0; which < 3; ++which) {
      std::vector<double> parts[3] = {q, k, v};
      for (double& x : parts[which]) {
        const double here = x;
        x = here + 1e-5;
        const double above = loss(parts[0], parts[1], parts[2]);
        x = here - 1e-5;
        const double below = loss(parts[0], parts[1], parts[2]);
        x = here;
        EXPECT_NEAR(got[at], (above - below) / 2e-5, 5e-5) << "part " << which;
        ++at;
      }
    }
  }
}

TEST(CausalAttention, BitsDependOnNeitherSetNorThreads) {
  const std::vector<Case> cases = {{2, 5, 2, 2, 4},
                                   {3, 64, 4, 2, 32},
                                   {1, 150, 2, 1, 40, true},
                                   {1, 129, 1, 1, 16},
                                   {1, 150, 2, 1, 24, true, 70, 20.0F, 0.2},
                                   {2, 70, 4, 2, 16, false, 9}};
  for (const Case& c : cases) {
    const Inputs in(c);
    const Isa before = ActiveIsa();
    SetActiveIsa(Isa::kScalar);
    const std::vector<float> want = Everything(in, 1);
    for (const Isa isa : AvailableIsas()) {
      SetActiveIsa(isa);
      for (const int n_threads : {1, 3}) {
        EXPECT_EQ(FirstDifference(want, Everything(in, n_threads)), "") << IsaName(isa);
      }
    }
    SetActiveIsa(before);
  }
}

TEST(CausalAttention, CutsOfABatchDropTheSameWeights) {
  const Case both{2, 70, 2, 1, 8, false, 0, 0, 0.3};
  Inputs in(both);
  const std::vector<float> whole = Everything(in, 2);
  in.shape.n_sequences = 1;
  const std::vector<float> first = Everything(in, 1);
  const std::size_t n = 70 * 2 * 8;
  EXPECT_EQ(FirstDifference(std::span(whole).first(n), std::span(first).first(n)), "");
  EXPECT_NE(FirstDifference(std::span(whole).first(n), std::span(whole).subspan(n, n)), "");
}

TEST(CausalAttention, ASecondDocumentIsAsIfAlone) {
  Inputs packed({1, 90, 2, 1, 8, true});
  const std::vector<float> before = Everything(packed, 1);
  for (int i = 0; i < 30 * 8; ++i) packed.k[i] = packed.v[i] = 3;
  const std::vector<float> after = Everything(packed, 1);
  const std::size_t from = 30 * 2 * 8, end = packed.q.size();
  EXPECT_EQ(FirstDifference(std::span(before).subspan(from, end - from),
                            std::span(after).subspan(from, end - from)),
            "");
}

}  // namespace
}  // namespace tatara::numerics
