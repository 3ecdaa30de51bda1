// A log's state, signed: a signed note (C2SP signed-note, c2sp.org/signed-note) whose text is a
// checkpoint (C2SP tlog-checkpoint): the log's name, the number of its entries, the root of their
// tree, a line each. Ed25519 keys.
//
// Thread safety: free functions and values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tatara/base/error.h"
#include "tatara/base/sha256.h"
#include "tatara/ledger/keys.h"

namespace tatara::ledger {

inline constexpr std::size_t kNoteBytesMax = 64U << 10;

// A key as notes name it: key names hold neither spaces nor '+'.
struct NoteKey {
  std::string name;
  PublicKey key{};
};

// "NAME+ID+BASE64", the form in which keys are handed to those who check.
std::string NoteKeyText(const NoteKey& key);
Result<NoteKey> ParseNoteKey(std::string_view text);

// `text` ends with a line end. The note: the text, a blank line, a line for the signature.
std::string SignNote(std::string_view text, const std::string& name, const SigningKey& key);
// The text of a note that `key` has signed. Signatures of other keys are passed over. `path` names
// the note in refusals.
Result<std::string> OpenNote(std::string_view note, const NoteKey& key, const std::string& path);

struct Checkpoint {
  std::string origin;  // the log's name
  std::uint64_t size = 0;
  Digest root{};
};
std::string CheckpointText(const Checkpoint& checkpoint);
// Further lines, which the form allows, are passed over.
Result<Checkpoint> ParseCheckpoint(std::string_view text, const std::string& path);

}  // namespace tatara::ledger
