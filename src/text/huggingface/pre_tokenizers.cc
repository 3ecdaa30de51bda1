#include <utility>

#include "huggingface/components.h"
#include "named_splits.h"
#include "tatara/base/localise.h"

namespace tatara::text::huggingface {
namespace {

using Behaviour = PreTokenizer::Behaviour;

// An expression for exactly this text.
std::string Quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       static_cast<unsigned char>(c) >= 0x80;
    if (!plain) out += '\\';
    out += c;
  }
  return out;
}

Result<Behaviour> ReadBehaviour(const JsonPlace& place, std::string_view otherwise) {
  TATARA_TRY(const std::string name, place.StringOr("behavior", otherwise));
  if (name == "Removed") return Behaviour::kRemoved;
  if (name == "Isolated") return Behaviour::kIsolated;
  if (name == "MergedWithPrevious") return Behaviour::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behaviour::kMergedWithNext;
  if (name == "Contiguous") return Behaviour::kContiguous;
  return place.Unknown(MarkText("behavior"), name);
}

class Reader {
 public:
  explicit Reader(PreTokenizer& pre_tokenizer) : pre_tokenizer_(pre_tokenizer) {}

  Result<> Read(const JsonPlace& place, int depth) {
    if (place.IsNull()) return Ok{};
    if (depth > kNestingMax || ++n_ > PreTokenizer::kStepsMax) {
      return place.Expected(MarkText("fewer components"));
    }
    TATARA_TRY(const std::string type, place.String("type"));
    if (type == "Sequence") {
      TATARA_TRY(const auto list, place.List("pretokenizers", PreTokenizer::kStepsMax));
      for (const JsonPlace& element : list) {
        TATARA_RETURN_IF_ERROR(Read(element, depth + 1));
      }
      return Ok{};
    }
    // What follows ByteLevel sees its alphabet.
    if (std::exchange(mapped_, false)) pre_tokenizer_.AddByteAlphabet();
    return ReadStep(place, type);
  }
  bool mapped() const { return mapped_; }

 private:
  Result<> Add(const JsonPlace& place, std::string_view expression, Behaviour behaviour,
               bool invert = false) {
    TATARA_TRY(SplitRegex regex, SplitRegex::Compile(expression, place.Named()));
    pre_tokenizer_.AddSplit(std::move(regex), behaviour, invert);
    return Ok{};
  }

  Result<> ReadStep(const JsonPlace& place, std::string_view type) {
    if (type == "ByteLevel") return ReadByteLevel(place);
    if (type == "Split") return ReadSplit(place);
    if (type == "Metaspace") return ReadMetaspace(place);
    if (type == "Whitespace") {
      // \w of Rust's regular expressions: with the joiners, without Oniguruma's raised digits.
      return Add(place,
                 R"([[\w\x{200C}\x{200D}]&&[^\xB2\xB3\xB9\xBC-\xBE]]+)"
                 R"(|[[^\w\s\x{200C}\x{200D}]\xB2\xB3\xB9\xBC-\xBE]+)",
                 Behaviour::kRemoved, /*invert=*/true);
    }
    if (type == "WhitespaceSplit") return Add(place, R"(\s)", Behaviour::kRemoved);
    if (type == "BertPreTokenizer") {
      TATARA_RETURN_IF_ERROR(Add(place, R"(\s)", Behaviour::kRemoved));
      return Add(place, BertPunctuation(), Behaviour::kIsolated);
    }
    if (type == "Punctuation") {
      TATARA_TRY(const Behaviour behaviour, ReadBehaviour(place, "Isolated"));
      return Add(place, BertPunctuation(), behaviour);
    }
    if (type == "Digits") {
      TATARA_TRY(const bool individual, place.BoolOr("individual_digits", false));
      return Add(place, R"(\p{N})", individual ? Behaviour::kIsolated : Behaviour::kContiguous);
    }
    if (type == "CharDelimiterSplit") {
      TATARA_TRY(const std::string delimiter, place.String("delimiter"));
      if (delimiter.empty()) return place.Expected(MarkText("a delimiter"));
      return Add(place, Quoted(delimiter), Behaviour::kRemoved);
    }
    return place.Unknown(MarkText("pre-tokenizer"), type);
  }

  Result<> ReadByteLevel(const JsonPlace& place) {
    TATARA_TRY(const bool leading_space, place.BoolOr("add_prefix_space", true));
    TATARA_TRY(const bool splits, place.BoolOr("use_regex", true));
    if (leading_space) pre_tokenizer_.AddLeadingSpace();
    mapped_ = true;
    return splits ? Add(place, Gpt2Expression(), Behaviour::kIsolated) : Result<>(Ok{});
  }

  Result<> ReadSplit(const JsonPlace& place) {
    TATARA_TRY(const Behaviour behaviour, ReadBehaviour(place, ""));
    TATARA_TRY(const bool invert, place.BoolOr("invert", false));
    TATARA_TRY(const JsonPlace pattern, place.Member("pattern"));
    TATARA_TRY(const JsonPlace regex, pattern.Member("Regex"));
    if (!regex.IsNull()) {
      TATARA_TRY(const std::string expression, pattern.String("Regex"));
      return Add(regex, expression, behaviour, invert);
    }
    TATARA_TRY(const std::string text, pattern.String("String"));
    if (text.empty()) return pattern.Expected(MarkText("a pattern that is not empty"));
    return Add(pattern, Quoted(text), behaviour, invert);
  }

  Result<> ReadMetaspace(const JsonPlace& place) {
    PreTokenizer::Marks marks;
    TATARA_TRY(marks.mark, place.String("replacement"));
    if (marks.mark.empty() || marks.mark == " ") return place.Expected(MarkText("a replacement"));
    TATARA_TRY(const bool prefix, place.BoolOr("add_prefix_space", true));
    TATARA_TRY(const std::string scheme,
               place.StringOr("prepend_scheme", prefix ? "always" : "never"));
    if (scheme == "always") {
      marks.prepend = PreTokenizer::Prepend::kAlways;
    } else if (scheme == "first") {
      marks.prepend = PreTokenizer::Prepend::kFirst;
    } else if (scheme == "never") {
      marks.prepend = PreTokenizer::Prepend::kNever;
    } else {
      return place.Unknown(MarkText("prepend_scheme"), scheme);
    }
    TATARA_TRY(marks.split, place.BoolOr("split", true));
    pre_tokenizer_.AddMarks(std::move(marks));
    return Ok{};
  }

  PreTokenizer& pre_tokenizer_;
  std::size_t n_ = 0;
  bool mapped_ = false;  // the last step was ByteLevel
};

}  // namespace

Result<> ReadPreTokenizer(const JsonPlace& place, PreTokenizer& pre_tokenizer, bool& over_bytes) {
  Reader reader(pre_tokenizer);
  TATARA_RETURN_IF_ERROR(reader.Read(place, 0));
  over_bytes = reader.mapped();
  return Ok{};
}

}  // namespace tatara::text::huggingface
