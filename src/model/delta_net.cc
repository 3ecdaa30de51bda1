#include "delta_net.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "blocks.h"
#include "decoder.h"
#include "tatara/base/check.h"
#include "tatara/numerics/delta_rule.h"
#include "tatara/numerics/functions.h"
#include "tatara/numerics/gated.h"
#include "tatara/numerics/ops.h"

namespace tatara::model {
namespace {

constexpr std::int64_t kTapsMax = 16;
constexpr std::int64_t kHeadSizeMax = 512;
constexpr int kFullAttentionInterval = 4;

}  // namespace

Result<DeltaNetConfig> ReadDeltaNetConfig(Keys& keys, float norm_eps) {
  DeltaNetConfig c;
  c.norm_eps = norm_eps;
  TATARA_TRY(c.n_taps, keys.Int("ssm.conv_kernel", {2, kTapsMax}));
  TATARA_TRY(c.head_size, keys.Int("ssm.state_size", {1, kHeadSizeMax}));
  TATARA_TRY(c.n_key_heads, keys.Int("ssm.group_count", {1, kHeadsMax}));
  TATARA_TRY(c.n_value_heads, keys.Int("ssm.time_step_rank", {1, kHeadsMax}));
  TATARA_TRY(const std::int64_t inner, keys.Int("ssm.inner_size", {1, kFfMax}));
  if (c.n_value_heads % c.n_key_heads != 0) {
    return Refuse("{0}: {1} value heads cannot share {2} key heads evenly (key '{3}')",
                  keys.origin(), c.n_value_heads, c.n_key_heads,
                  keys.FullName("ssm.time_step_rank"));
  }
  if (inner != std::int64_t{c.n_value_heads} * c.head_size) {
    return Refuse("{0}: the key '{1}' is {2}, but {3} heads of {4} values are {5}", keys.origin(),
                  keys.FullName("ssm.inner_size"), inner, c.n_value_heads, c.head_size,
                  std::int64_t{c.n_value_heads} * c.head_size);
  }
  return c;
}

Result<std::vector<bool>> ReadRecurrentLayers(Keys& keys, int n_layers) {
  const auto count = static_cast<std::size_t>(n_layers);
  TATARA_TRY(const std::int64_t interval,
             keys.IntOr("full_attention_interval", kFullAttentionInterval, {1, kLayersMax}));
  TATARA_TRY(const std::vector<std::int64_t> said,
             keys.IntsOrNone("attention.recurrent_layers", count, {0, 1}));
  if (!said.empty() && said.size() != count) {
    return Refuse("{0}: the key '{1}' has {2} values for {3} layers", keys.origin(),
                  keys.FullName("attention.recurrent_layers"), said.size(), n_layers);
  }
  std::vector<bool> recurrent;
  for (int i = 0; i < n_layers; ++i) {
    recurrent.push_back(said.empty() ? (i + 1) % interval != 0
                                     : said[static_cast<std::size_t>(i)] != 0);
  }
  return recurrent;
}

Result<DeltaNetWeights> LoadDeltaNet(TensorLoader& tensors, const DeltaNetConfig& c, int n_embd,
                                     int layer) {
  DeltaNetWeights w;
  const std::string fused = BlockName(layer, "ssm_in");
  if (c.layout == DeltaLayout::kJointGates && tensors.Has(fused + ".weight")) {
    TATARA_TRY(w.qkv_and_gate, tensors.LoadLinear(fused, c.n_channels() + c.value_size(), n_embd));
  } else {
    TATARA_TRY(w.qkv, tensors.LoadLinear(BlockName(layer, "attn_qkv"), c.n_channels(), n_embd));
    TATARA_TRY(w.gate, tensors.LoadLinear(BlockName(layer, "attn_gate"), c.value_size(), n_embd));
  }
  TATARA_TRY(const std::vector<float> by_channel,
             tensors.LoadTable(BlockName(layer, "ssm_conv1d.weight"), c.n_channels(), c.n_taps));
  const auto n_taps = static_cast<std::size_t>(c.n_taps);
  const auto n_channels = static_cast<std::size_t>(c.n_channels());
  w.taps.resize(n_taps * n_channels);
  for (std::size_t i = 0; i < w.taps.size(); ++i) {
    w.taps[i] = by_channel[i % n_channels * n_taps + i / n_channels];
  }
  TATARA_TRY(w.dt_bias, tensors.LoadVector(BlockName(layer, "ssm_dt.bias"), c.n_value_heads));
  TATARA_TRY(w.a, tensors.LoadVector(BlockName(layer, "ssm_a"), c.n_value_heads));
  if (c.layout == DeltaLayout::kJointGates) {
    TATARA_TRY(w.beta_alpha,
               tensors.LoadLinear(BlockName(layer, "ssm_ba"), 2 * c.n_value_heads, n_embd));
  } else {
    TATARA_TRY(w.alpha, tensors.LoadLinear(BlockName(layer, "ssm_alpha"), c.n_value_heads, n_embd));
    TATARA_TRY(w.beta, tensors.LoadLinear(BlockName(layer, "ssm_beta"), c.n_value_heads, n_embd));
  }
  TATARA_TRY(w.norm, LoadNorm(tensors, layer, "ssm_norm", c.head_size));
  TATARA_TRY(w.output, tensors.LoadLinear(BlockName(layer, "ssm_out"), n_embd, c.value_size()));
  return w;
}

// Every token reads its own and the taps - 1 rows before it: of this slice, else as the state that
// the slice starts from kept them.
void DeltaNet::Convolve(Pass& pass, int layer, const DeltaNetWeights& w, Rows in, Rows out) const {
  const int n_taps = config_.n_taps;
  for (std::size_t slice = 0; slice < pass.n_slices(); ++slice) {
    const std::span<const PageRun> runs = pass.RunsOf(slice);
    const std::int64_t first = runs.front().row, end = runs.back().row + runs.back().n_tokens;
    const float* kept = runs.front().state_page == kNoPage
                            ? nullptr
                            : pass.kv().State(runs.front().state_page, layer);
    ForRows(pass.pool(), end - first, in.n_cols * (n_taps + 4), [&](std::int64_t t) {
      std::array<const float*, kTapsMax> inputs;
      for (int tap = 0; tap < n_taps; ++tap) {
        const std::int64_t from = t - (n_taps - 1) + tap;
        inputs[static_cast<std::size_t>(tap)] = from >= 0 ? in.Row(first + from).data()
                                                : kept == nullptr
                                                    ? nullptr
                                                    : kept + (n_taps - 1 + from) * in.n_cols;
      }
      numerics::CausalConvSilu(std::span(inputs).first(static_cast<std::size_t>(n_taps)), w.taps,
                               out.Row(first + t));
    });
  }
}

// The last taps - 1 rows up to the end of each run, into its page.
void DeltaNet::KeepInputs(Pass& pass, int layer, Rows in) const {
  const std::int64_t n_kept = config_.n_taps - 1;
  const auto n_slices = static_cast<std::int64_t>(pass.n_slices());
  ForRows(pass.pool(), n_slices, n_kept * in.n_cols, [&](std::int64_t slice) {
    for (const PageRun& run : pass.RunsOf(static_cast<std::size_t>(slice))) {
      float* const to = pass.kv().State(run.page, layer);
      const float* const before =
          run.state_page == kNoPage ? nullptr : pass.kv().State(run.state_page, layer);
      // Ascending, so that within one page nothing is overwritten that is still needed.
      for (std::int64_t i = 0; i < n_kept; ++i) {
        const std::int64_t from = run.n_tokens - n_kept + i;
        float* const row = to + i * in.n_cols;
        if (from >= 0) {
          std::copy_n(in.Row(run.row + from).data(), in.n_cols, row);
        } else if (before != nullptr) {
          std::copy_n(before + (n_kept + from) * in.n_cols, in.n_cols, row);
        } else {
          std::fill_n(row, in.n_cols, 0.0F);
        }
      }
    }
  });
}

// Token by token, in pieces of heads and columns.
void DeltaNet::Recur(Pass& pass, int layer, Rows qkv, Rows decay, Rows beta, Rows a) const {
  const DeltaNetConfig& c = config_;
  const std::int64_t size = c.head_size;
  const std::int64_t n_pieces = (size + numerics::kDeltaColumns - 1) / numerics::kDeltaColumns;
  const auto n_slices = static_cast<std::int64_t>(pass.n_slices());
  pass.pool().For(n_slices * c.n_value_heads * n_pieces, [&](std::int64_t item, int) {
    const std::int64_t column = item % n_pieces * numerics::kDeltaColumns;
    const std::int64_t head = item / n_pieces % c.n_value_heads;
    const auto slice = static_cast<std::size_t>(item / n_pieces / c.n_value_heads);
    const std::int64_t n_columns = std::min<std::int64_t>(numerics::kDeltaColumns, size - column);
    const std::int64_t key_head = c.layout == DeltaLayout::kJointGates
                                      ? head / (c.n_value_heads / c.n_key_heads)
                                      : head % c.n_key_heads;
    const std::int64_t in_state = c.n_conv_state() + (head * size + column) * size;
    for (const PageRun& run : pass.RunsOf(slice)) {
      float* const state = pass.kv().State(run.page, layer) + in_state;
      if (run.state_page == kNoPage) {
        std::fill_n(state, size * n_columns, 0.0F);
      } else if (run.state_page != run.page) {
        std::copy_n(pass.kv().State(run.state_page, layer) + in_state, size * n_columns, state);
      }
      const float* const row = qkv.Row(run.row).data();
      numerics::DeltaRule({.state = state,
                           .state_stride = n_columns,
                           .n_keys = c.head_size,
                           .n_columns = static_cast<int>(n_columns),
                           .n_tokens = run.n_tokens,
                           .q = row + key_head * size,
                           .k = row + (c.n_key_heads + key_head) * size,
                           .key_stride = qkv.n_cols,
                           .v = row + (2 * c.n_key_heads + head) * size + column,
                           .value_stride = qkv.n_cols,
                           .decay = decay.Row(run.row).data() + head,
                           .beta = beta.Row(run.row).data() + head,
                           .gate_stride = decay.n_cols,
                           .out = a.Row(run.row).data() + head * size + column,
                           .out_stride = a.n_cols});
    }
  });
}

// qkv: (T, C), gate: (T, SV*S).
void DeltaNet::Inputs(Pass& pass, const DeltaNetWeights& w, Rows h, Rows qkv, Rows gate) {
  if (w.qkv_and_gate.w.empty()) {
    pass.Project(h, {{&w.qkv, qkv}, {&w.gate, gate}});
    return;
  }
  const DeltaNetConfig& c = config_;
  const Rows fused = fused_.Make(h.n_rows, qkv.n_cols + gate.n_cols);  // (T, C + SV*S)
  pass.Project(h, {{&w.qkv_and_gate, fused}});
  const std::int64_t size = c.head_size, n_keys = c.n_key_heads;
  const std::int64_t values = c.value_size() / n_keys;  // of one key head's value heads
  ForRows(pass.pool(), h.n_rows, fused.n_cols, [&](std::int64_t t) {
    const float* from = fused.Row(t).data();
    const auto take = [&](float* to, std::int64_t n) {
      std::copy_n(from, n, to);
      from += n;
    };
    for (std::int64_t key = 0; key < n_keys; ++key) {
      float* const row = qkv.Row(t).data();
      take(row + key * size, size);
      take(row + (n_keys + key) * size, size);
      take(row + 2 * n_keys * size + key * values, values);
      take(gate.Row(t).data() + key * values, values);
    }
  });
}

// decay = exp(a * softplus(alpha + dt)), beta = sigmoid(beta): (T, SV).
void DeltaNet::Gates(Pass& pass, const DeltaNetWeights& w, Rows h, Rows decay, Rows beta) {
  const std::int64_t n_heads = config_.n_value_heads;
  const bool joint = config_.layout == DeltaLayout::kJointGates;
  const Rows both = beta_alpha_.Make(h.n_rows, 2 * n_heads);  // (T, 2*SV)
  if (joint) {
    pass.Project(h, {{&w.beta_alpha, both}});
  } else {
    pass.Project(h, {{&w.alpha, decay}, {&w.beta, beta}});
  }
  const std::int64_t n_sharing = n_heads / config_.n_key_heads;
  ForRows(pass.pool(), h.n_rows, 64 * n_heads, [&](std::int64_t t) {
    float* const alphas = decay.Row(t).data();
    float* const betas = beta.Row(t).data();
    for (std::int64_t head = 0; head < n_heads; ++head) {
      if (joint) {
        const std::int64_t first = head / n_sharing * 2 * n_sharing + head % n_sharing;
        betas[head] = both.Row(t)[static_cast<std::size_t>(first)];
        alphas[head] = both.Row(t)[static_cast<std::size_t>(first + n_sharing)];
      }
      const auto i = static_cast<std::size_t>(head);
      alphas[head] = numerics::Exp(w.a[i] * numerics::Softplus(alphas[head] + w.dt_bias[i]));
      betas[head] = 1.0F / (1.0F + numerics::Exp(-betas[head]));
    }
  });
}

void DeltaNet::Forward(Pass& pass, int layer, const DeltaNetWeights& w, Rows h, Rows a) {
  const DeltaNetConfig& c = config_;
  ThreadPool& pool = pass.pool();
  const std::int64_t n_tokens = pass.n_tokens();
  const Rows decay = decay_.Make(n_tokens, c.n_value_heads);   // (T, SV)
  const Rows beta = beta_.Make(n_tokens, c.n_value_heads);     // (T, SV)
  const Rows mixed = mixed_.Make(n_tokens, c.n_channels());    // (T, C)
  const Rows qkv = convolved_.Make(n_tokens, c.n_channels());  // (T, C)
  const Rows gate = gate_.Make(n_tokens, c.value_size());      // (T, SV*S)

  Gates(pass, w, h, decay, beta);
  Inputs(pass, w, h, mixed, gate);
  Convolve(pass, layer, w, mixed, qkv);
  KeepInputs(pass, layer, mixed);
  // q = q / |q| / sqrt(S), k = k / |k|, by head
  const float scale = 1.0F / std::sqrt(static_cast<float>(c.head_size));
  const auto head_size = static_cast<std::size_t>(c.head_size);
  ForRows(pool, n_tokens, qkv.n_cols, [&](std::int64_t t) {
    for (std::size_t head = 0; head < static_cast<std::size_t>(2 * c.n_key_heads); ++head) {
      const std::span<float> x = qkv.Row(t).subspan(head * head_size, head_size);
      numerics::Scale(1.0F / std::sqrt(numerics::SumOfSquares(x) + c.norm_eps), x);
      if (head < static_cast<std::size_t>(c.n_key_heads)) numerics::Scale(scale, x);
    }
  });
  Recur(pass, layer, qkv, decay, beta, a);
  NormHeads(pool, a, w.norm, c.norm_eps);
  MulRowsBySilu(pool, gate, a);
}

}  // namespace tatara::model
