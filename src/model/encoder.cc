#include "tatara/model/encoder.h"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "encoder_base.h"
#include "keys.h"
#include "tatara/base/check.h"
#include "tatara/base/fp_environment.h"
#include "tatara/base/utf8.h"
#include "tatara/numerics/ops.h"

namespace tatara::model {
namespace {

constexpr std::array kEncoders = {
    EncoderArchitecture{"bert", LoadBert},
    EncoderArchitecture{"jina-bert-v2", LoadJinaBertV2},
    EncoderArchitecture{"modern-bert", LoadModernBert},
    EncoderArchitecture{"nomic-bert", LoadNomicBert},
    EncoderArchitecture{"nomic-bert-moe", LoadNomicBert},
};

const EncoderArchitecture* FindEncoder(std::string_view name) {
  const auto found = std::ranges::find(kEncoders, name, &EncoderArchitecture::name);
  return found == kEncoders.end() ? nullptr : &*found;
}

// The inputs of one batch: those from `first` on that fit together, at least one.
std::span<const EncoderInput> NextBatch(std::span<const EncoderInput> inputs, std::size_t first,
                                        std::int64_t tokens_max, std::int64_t pages_max) {
  std::int64_t tokens = 0, pages = 0;
  std::size_t end = first;
  while (end < inputs.size()) {
    const auto length = static_cast<std::int64_t>(inputs[end].tokens.size());
    tokens += length;
    pages += (length + numerics::kPageTokens - 1) / numerics::kPageTokens;
    if ((tokens > tokens_max || pages > pages_max) && end > first) break;
    ++end;
  }
  return inputs.subspan(first, end - first);
}

// One sequence's states (n, E) into out: (E), or (n, E) with kNone.
void PoolStates(std::span<const float> states, std::size_t n_embd, Pooling pooling,
                std::span<float> out) {
  switch (pooling) {
    case Pooling::kNone:
      std::ranges::copy(states, out.begin());
      return;
    case Pooling::kFirst:
      std::ranges::copy(states.first(n_embd), out.begin());
      return;
    case Pooling::kLast:
      std::ranges::copy(states.last(n_embd), out.begin());
      return;
    case Pooling::kMean:
      break;
  }
  std::ranges::fill(out, 0.0F);
  for (std::size_t i = 0; i < states.size(); i += n_embd) {
    numerics::Add(states.subspan(i, n_embd), out);
  }
  const auto n_tokens = static_cast<float>(states.size() / n_embd);
  for (float& value : out) value = value / n_tokens;
}

}  // namespace

std::span<const EncoderArchitecture> EncoderArchitectures() {
  return kEncoders;
}

bool Encoder::IsEncoder(const Metadata& metadata) {
  const auto name = metadata.String("general.architecture");
  if (!name) return false;
  if (FindEncoder(*name) != nullptr) return true;
  const auto pooling = metadata.IntOr(*name + ".pooling_type", 0);
  return pooling && *pooling != 0;
}

Result<std::unique_ptr<Encoder>> Encoder::Load(std::shared_ptr<const weights::TensorStore> store,
                                               const LoadOptions& options, ThreadPool& pool,
                                               ProgressSink* progress) {
  TATARA_CHECK(store != nullptr);
  const std::string origin = store->path().string();
  TATARA_TRY(const std::string name, store->metadata().String("general.architecture"));
  if (store->tensors().empty()) {
    return Refuse("{0}: a vocabulary only, without tensors: it turns text into ids, nothing else",
                  origin);
  }
  TATARA_TRY(const std::string type, store->metadata().StringOr("general.type", "model"));
  if (type != "model") {
    return Refuse("{0}: the key 'general.type' is '{1}'; only 'model' can be run by itself", origin,
                  Printable(type));
  }
  const EncoderArchitecture* architecture = FindEncoder(name);
  try {
    const LoadContext context{std::move(store), options, pool, progress};
    return architecture != nullptr ? architecture->load(context) : LoadEmbeddingDecoder(context);
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorKind::kUnavailable, "{0}: not enough memory to load this model", origin);
  }
}

std::int64_t Encoder::PagesOf(const EncoderInput& input) {
  return (static_cast<std::int64_t>(input.tokens.size()) + numerics::kPageTokens - 1) /
         numerics::kPageTokens;
}

std::int64_t Encoder::OutputRows(std::span<const EncoderInput> inputs, Pooling pooling) {
  if (pooling != Pooling::kNone) return static_cast<std::int64_t>(inputs.size());
  std::int64_t rows = 0;
  for (const EncoderInput& input : inputs) rows += static_cast<std::int64_t>(input.tokens.size());
  return rows;
}

Result<> Encoder::Encode(std::span<const EncoderInput> inputs, Pooling pooling, ThreadPool& pool,
                         std::span<float> out) {
  const auto n_embd = static_cast<std::size_t>(info_.n_embd);
  TATARA_CHECK(out.size() == static_cast<std::size_t>(OutputRows(inputs, pooling)) * n_embd);
  const ScopedFpEnvironment environment;
  for (std::size_t first = 0; first < inputs.size();) {
    const auto batch = NextBatch(inputs, first, kBatchTokens, batch_pages());
    TATARA_TRY(std::span<const float> states, States(batch, pool));
    for (const EncoderInput& input : batch) {
      const std::size_t length = input.tokens.size() * n_embd;
      const std::size_t written = pooling == Pooling::kNone ? length : n_embd;
      PoolStates(states.first(length), n_embd, pooling, out.first(written));
      states = states.subspan(length);
      out = out.subspan(written);
    }
    first += batch.size();
  }
  return Ok{};
}

Result<> Encoder::Classify(std::span<const EncoderInput> inputs, ThreadPool& pool,
                           std::span<float> out) {
  TATARA_CHECK(info_.n_classes > 0 &&
               out.size() == inputs.size() * static_cast<std::size_t>(info_.n_classes));
  std::vector<float> pooled(inputs.size() * static_cast<std::size_t>(info_.n_embd));
  TATARA_RETURN_IF_ERROR(Encode(inputs, info_.pooling, pool, pooled));
  const ScopedFpEnvironment environment;
  Head(pooled, pool, out);
  return Ok{};
}

void Encoder::Head(std::span<float>, ThreadPool&, std::span<float>) {
  TATARA_CHECK(false);  // info().n_classes is 0
}

}  // namespace tatara::model
