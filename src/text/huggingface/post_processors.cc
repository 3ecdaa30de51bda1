#include <algorithm>

#include "huggingface/components.h"
#include "tatara/base/localise.h"

namespace tatara::text::huggingface {
namespace {

using Surroundings = PipelineTokenizer::Surroundings;
using Ids = std::vector<std::int32_t>;

constexpr std::size_t kTemplatePartsMax = 64, kTemplateIdsMax = 64;

Result<std::int32_t> CheckedId(const JsonPlace& place, const JsonPlace::Json& id,
                               const Vocabulary& vocabulary) {
  if (!id.is_number_integer() || id.get<std::int64_t>() < 0 ||
      id.get<std::int64_t>() >= vocabulary.size()) {
    return place.Expected(MarkText("an id of the vocabulary"));
  }
  return id.get<std::int32_t>();
}

// {"cls": ["[CLS]", 101], "sep": [...]}
Result<std::int32_t> IdOfPair(const JsonPlace& place, std::string_view key,
                              const Vocabulary& vocabulary) {
  TATARA_TRY(const JsonPlace pair, place.Member(key));
  if (!pair.value().is_array() || pair.value().size() != 2) {
    return pair.Expected(MarkText("a token and its id"));
  }
  return CheckedId(pair, pair.value()[1], vocabulary);
}

class TemplateReader {
 public:
  TemplateReader(const JsonPlace& place, const Vocabulary& vocabulary)
      : place_(place), vocabulary_(vocabulary) {}

  Result<Surroundings> Read() {
    Surroundings made;
    TATARA_TRY(const bool single, ReadList("single", {&made.before, &made.after}, made));
    if (!single) return place_.Expected(MarkText("one text in 'single'"));
    TATARA_TRY(made.knows_pairs,
               ReadList("pair", {&made.pair_before, &made.between, &made.pair_after}, made));
    return made;
  }

 private:
  // Ids go to the first list until a text comes, then to the next. True where there are as many
  // texts as the lists allow, in order.
  Result<bool> ReadList(std::string_view key, const std::vector<Ids*>& lists, Surroundings& made) {
    TATARA_TRY(const auto parts, place_.List(key, kTemplatePartsMax));
    std::size_t n_texts = 0;
    bool in_order = true;
    for (const JsonPlace& part : parts) {
      TATARA_TRY(const JsonPlace text, part.Member("Sequence"));
      if (!text.IsNull()) {
        TATARA_TRY(const std::string name, text.String("id"));
        in_order &= name == (n_texts == 0 ? "A" : "B");
        ++n_texts;
        TATARA_TRY(const std::int64_t segment, text.IntOr("type_id", 0));
        made.second_segment |= n_texts == 2 && segment == 1;
        continue;
      }
      if (n_texts >= lists.size()) return part.Expected(MarkText("fewer texts"));
      TATARA_RETURN_IF_ERROR(AppendSpecial(part, *lists[n_texts]));
    }
    return in_order && n_texts + 1 == lists.size();
  }

  Result<> AppendSpecial(const JsonPlace& part, Ids& ids) {
    TATARA_TRY(const JsonPlace special, part.Member("SpecialToken"));
    TATARA_TRY(const std::string name, special.String("id"));
    TATARA_TRY(const JsonPlace all, place_.Member("special_tokens"));
    TATARA_TRY(const JsonPlace token, all.Member(name));
    if (token.IsNull()) return token.Expected(MarkText("a special token"));
    TATARA_TRY(const auto list, token.List("ids", kTemplateIdsMax));
    for (const JsonPlace& element : list) {
      TATARA_TRY(const std::int32_t id, CheckedId(element, element.value(), vocabulary_));
      ids.push_back(id);
    }
    return Ok{};
  }

  const JsonPlace& place_;
  const Vocabulary& vocabulary_;
};

Result<std::optional<Surroundings>> Read(const JsonPlace& place, const Vocabulary& vocabulary,
                                         int depth) {
  std::optional<Surroundings> none;
  if (place.IsNull()) return none;
  if (depth > kNestingMax) return place.Expected(MarkText("fewer components"));
  TATARA_TRY(const std::string type, place.String("type"));
  if (type == "ByteLevel") return none;  // offsets only
  if (type == "Sequence") {
    TATARA_TRY(const auto list, place.List("processors", kTemplatePartsMax));
    for (const JsonPlace& element : list) {
      TATARA_TRY(const auto read, Read(element, vocabulary, depth + 1));
      if (read && none) return element.Expected(MarkText("one component that adds tokens"));
      if (read) none = read;
    }
    return none;
  }
  if (type == "TemplateProcessing") {
    TATARA_TRY(Surroundings made, TemplateReader(place, vocabulary).Read());
    return std::optional(std::move(made));
  }
  const bool roberta = type == "RobertaProcessing";
  if (!roberta && type != "BertProcessing") return place.Unknown(MarkText("post-processor"), type);
  TATARA_TRY(const std::int32_t start, IdOfPair(place, "cls", vocabulary));
  TATARA_TRY(const std::int32_t end, IdOfPair(place, "sep", vocabulary));
  return std::optional(Surroundings{.before = {start},
                                    .after = {end},
                                    .pair_before = {start},
                                    .between = roberta ? Ids{end, end} : Ids{end},
                                    .pair_after = {end},
                                    .knows_pairs = true,
                                    .second_segment = !roberta});
}

}  // namespace

Result<std::optional<Surroundings>> ReadPostProcessor(const JsonPlace& place,
                                                      const Vocabulary& vocabulary) {
  return Read(place, vocabulary, 0);
}

}  // namespace tatara::text::huggingface
