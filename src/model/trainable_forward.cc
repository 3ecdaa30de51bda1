// The way forward: embedding, layers, final norm.
#include <algorithm>
#include <cmath>

#include "tatara/base/check.h"
#include "tatara/numerics/bf16_storage.h"
#include "trainable_decoder.h"

namespace tatara::model {
namespace {

// Sites of dropout: 0 the embedding, 2 l + 1 and 2 l + 2 the blocks of layer l, and from here on
// the attention's weights of each layer.
constexpr std::uint32_t kAttentionSites = 1U << 30;

}  // namespace

// ---- memory

void TrainableDecoder::Prepare(const Call& call) {
  const TrainingBatch& b = call.batch;
  TATARA_CHECK(static_cast<std::int64_t>(b.tokens.size()) == call.n_rows);
  TATARA_CHECK(b.n_tokens <= shape_.n_ctx);
  TATARA_CHECK(b.first_keys.empty() || b.first_keys.size() == b.tokens.size());
  const auto rows = static_cast<std::size_t>(call.n_rows);
  const auto resize = [&](Floats& x, std::int64_t n) {
    x.resize(rows * static_cast<std::size_t>(n));
  };
  PrepareLayers(call);
  PrepareStored(call);
  resize(final_normed_, shape_.n_embd);
  resize(block_, shape_.n_embd);
  final_at_.resize(rows);
  PrepareRotations(call);
  PrepareNorms(call);
  if (!call.backward) return;
  resize(dx_, shape_.n_embd);
  resize(dnormed_, shape_.n_embd);
  resize(dqkv_, layout_.n_qkv());
  resize(dattended_, layout_.n_q());
  resize(dinner_, layout_.n_inner());
  resize(dactivated_, shape_.n_ff);
  if (layout_.post_norms) resize(dblock_, shape_.n_embd);
  if (layout_.qk_norms) resize(dqk_raw_, layout_.n_q() + layout_.n_kv());
}

void TrainableDecoder::PrepareLayers(const Call& call) {
  const auto rows = static_cast<std::size_t>(call.n_rows);
  const auto resize = [&](Floats& x, std::int64_t n) {
    x.resize(rows * static_cast<std::size_t>(n));
  };
  streams_.resize(Stores(call) ? 2 : static_cast<std::size_t>(shape_.n_layers) + 1);
  for (Floats& stream : streams_) resize(stream, shape_.n_embd);
  const bool one = options_.recompute || !call.backward || Stores(call);
  states_.resize(one ? 1 : static_cast<std::size_t>(shape_.n_layers));
  for (LayerState& s : states_) {
    for (Floats* x : {&s.normed, &s.middle, &s.ffn_normed}) resize(*x, shape_.n_embd);
    resize(s.qkv, layout_.n_qkv());
    resize(s.attended, layout_.n_q());
    for (Floats* x : {&s.maxima, &s.sums}) resize(*x, shape_.n_heads);
    resize(s.inner, layout_.n_inner());
    resize(s.activated, shape_.n_ff);
    for (auto* at : {&s.attn_at, &s.ffn_at}) at->resize(rows);
    if (layout_.qk_norms) {
      resize(s.qk_raw, layout_.n_q() + layout_.n_kv());
      s.qk_at.resize(rows * static_cast<std::size_t>(shape_.n_heads + shape_.n_kv_heads));
    }
    if (layout_.post_norms) {
      for (Floats* x : {&s.attn_block, &s.ffn_block}) resize(*x, shape_.n_embd);
      for (auto* at : {&s.attn_post_at, &s.ffn_post_at}) at->resize(rows);
    }
  }
}

std::int64_t TrainableDecoder::Position(const Call& call, std::int64_t row) const {
  const std::int64_t place = row % call.batch.n_tokens;
  if (call.batch.first_keys.empty()) return place;
  return place - call.batch.first_keys[static_cast<std::size_t>(row)];
}

void TrainableDecoder::PrepareRotations(const Call& call) {
  const auto n = static_cast<std::size_t>(layout_.head_dim / 2);
  for (Rotation& r : rotations_) {
    for (Floats* table : {&r.cosines, &r.sines, &r.back_sines}) {
      table->resize(static_cast<std::size_t>(call.n_rows) * n);
    }
    ForRows(call, [&](std::int64_t row) {
      const auto at = static_cast<std::size_t>(row) * n;
      numerics::RopeTable(Position(call, row), r.frequencies, std::span(r.cosines).subspan(at, n),
                          std::span(r.sines).subspan(at, n));
      for (std::size_t i = at; i < at + n; ++i) r.back_sines[i] = -r.sines[i];
    });
  }
}

LayerState& TrainableDecoder::StateOf(const Call&, int layer) {
  return states_[states_.size() == 1 ? 0 : static_cast<std::size_t>(layer)];
}

// ---- parts

void TrainableDecoder::NormForward(const Call& call, const NormPart& norm, const Floats& x,
                                   std::vector<NormStatistics>& at, Floats& y) {
  const std::int64_t n = shape_.n_embd;
  const auto eps = static_cast<float>(shape_.norm_eps);
  const std::span<const float> weight(call.weights + norm.weight, static_cast<std::size_t>(n));
  ForRows(call, [&](std::int64_t row) {
    NormStatistics& statistics = at[static_cast<std::size_t>(row)];
    if (layout_.norm == NormKind::kRms) {
      statistics = numerics::RmsStatistics(Row(x, row, n), eps);
      numerics::RmsNorm(Row(x, row, n), weight, eps, Row(y, row, n));
    } else {
      statistics = numerics::LayerStatistics(Row(x, row, n), eps);
      numerics::LayerNorm(Row(x, row, n), weight, {call.weights + norm.bias, weight.size()}, eps,
                          Row(y, row, n));
    }
  });
}

// Columns part.column .. of y, which has n_columns.
void TrainableDecoder::LinearForward(const Call& call, const LinearPart& part, const Floats& x,
                                     std::int64_t n_inputs, Floats& y, std::int64_t n_columns) {
  MatrixForward(call, part.weight, {call.n_rows, n_inputs, part.n_outputs}, x.data(),
                y.data() + part.column, n_columns);
  if (tuning_ != nullptr) {
    if (const LowRankPart* const low = tuning_->PartOf(part.weight)) {
      LowRankForward(call, *low, x.data(), y.data() + part.column, n_columns);
    }
  }
  if (part.bias == kNone) return;
  const auto n = static_cast<std::size_t>(part.n_outputs);
  ForRows(call, [&](std::int64_t row) {
    numerics::Add({call.weights + part.bias, n}, {y.data() + row * n_columns + part.column, n});
  });
}

// Every head of queries and keys by itself; what they were stays in s.qk_raw.
void TrainableDecoder::NormHeads(const Call& call, int layer, LayerState& s) {
  if (!layout_.qk_norms) return;
  const LayerParts& w = layout_.layers[static_cast<std::size_t>(layer)];
  const std::int64_t d = layout_.head_dim, n_raw = layout_.n_q() + layout_.n_kv();
  const int n_heads = shape_.n_heads + shape_.n_kv_heads;
  const auto eps = static_cast<float>(shape_.norm_eps);
  ForRows(call, [&](std::int64_t row) {
    const std::span<float> qk =
        Row(s.qkv, row, layout_.n_qkv()).first(static_cast<std::size_t>(n_raw));
    std::copy(qk.begin(), qk.end(), Row(s.qk_raw, row, n_raw).begin());
    KeepRow(call, layer, &LayerState::qk_raw, s, row);
    for (int head = 0; head < n_heads; ++head) {
      const NormPart& norm = head < shape_.n_heads ? w.q_norm : w.k_norm;
      const std::span<const float> x = Row(std::as_const(s.qk_raw), row * n_heads + head, d);
      s.qk_at[static_cast<std::size_t>(row * n_heads + head)] = numerics::RmsStatistics(x, eps);
      numerics::RmsNorm(x, {call.weights + norm.weight, x.size()}, eps,
                        qk.subspan(static_cast<std::size_t>(head * d), x.size()));
    }
  });
}

// Queries and keys; back: by the negative angle, which is the rotation's transpose.
void TrainableDecoder::Rotate(const Call& call, int layer, Floats& qkv, bool back) {
  if (rotations_.empty()) return;
  const Rotation& r = rotations_[layout_.LayerIsWindowed(layer) ? rotations_.size() - 1 : 0];
  const auto n = static_cast<std::size_t>(layout_.head_dim / 2);
  const int n_heads = shape_.n_heads + shape_.n_kv_heads;
  const Floats& sines = back ? r.back_sines : r.sines;
  ForRows(call, [&](std::int64_t row) {
    const auto at = static_cast<std::size_t>(row) * n;
    numerics::Rope(Row(qkv, row, layout_.n_qkv()).first(static_cast<std::size_t>(n_heads) * 2 * n),
                   n_heads, layout_.head_dim, layout_.rope, std::span(r.cosines).subspan(at, n),
                   std::span(sines).subspan(at, n));
  });
}

numerics::TrainingAttention TrainableDecoder::AttentionOf(const Call& call, int layer,
                                                          const LayerState& s) const {
  const TrainingBatch& b = call.batch;
  const TrainingDropout& d = call.dropout;
  return {.n_sequences = b.n_sequences,
          .n_tokens = b.n_tokens,
          .n_heads = shape_.n_heads,
          .n_kv_heads = shape_.n_kv_heads,
          .head_dim = layout_.head_dim,
          .scale = 1.0F / std::sqrt(static_cast<float>(layout_.score_size)),
          .q = s.qkv.data(),
          .k = s.qkv.data() + layout_.n_q(),
          .v = s.qkv.data() + layout_.n_q() + layout_.n_kv(),
          .q_stride = layout_.n_qkv(),
          .k_stride = layout_.n_qkv(),
          .v_stride = layout_.n_qkv(),
          .first_keys = b.first_keys.empty() ? nullptr : b.first_keys.data(),
          .window = layout_.LayerIsWindowed(layer) ? shape_.window : 0,
          .soft_cap = static_cast<float>(shape_.score_cap),
          .dropout = {.seed = d.seed,
                      .site = kAttentionSites + static_cast<std::uint32_t>(layer),
                      .step = d.step,
                      .rate = d.attention_rate},
          .first_sequence = b.first_sequence};
}

void TrainableDecoder::Drop(const Call& call, std::uint32_t site, Floats& x) {
  if (call.dropout.rate == 0) return;
  const std::int64_t n = shape_.n_embd;
  const numerics::DropoutKey key{.seed = call.dropout.seed,
                                 .site = site,
                                 .step = call.dropout.step,
                                 .rate = call.dropout.rate};
  const std::int64_t first = call.batch.first_sequence * call.batch.n_tokens;
  ForRows(call, [&](std::int64_t row) {
    numerics::Dropout(key, static_cast<std::uint64_t>((first + row) * n), Row(x, row, n));
  });
}

void TrainableDecoder::CopyRows(const Call& call, const Floats& x, Floats& y) {
  const std::int64_t n = shape_.n_embd;
  ForRows(call, [&](std::int64_t row) {
    const std::span<const float> from = Row(x, row, n);
    std::copy(from.begin(), from.end(), Row(y, row, n).begin());
  });
}

void TrainableDecoder::AddRows(const Call& call, const Floats& x, Floats& y) {
  const std::int64_t n = shape_.n_embd;
  ForRows(call, [&](std::int64_t row) { numerics::Add(Row(x, row, n), Row(y, row, n)); });
}

void TrainableDecoder::ScaleRows(const Call& call, float factor, Floats& x) {
  const std::int64_t n = shape_.n_embd;
  ForRows(call, [&](std::int64_t row) { numerics::Scale(factor, Row(x, row, n)); });
}

void TrainableDecoder::AddBlock(const Call& call, std::uint32_t site, const NormPart& norm,
                                const Floats& block, std::vector<NormStatistics>& at,
                                Floats& stream) {
  if (norm.weight != kNone) NormForward(call, norm, block, at, block_);
  Drop(call, site, block_);
  AddRows(call, block_, stream);
}

// ---- forward

void TrainableDecoder::Embed(const Call& call, Floats& x) {
  const auto n = static_cast<std::size_t>(shape_.n_embd);
  ForRows(call, [&](std::int64_t row) {
    const std::int32_t token = call.batch.tokens[static_cast<std::size_t>(row)];
    TATARA_CHECK(token >= 0 && token < shape_.n_vocab);
    const std::span<float> to = Row(x, row, shape_.n_embd);
    EmbeddingRow(call, token, to);
    if (layout_.positions == kNone) return;
    numerics::Add({call.weights + layout_.positions + Position(call, row) * shape_.n_embd, n}, to);
  });
  if (layout_.embedding_scale != 1) ScaleRows(call, layout_.embedding_scale, x);
  Drop(call, 0, x);
}

// s.middle = in + post(Wo attend(rope(norm(Wqkv norm(in))))), those norms where the family has
// them.
void TrainableDecoder::AttentionForward(const Call& call, int layer, const Floats& in,
                                        LayerState& s) {
  const LayerParts& w = layout_.layers[static_cast<std::size_t>(layer)];
  const std::int64_t n = shape_.n_embd;
  NormForward(call, w.attn_norm, in, s.attn_at, s.normed);
  Keep(call, layer, &LayerState::normed, s);
  for (const LinearPart& part : w.qkv)
    LinearForward(call, part, s.normed, n, s.qkv, layout_.n_qkv());
  NormHeads(call, layer, s);
  Rotate(call, layer, s.qkv, false);
  Keep(call, layer, &LayerState::qkv, s);
  numerics::CausalAttention(AttentionOf(call, layer, s),
                            {s.attended.data(), s.maxima.data(), s.sums.data()}, attention_,
                            call.pool);
  Keep(call, layer, &LayerState::attended, s);
  Floats& block = BlockOf(w.attn_post_norm, s.attn_block);
  LinearForward(call, w.output, s.attended, layout_.n_q(), block, n);
  if (layout_.post_norms) Keep(call, layer, &LayerState::attn_block, s);
  CopyRows(call, in, s.middle);
  AddBlock(call, static_cast<std::uint32_t>(2 * layer + 1), w.attn_post_norm, block, s.attn_post_at,
           s.middle);
}

void TrainableDecoder::Activate(const Call& call, LayerState& s) {
  ForRows(call, [&](std::int64_t row) {
    const std::span<const float> inner = Row(std::as_const(s.inner), row, layout_.n_inner());
    const std::span<float> y = Row(s.activated, row, shape_.n_ff);
    const bool gelu = layout_.activation == numerics::Activation::kGeluTanh;
    if (!layout_.gated) {
      std::copy(inner.begin(), inner.end(), y.begin());
      numerics::GeluTanh(y);
    } else {
      (gelu ? numerics::GeluTanhMul : numerics::SiluMul)(inner.first(y.size()),
                                                         inner.last(y.size()), y);
    }
    if (Rounds(call)) numerics::RoundToBF16(y);
  });
}

// out = s.middle + post(Wdown f(Winner norm(s.middle))). `out` may be null where only the state is
// wanted.
void TrainableDecoder::LayerForward(const Call& call, int layer, const Floats& in, LayerState& s,
                                    Floats* out) {
  const LayerParts& w = layout_.layers[static_cast<std::size_t>(layer)];
  const std::int64_t n = shape_.n_embd;
  AttentionForward(call, layer, in, s);
  NormForward(call, w.ffn_norm, s.middle, s.ffn_at, s.ffn_normed);
  Keep(call, layer, &LayerState::ffn_normed, s);
  if (out != nullptr) CopyRows(call, s.middle, *out);
  Keep(call, layer, &LayerState::middle, s);
  for (const LinearPart& part : w.inner)
    LinearForward(call, part, s.ffn_normed, n, s.inner, layout_.n_inner());
  Keep(call, layer, &LayerState::inner, s);
  Activate(call, s);
  if (out == nullptr && !layout_.post_norms) return;
  Floats& block = BlockOf(w.ffn_post_norm, s.ffn_block);
  LinearForward(call, w.down, s.activated, shape_.n_ff, block, n);
  if (layout_.post_norms) Keep(call, layer, &LayerState::ffn_block, s);
  if (out == nullptr) {
    NormForward(call, w.ffn_post_norm, block, s.ffn_post_at, block_);
    return;
  }
  AddBlock(call, static_cast<std::uint32_t>(2 * layer + 2), w.ffn_post_norm, block, s.ffn_post_at,
           *out);
}

void TrainableDecoder::Forward(const Call& call) {
  Prepare(call);
  Embed(call, StreamOf(0));
  for (int i = 0; i < shape_.n_layers; ++i) {
    LayerState& state = StateOf(call, i);
    LayerForward(call, i, StreamOf(i), state, &StreamOf(i + 1));
    if (!Stores(call)) continue;
    KeepInput(call, i, StreamOf(i));
    StoreStatistics(call, i, state);
  }
  NormForward(call, layout_.final_norm, StreamOf(shape_.n_layers), final_at_, final_normed_);
}

}  // namespace tatara::model
