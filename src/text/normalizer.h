// Changes made to a text before it is cut: a list of steps in order, those of tokenizer.json and of
// SentencePiece. Texts are valid UTF-8. Thread safety: immutable once filled.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "character_map.h"
#include "split_regex.h"
#include "tatara/base/error.h"
#include "unicode_forms.h"

namespace tatara::text {

class Normalizer {
 public:
  static constexpr std::size_t kStepsMax = 64;
  // Where a text has grown to this many times itself and these bytes, replacing ends.
  static constexpr std::size_t kGrowthMax = 64, kGrowthBytesMin = 1 << 16;

  struct Form {
    UnicodeForm form;
  };
  struct Lowercase {};
  struct StripAccents {};  // drops all marks
  struct Strip {
    bool left = true, right = true;
  };
  struct Prepend {
    std::string text;
  };
  struct ReplaceText {
    std::string from, to;
  };
  struct ReplaceMatches {
    std::vector<SplitRegex> regex;  // one
    std::string to;
  };
  struct Bert {
    bool clean = true, spaces_chinese = true, strip_accents = true, lowercase = true;
  };
  struct Nmt {};  // SentencePiece's clean-up for machine translation
  struct ByteAlphabet {};
  struct Map {
    CharacterMap map;
    bool by_grapheme = false;
  };
  struct CodePointMap {
    std::map<char32_t, std::string> to;
  };
  // White space as SentencePiece has it: runs of spaces become one, those at the ends go where
  // `trim`; one goes in front where `prefix`; all become U+2581.
  struct Spaces {
    bool squeeze = true, trim = true, prefix = true;
    bool prefix_only_at_start = false;  // of a text, not after a special token
  };
  using Step = std::variant<Form, Lowercase, StripAccents, Strip, Prepend, ReplaceText,
                            ReplaceMatches, Bert, Nmt, ByteAlphabet, Map, CodePointMap, Spaces>;

  void Add(Step step) { steps_.push_back(std::move(step)); }
  bool empty() const { return steps_.empty(); }
  std::size_t size() const { return steps_.size(); }
  // `at_start`: the text is the beginning of one.
  void Apply(std::string& text, bool at_start = true) const;

 private:
  std::vector<Step> steps_;
};

// The key of a GGUF file of this program with the form of Unicode that texts are brought to first.
inline constexpr std::string_view kNormalFormKey = "tokenizer.tatara.normal_form";

// A step that brings texts to the form called nfc, nfd, nfkc or nfkd; none where `name` is empty.
Result<> AddForm(std::string_view name, std::string_view origin, Normalizer& normalizer);

}  // namespace tatara::text
