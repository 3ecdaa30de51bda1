#include "tatara/corpus/token_store.h"

#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "tatara/base/sha256.h"

namespace tatara::corpus {
namespace {

static_assert(std::endian::native == std::endian::little);

struct MemoryStore final : TokenStore {
  std::vector<std::int32_t> ids_held;
  std::vector<std::uint64_t> offsets_held, keys_held;
  std::vector<std::uint8_t> counts_held;
  std::vector<std::uint32_t> sources_held;
};

// Keys in their order, each value by its kind; texts with their lengths.
void UpdateWith(Sha256& digest, const Metadata& keys) {
  const auto number = [&](const auto& value) {
    digest.Update(std::as_bytes(std::span(&value, 1)));
  };
  const auto text = [&](const std::string& value) {
    number(static_cast<std::uint64_t>(value.size()));
    digest.Update(value);
  };
  for (const auto& [key, value] : keys.values()) {
    text(key);
    number(static_cast<std::uint64_t>(value.index()));
    std::visit(
        [&]<typename T>(const T& held) {
          if constexpr (std::is_same_v<T, std::string>) {
            text(held);
          } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
            number(static_cast<std::uint64_t>(held.size()));
            for (const std::string& one : held) text(one);
          } else if constexpr (std::is_same_v<T, std::vector<bool>>) {
            number(static_cast<std::uint64_t>(held.size()));
            for (const bool one : held) number(one);
          } else if constexpr (requires { held.begin(); }) {
            number(static_cast<std::uint64_t>(held.size()));
            digest.Update(std::as_bytes(std::span(held)));
          } else {
            number(held);
          }
        },
        value);
  }
}

}  // namespace

std::int32_t TokenStore::Id(std::uint64_t token) const {
  if (id_bytes == 2) {
    std::uint16_t id;
    std::memcpy(&id, ids.data() + token * 2, 2);
    return id;
  }
  std::int32_t id;
  std::memcpy(&id, ids.data() + token * 4, 4);
  return id;
}

std::string DigestOf(const TokenStore& store) {
  Sha256 digest;
  digest.Update("tatara documents 1\n");
  if (store.id_bytes == 4) {
    digest.Update(store.ids);
  } else {
    std::array<std::int32_t, 4096> wide{};
    const std::uint64_t n = store.ids.size() / 2;
    for (std::uint64_t at = 0; at < n; at += wide.size()) {
      const std::uint64_t some = std::min<std::uint64_t>(wide.size(), n - at);
      for (std::uint64_t i = 0; i < some; ++i) wide[i] = store.Id(at + i);
      digest.Update(std::as_bytes(std::span(wide).first(some)));
    }
  }
  digest.Update(std::as_bytes(store.offsets));
  digest.Update(std::as_bytes(store.keys)).Update(std::as_bytes(store.sources));
  digest.Update(store.counts.empty() ? "all" : "counts").Update(std::as_bytes(store.counts));
  UpdateWith(digest, store.tokenizer_keys);
  return ToHex(digest.Finish());
}

void TokenStoreBuilder::Add(const ChatIds& document, std::uint64_t key, std::uint32_t source) {
  if (document.ids.size() < 2) return;
  ids_.insert(ids_.end(), document.ids.begin(), document.ids.end());
  counts_.insert(counts_.end(), document.counts.begin(), document.counts.end());
  counts_.resize(ids_.size(), 1);
  offsets_.push_back(ids_.size());
  keys_.push_back(key);
  sources_.push_back(source);
}

std::shared_ptr<const TokenStore> TokenStoreBuilder::Finish(
    std::shared_ptr<const text::Tokenizer> tokenizer, Metadata tokenizer_keys,
    std::vector<std::string> source_names, std::string manifest) {
  auto store = std::make_shared<MemoryStore>();
  store->ids_held = std::move(ids_);
  store->offsets_held = std::move(offsets_);
  store->keys_held = std::move(keys_);
  store->counts_held = std::move(counts_);
  store->sources_held = std::move(sources_);
  store->ids = std::as_bytes(std::span<const std::int32_t>(store->ids_held));
  store->offsets = store->offsets_held;
  store->keys = store->keys_held;
  store->counts = store->counts_held;
  store->sources = store->sources_held;
  store->tokenizer = std::move(tokenizer);
  store->tokenizer_keys = std::move(tokenizer_keys);
  store->source_names = std::move(source_names);
  store->digest = DigestOf(*store);
  store->manifest = std::move(manifest);
  return store;
}

}  // namespace tatara::corpus
