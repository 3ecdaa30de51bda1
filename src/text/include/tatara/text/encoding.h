// Bytes of a text file to UTF-8, strictly: a file is UTF-8, UTF-8 with a byte order mark, Shift_JIS
// (CP932) or EUC-JP as a whole, or it is refused.
//
// The rule, in this order:
//   1. a NUL byte, a UTF-16 or UTF-32 byte order mark, or an ISO-2022-JP escape: refused, with the
//   offset;
//   2. a UTF-8 byte order mark: the rest must be valid UTF-8;
//   3. valid UTF-8 (ASCII included): UTF-8;
//   4. valid in exactly one of CP932 and EUC-JP: that one;
//   5. valid in both: the reading with more hiragana, full-width katakana and 、。 wins; on a tie
//   the one
//      with fewer half-width katakana; on a tie CP932;
//   6. valid in none: refused, with the offset at which each encoding fails.
// Thread safety: free functions, any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "tatara/base/bytes.h"
#include "tatara/base/error.h"

namespace tatara::text {

enum class Encoding { kUtf8, kUtf8Bom, kShiftJis, kEucJp };
std::string_view EncodingName(
    Encoding encoding);  // "UTF-8", "UTF-8 with BOM", "Shift_JIS", "EUC-JP"

struct DecodedText {
  std::string text;  // valid UTF-8 without byte order mark; line ends as in the file
  Encoding encoding = Encoding::kUtf8;
};

// `name` names the file in errors.
Result<DecodedText> DecodeText(std::string_view name, ByteSpan bytes);

// Offset of the first byte that is not part of valid UTF-8 (RFC 3629: no surrogates, no overlong
// forms).
std::optional<std::size_t> FirstInvalidUtf8(std::string_view bytes);

}  // namespace tatara::text
