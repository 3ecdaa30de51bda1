#include "tatara/corpus/char_text.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include "tatara/base/files.h"
#include "tatara/base/sha256.h"

namespace tatara::corpus {
namespace {

constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 30;

// The code point at `at`, which moves behind it; -1 where the bytes are not UTF-8 (RFC 3629).
std::int32_t NextCodePoint(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(at);
  const int n_more = first < 0x80   ? 0
                     : first < 0xc2 ? -1
                     : first < 0xe0 ? 1
                     : first < 0xf0 ? 2
                     : first < 0xf5 ? 3
                                    : -1;
  if (n_more < 0 || at + static_cast<std::size_t>(n_more) >= text.size()) return -1;
  std::uint32_t code = n_more == 0 ? first : first & (0x3fU >> n_more);
  for (int i = 1; i <= n_more; ++i) {
    const unsigned next = byte(at + static_cast<std::size_t>(i));
    if ((next & 0xc0) != 0x80) return -1;
    code = code << 6 | (next & 0x3f);
  }
  const bool overlong = (n_more == 2 && code < 0x800) || (n_more == 3 && code < 0x10000);
  if (overlong || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff) return -1;
  at += static_cast<std::size_t>(n_more) + 1;
  return static_cast<std::int32_t>(code);
}

std::string Utf8Of(std::int32_t code) {
  const auto c = static_cast<std::uint32_t>(code);
  std::string text;
  const auto add = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
  if (c < 0x80) {
    add(c);
  } else if (c < 0x800) {
    add(0xc0 | c >> 6);
    add(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    add(0xe0 | c >> 12);
    add(0x80 | (c >> 6 & 0x3f));
    add(0x80 | (c & 0x3f));
  } else {
    add(0xf0 | c >> 18);
    add(0x80 | (c >> 12 & 0x3f));
    add(0x80 | (c >> 6 & 0x3f));
    add(0x80 | (c & 0x3f));
  }
  return text;
}

std::string DigestOf(const CharText& text) {
  Sha256 digest;
  for (const std::string& piece : text.vocabulary) digest.Update(piece).Update("\n");
  for (const auto* ids : {&text.training, &text.validation}) {
    digest.Update(std::as_bytes(std::span(*ids)));
  }
  return ToHex(digest.Finish());
}

}  // namespace

std::string CharText::Decode(const std::vector<std::int32_t>& ids) const {
  std::string text;
  for (const std::int32_t id : ids) {
    if (id >= 0 && static_cast<std::size_t>(id) < vocabulary.size()) {
      text += vocabulary[static_cast<std::size_t>(id)];
    }
  }
  return text;
}

Result<CharText> ReadCharText(const CharTextOptions& options) {
  const std::string name = options.path.string();
  TATARA_TRY(const std::string bytes, ReadWholeFile(options.path, kBytesMax));
  const std::string found = Sha256Hex(bytes);
  if (!options.sha256.empty() && options.sha256 != found) {
    return Refuse("{0}: SHA-256 is {1}, the recipe states {2}", name, found, options.sha256);
  }
  std::vector<std::int32_t> codes;
  codes.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t start = at;
    const std::int32_t code = NextCodePoint(bytes, at);
    if (code < 0) return Refuse("{0}: not UTF-8 at byte {1}", name, start);
    codes.push_back(code);
  }
  if (!(options.validation_fraction >= 0 && options.validation_fraction < 1)) {
    return Refuse("{0}: {1} of the text can not validate; 0 to below 1 is accepted", name,
                  options.validation_fraction);
  }
  const std::set<std::int32_t> distinct(codes.begin(), codes.end());
  const std::vector<std::int32_t> sorted(distinct.begin(), distinct.end());
  CharText text;
  for (const std::int32_t code : sorted) text.vocabulary.push_back(Utf8Of(code));
  for (std::int32_t& code : codes) {
    code = static_cast<std::int32_t>(std::ranges::lower_bound(sorted, code) - sorted.begin());
  }
  const auto n_validation = static_cast<std::ptrdiff_t>(
      std::floor(static_cast<double>(codes.size()) * options.validation_fraction));
  text.training.assign(codes.begin(), codes.end() - n_validation);
  text.validation.assign(codes.end() - n_validation, codes.end());
  text.digest = DigestOf(text);
  // Numbers and digests only: nothing in it needs escaping.
  text.manifest = fmt::format(
      "{{\"kind\":\"char\",\"bytes\":{},\"sha256\":\"{}\",\"vocabulary\":{},\"training_tokens\":{},"
      "\"validation_tokens\":{},\"digest\":\"{}\"}}",
      bytes.size(), found, text.vocabulary.size(), text.training.size(), text.validation.size(),
      text.digest);
  return text;
}

}  // namespace tatara::corpus
