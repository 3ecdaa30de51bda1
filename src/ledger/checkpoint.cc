#include "tatara/ledger/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base64.h"

namespace tatara::ledger {
namespace {

constexpr char kEd25519 = 1;  // the algorithm's number, before the key and in its id
constexpr std::string_view kSignatureStart = "\xE2\x80\x94 ";  // an em dash and a space
constexpr int kSignaturesMax = 100;

bool IsKeyName(std::string_view name) {
  return !name.empty() && std::ranges::none_of(name, [](char c) {
    return c == ' ' || c == '+' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

std::string KeyBytes(const PublicKey& key) {
  return kEd25519 + std::string(reinterpret_cast<const char*>(key.data()), key.size());
}

// The first four bytes of SHA-256 over name, line end, algorithm and key.
std::string IdOf(const NoteKey& key) {
  const Digest digest = Sha256().Update(key.name + "\n" + KeyBytes(key.key)).Finish();
  return std::string(reinterpret_cast<const char*>(digest.data()), 4);
}

// Takes the next line, without its end; false where there is no line end.
bool TakeLine(std::string_view& text, std::string_view& line) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return false;
  line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return true;
}

// A line "— NAME BASE64". Empty where it is none of `key`'s; refused where it is no such line.
Result<std::string> SignatureIn(std::string_view line, const NoteKey& key,
                                const std::string& path) {
  const std::size_t space = line.rfind(' ');
  const bool begins = line.starts_with(kSignatureStart) && space >= kSignatureStart.size();
  const auto bytes = begins ? FromBase64(line.substr(space + 1)) : std::nullopt;
  if (!bytes || bytes->size() < 5) {
    return Refuse("{0}: a signature of the note is not as the form asks for", path);
  }
  const std::string_view name = line.substr(kSignatureStart.size(), space - kSignatureStart.size());
  if (name != key.name || !bytes->starts_with(IdOf(key))) return std::string();
  return bytes->substr(4);
}

}  // namespace

std::string NoteKeyText(const NoteKey& key) {
  return fmt::format("{}+{}+{}", key.name, ToHex(AsBytes(IdOf(key))), ToBase64(KeyBytes(key.key)));
}

Result<NoteKey> ParseNoteKey(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const std::size_t first = text.find('+');
  const std::size_t second = first == std::string_view::npos ? first : text.find('+', first + 1);
  NoteKey key;
  if (second != std::string_view::npos) {
    key.name = text.substr(0, first);
    const auto bytes = FromBase64(text.substr(second + 1));
    if (bytes && bytes->size() == key.key.size() + 1 && bytes->front() == kEd25519) {
      std::memcpy(key.key.data(), bytes->data() + 1, key.key.size());
      if (IsKeyName(key.name) && NoteKeyText(key) == text) return key;
    }
  }
  return Refuse("a log's key is written NAME+ID+BASE64; this one is not, or was changed");
}

std::string SignNote(std::string_view text, const std::string& name, const SigningKey& key) {
  const Signature signature = key.Sign(text);
  const std::string bytes =
      IdOf({name, key.public_key()}) +
      std::string(reinterpret_cast<const char*>(signature.data()), signature.size());
  return fmt::format("{}\n{}{} {}\n", text, kSignatureStart, name, ToBase64(bytes));
}

Result<std::string> OpenNote(std::string_view note, const NoteKey& key, const std::string& path) {
  // The text may hold blank lines itself: the last one parts it from the signatures.
  const std::size_t split = note.rfind("\n\n");
  if (note.size() > kNoteBytesMax || split == std::string_view::npos || !note.ends_with('\n')) {
    return Refuse("{0}: not a signed note (a text, a blank line, signatures)", path);
  }
  const std::string_view text = note.substr(0, split + 1);
  std::string_view rest = note.substr(split + 2), line;
  bool is_signed = false;
  for (int n = 0; TakeLine(rest, line); ++n) {
    if (n == kSignaturesMax) return Refuse("{0}: the note has too many signatures", path);
    TATARA_TRY(const std::string bytes, SignatureIn(line, key, path));
    if (bytes.empty()) continue;
    Signature signature;
    if (bytes.size() != signature.size()) {
      return Refuse("{0}: a signature of the note is not as the form asks for", path);
    }
    std::memcpy(signature.data(), bytes.data(), signature.size());
    if (!SignatureIsRight(key.key, text, signature)) {
      return Refuse("{0}: the note is not as '{1}' signed it", path, key.name);
    }
    is_signed = true;
  }
  if (!is_signed) return Refuse("{0}: the note is not signed by '{1}'", path, key.name);
  return std::string(text);
}

std::string CheckpointText(const Checkpoint& checkpoint) {
  return fmt::format("{}\n{}\n{}\n", checkpoint.origin, checkpoint.size,
                     ToBase64(AsText(checkpoint.root)));
}

Result<Checkpoint> ParseCheckpoint(std::string_view text, const std::string& path) {
  Checkpoint checkpoint;
  std::string_view origin, size, root;
  const bool has_lines =
      TakeLine(text, origin) && TakeLine(text, size) && TakeLine(text, root) && !origin.empty();
  const auto [end, error] =
      std::from_chars(size.data(), size.data() + size.size(), checkpoint.size);
  const bool is_number = !size.empty() && error == std::errc() &&
                         end == size.data() + size.size() && (size == "0" || size.front() != '0');
  const auto bytes = FromBase64(root);
  if (!has_lines || !is_number || !bytes || bytes->size() != checkpoint.root.size()) {
    return Refuse("{0}: not a checkpoint (the log's name, its size, the root of its tree)", path);
  }
  checkpoint.origin = origin;
  std::memcpy(checkpoint.root.data(), bytes->data(), bytes->size());
  return checkpoint;
}

}  // namespace tatara::ledger
