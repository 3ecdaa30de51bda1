#include "prepared/set_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>

#include "json_text.h"
#include "tatara/base/utf8.h"

namespace tatara::corpus {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
constexpr std::uint64_t kTokenizerBytesMax = std::uint64_t{1} << 29;
constexpr std::string_view kCannotWrite = "{0}: cannot write: {1}";

struct MappedStore final : TokenStore {
  std::vector<MappedFile> files;
};

// Names of the kinds that Metadata holds, in the order of its variant.
constexpr std::string_view kKinds[] = {"bool",  "int",  "uint",  "float",  "text",
                                       "bools", "ints", "uints", "floats", "texts"};

bool IsStorable(const Metadata::Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return IsValidUtf8(*text);
  if (const auto* number = std::get_if<double>(&value)) return std::isfinite(*number);
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    for (const std::string& text : *texts) {
      if (!IsValidUtf8(text)) return false;
    }
  }
  if (const auto* numbers = std::get_if<std::vector<double>>(&value)) {
    for (const double number : *numbers) {
      if (!std::isfinite(number)) return false;
    }
  }
  return true;
}

template <std::size_t I = 0>
Metadata::Value ValueOf(std::size_t kind, const Json& json) {
  if constexpr (I + 1 < std::variant_size_v<Metadata::Value>) {
    if (kind != I) return ValueOf<I + 1>(kind, json);
  }
  return json.get<std::variant_alternative_t<I, Metadata::Value>>();
}

Result<Metadata> ReadTokenizerKeys(const fs::path& path, const std::string& origin) {
  TATARA_TRY(const std::string text, ReadWholeFile(path, kTokenizerBytesMax));
  const auto json = ParseJson(text);
  Metadata keys(origin);
  if (!json || !json->is_object()) return Refuse("{0}: no keys of a tokenizer", path.string());
  for (const auto& [key, entry] : json->items()) {
    std::size_t kind = 0;
    try {
      const auto name = entry.at(0).get<std::string>();
      while (kind < std::size(kKinds) && name != kKinds[kind]) ++kind;
      if (kind == std::size(kKinds)) return Refuse("{0}: no keys of a tokenizer", path.string());
      keys.Set(key, ValueOf(kind, entry.at(1)));
    } catch (const nlohmann::json::exception&) {
      return Refuse("{0}: no keys of a tokenizer", path.string());
    }
  }
  return keys;
}

// A file of n values of T, mapped into `store`.
template <typename T>
Result<std::span<const T>> Map(MappedStore& store, const fs::path& path, std::uint64_t n) {
  TATARA_TRY(MappedFile file, MappedFile::Open(path));
  const ByteSpan bytes = file.bytes();
  if (bytes.size() / sizeof(T) != n || bytes.size() % sizeof(T) != 0) {
    return Refuse("{0}: {1} bytes, not the {2} values that the manifest states", path.string(),
                  bytes.size(), n);
  }
  store.files.push_back(std::move(file));
  return std::span<const T>(reinterpret_cast<const T*>(bytes.data()), n);
}

Result<> Check(const TokenStore& store, const SetShape& shape, const std::string& name) {
  std::uint64_t before = 0;
  for (std::uint64_t d = 0; d < shape.n_documents; ++d) {
    if (store.offsets[d] != before || store.offsets[d + 1] > shape.n_tokens ||
        store.offsets[d + 1] < before + 2) {
      return Refuse("{0}: document {1} does not lie where it should", name, d);
    }
    if (store.sources[d] >= shape.source_names.size()) {
      return Refuse("{0}: document {1} is of no source", name, d);
    }
    before = store.offsets[d + 1];
  }
  if (before != shape.n_tokens || (shape.n_documents == 0 && store.offsets[0] != 0)) {
    return Refuse("{0}: tokens that are of no document", name);
  }
  const std::int32_t n_vocab = store.tokenizer->vocabulary_size();
  for (std::uint64_t t = 0; t < shape.n_tokens; ++t) {
    const std::int32_t id = store.Id(t);
    if (id < 0 || id >= n_vocab) {
      return Refuse("{0}: token {1} is {2}, the vocabulary has {3}", name, t, id, n_vocab);
    }
  }
  return Ok{};
}

}  // namespace

Result<FileWriter> FileWriter::Create(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoError(kCannotWrite, path.string());
  return FileWriter(path.string(), fd);
}

FileWriter::~FileWriter() {
  if (fd_ >= 0) ::close(fd_);
}

Result<> FileWriter::Append(ByteSpan bytes) {
  buffer_.append(AsText(bytes));
  return buffer_.size() < kBufferBytes ? Result<>(Ok{}) : Flush();
}

Result<> FileWriter::Flush() {
  for (std::string_view left = buffer_; !left.empty();) {
    const ssize_t n = ::write(fd_, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(kCannotWrite, name_);
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  buffer_.clear();
  return Ok{};
}

Result<> FileWriter::Finish() {
  TATARA_RETURN_IF_ERROR(Flush());
  if (::fsync(fd_) != 0) return ErrnoError(kCannotWrite, name_);
  return Ok{};
}

Result<> WriteTokenizerKeys(const fs::path& path, const Metadata& keys) {
  Json json = Json::object();
  for (const auto& [key, value] : keys.values()) {
    if (!IsStorable(value)) {
      return Refuse("{0}: the tokenizer's key '{1}' is not UTF-8 or not finite", keys.origin(),
                    Printable(key));
    }
    json[key] = Json::array(
        {kKinds[value.index()], std::visit([](const auto& held) { return Json(held); }, value)});
  }
  return WriteFileAtomically(path, DumpJson(json) + "\n");
}

Result<std::shared_ptr<TokenStore>> OpenSetFiles(const fs::path& folder, const SetShape& shape) {
  auto store = std::make_shared<MappedStore>();
  TATARA_TRY(store->offsets,
             Map<std::uint64_t>(*store, folder / kOffsetsName, shape.n_documents + 1));
  TATARA_TRY(store->keys, Map<std::uint64_t>(*store, folder / kKeysName, shape.n_documents));
  TATARA_TRY(store->sources, Map<std::uint32_t>(*store, folder / kSourcesName, shape.n_documents));
  store->id_bytes = shape.id_bytes;
  if (shape.id_bytes == 2) {
    TATARA_TRY(const auto ids, Map<std::uint16_t>(*store, folder / kTokensName, shape.n_tokens));
    store->ids = std::as_bytes(ids);
  } else {
    TATARA_TRY(const auto ids, Map<std::int32_t>(*store, folder / kTokensName, shape.n_tokens));
    store->ids = std::as_bytes(ids);
  }
  if (shape.has_counts) {
    TATARA_TRY(store->counts, Map<std::uint8_t>(*store, folder / kCountsName, shape.n_tokens));
  }
  store->source_names = shape.source_names;
  TATARA_TRY(store->tokenizer_keys, ReadTokenizerKeys(folder / kTokenizerName, folder.string()));
  TATARA_TRY(store->tokenizer, text::Tokenizer::FromMetadata(store->tokenizer_keys));
  TATARA_RETURN_IF_ERROR(Check(*store, shape, folder.string()));
  return std::shared_ptr<TokenStore>(std::move(store));
}

}  // namespace tatara::corpus
