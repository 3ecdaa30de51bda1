// What a layer keeps for the way back, as bf16: rounded where it is written, loaded again into the
// one layer that is in work.
#include "tatara/numerics/bf16_storage.h"
#include "trainable_decoder.h"

namespace tatara::model {

// What is activated follows from the inner array: it is computed again, which costs little more
// than loading it.
void TrainableDecoder::LayOutKept() {
  kept_width_ = shape_.n_embd;  // of the stream before the layer
  const auto add = [&](Floats LayerState::* array, std::int64_t width) {
    kept_arrays_.push_back({array, width, kept_width_});
    kept_width_ += width;
  };
  add(&LayerState::normed, shape_.n_embd);
  if (layout_.qk_norms) add(&LayerState::qk_raw, layout_.n_q() + layout_.n_kv());
  add(&LayerState::qkv, layout_.n_qkv());
  add(&LayerState::attended, layout_.n_q());
  add(&LayerState::middle, shape_.n_embd);
  add(&LayerState::ffn_normed, shape_.n_embd);
  add(&LayerState::inner, layout_.n_inner());
  if (!layout_.post_norms) return;
  add(&LayerState::attn_block, shape_.n_embd);
  add(&LayerState::ffn_block, shape_.n_embd);
}

// The statistics go from the layer in work to its store and back whole: both have one size. A call
// that stores nothing gives the memory back, as it does where layers are kept whole.
void TrainableDecoder::PrepareStored(const Call& call) {
  if (!Stores(call)) return stored_.clear();
  const auto rows = static_cast<std::size_t>(call.n_rows);
  const LayerState& s = states_.front();
  stored_.resize(static_cast<std::size_t>(shape_.n_layers));
  for (StoredLayer& layer : stored_) {
    layer.values.resize(rows * static_cast<std::size_t>(kept_width_));
    layer.maxima.resize(s.maxima.size());
    layer.sums.resize(s.sums.size());
    layer.attn_at.resize(s.attn_at.size());
    layer.ffn_at.resize(s.ffn_at.size());
    layer.qk_at.resize(s.qk_at.size());
    layer.attn_post_at.resize(s.attn_post_at.size());
    layer.ffn_post_at.resize(s.ffn_post_at.size());
  }
}

// Row `row` of the array at `column`: arrays lie one after the other, each of all rows.
std::span<std::uint16_t> TrainableDecoder::StoredRow(int layer, std::int64_t column,
                                                     std::int64_t width, std::int64_t row) {
  StoredLayer& stored = stored_[static_cast<std::size_t>(layer)];
  const auto n_rows = static_cast<std::int64_t>(stored.values.size()) / kept_width_;
  return {stored.values.data() + column * n_rows + row * width, static_cast<std::size_t>(width)};
}

void TrainableDecoder::KeepRow(const Call& call, int layer, Floats LayerState::* array,
                               LayerState& s, std::int64_t row) {
  if (!Rounds(call)) return;
  const Kept& kept = *std::ranges::find(kept_arrays_, array, &Kept::array);
  const std::span<float> x = Row(s.*array, row, kept.width);
  if (Stores(call)) {
    numerics::RoundToBF16(x, StoredRow(layer, kept.column, kept.width, row));
  } else {
    numerics::RoundToBF16(x);
  }
}

void TrainableDecoder::Keep(const Call& call, int layer, Floats LayerState::* array,
                            LayerState& s) {
  if (!Rounds(call)) return;
  ForRows(call, [&](std::int64_t row) { KeepRow(call, layer, array, s, row); });
}

// The stream before the layer, when the way forward is done with it.
void TrainableDecoder::KeepInput(const Call& call, int layer, Floats& in) {
  if (!Rounds(call)) return;
  const std::int64_t n = shape_.n_embd;
  ForRows(call, [&](std::int64_t row) {
    if (Stores(call)) {
      numerics::RoundToBF16(Row(in, row, n), StoredRow(layer, 0, n, row));
    } else {
      numerics::RoundToBF16(Row(in, row, n));
    }
  });
}

void TrainableDecoder::StoreStatistics(const Call&, int layer, LayerState& s) {
  stored_[static_cast<std::size_t>(layer)].SwapStatistics(s);
}

void TrainableDecoder::LoadLayer(const Call& call, int layer, LayerState& s) {
  stored_[static_cast<std::size_t>(layer)].SwapStatistics(s);
  ForRows(call, [&](std::int64_t row) {
    const std::int64_t n = shape_.n_embd;
    numerics::LoadBF16(StoredRow(layer, 0, n, row), Row(StreamOf(layer), row, n));
    for (const Kept& kept : kept_arrays_) {
      numerics::LoadBF16(StoredRow(layer, kept.column, kept.width, row),
                         Row(s.*kept.array, row, kept.width));
    }
  });
  Activate(call, s);
}

}  // namespace tatara::model
