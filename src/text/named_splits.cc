#include "named_splits.h"

#include <algorithm>
#include <array>
#include <string>

namespace tatara::text {
namespace {

// The expressions as the publishers' tokenizer files have them, in their order. Digits(individual)
// of those files is \p{N}, Punctuation a class of ASCII punctuation and \p{P}.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kOneDigit = R"(\p{N})";
constexpr std::string_view kThreeDigits = R"(\p{N}{1,3})";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
    R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kJais2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S))"
    R"(|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";
constexpr std::string_view kO200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kKimi =
    R"([\p{Han}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kMiniCpm5 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kThreesFromTheRight = R"(\d{1,3}(?=(?:\d{3})*\b))";
constexpr std::string_view kLines = R"([^\n]+|[\n]+)";

constexpr std::string_view kDeepSeekV3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kHanAndKana = R"([\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+)";
constexpr std::string_view kLineEnd = R"([\r\n])";
constexpr std::string_view kHanAndMore = R"([\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+)";
// Letters that have case, as of Unicode 11.
constexpr std::string_view kDeepSeekLetters =
    R"(\s?[A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF)"
    R"(\u0370-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5)"
    R"(\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA)"
    R"(\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45)"
    R"(\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE)"
    R"(\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC)"
    R"(\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139)"
    R"(\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3)"
    R"(\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06)"
    R"(\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\u{10400}-\u{1044F}\u{104B0}-\u{104D3}\u{104D8}-\u{104FB})"
    R"(\u{10C80}-\u{10CB2}\u{10CC0}-\u{10CF2}\u{118A0}-\u{118DF}\u{1E900}-\u{1E943}]+)";
constexpr std::string_view kDeepSeekPunctuation =
    R"(\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+)";

constexpr std::string_view kBloom = R"( ?[^(\s|[.,!?…。，、।۔،])]+)";
constexpr std::string_view kPunctuationRun = R"([\p{P}\$\+<=>\^~\|]+)";
constexpr std::string_view kFalconPunctuation = R"([\p{P}\$\+<=>\^~\|`]+)";
constexpr std::string_view kThreeAsciiDigits = R"([0-9][0-9][0-9])";

constexpr std::string_view kYoutuScripts =
    R"([가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+)";
constexpr std::string_view kYoutu =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

using Names = std::vector<std::string_view>;
struct Row {
  Names names;
  NamedSplits splits;
};

const std::vector<Row>& Table() {
  static const std::vector<Row> table = {
      // Files converted before pre-tokenizers had names, and those that say "default": split as
      // such
      // files have always been run.
      {{"default"}, {.expressions = {kPunctuationRun, kGpt2, R"(\p{N}+)", kThreeAsciiDigits}}},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
        "jina-v5-nano"},
       {.expressions = {kLlama3}, .whole_pieces = true, .adds_start = true}},
      {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {.expressions = {kLlama3}}},
      {{"jais-2"}, {.expressions = {kJais2}}},
      {{"deepseek-llm"},
       {.expressions = {kLineEnd, kDeepSeekLetters, kDeepSeekPunctuation, R"(\s+$)", kHanAndMore,
                        R"(\p{N}+)"}}},
      {{"deepseek-coder"},
       {.expressions = {kLineEnd, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kHanAndMore, kOneDigit}}},
      {{"deepseek-v3", "hunyuan-dense", "joyai-llm"},
       {.expressions = {kThreeDigits, kHanAndKana, kDeepSeekV3}}},
      {{"falcon"}, {.expressions = {kFalconPunctuation, kGpt2, kThreeAsciiDigits}}},
      {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b",
        "mellum2"},
       {.expressions = {kOneDigit, kGpt2}}},
      {{"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "gigachat",
        "a.x-4.0", "mellum", "modern-bert", "exaone4", "jina-es", "jina-de", "jina-v2-es",
        "jina-v2-de"},
       {.expressions = {kGpt2}}},
      {{"jina-v1-en", "jina-v2-code", "roberta-bpe"}, {.expressions = {kGpt2}, .surrounds = true}},
      {{"qwen2"}, {.expressions = {kQwen2}, .composes = true}},
      {{"qwen35"}, {.expressions = {kQwen35}, .composes = true}},
      {{"stablelm2", "hunyuan", "solar-open", "deepseek-r1-qwen", "megrez", "kormo", "f2llmv2",
        "grok-2"},
       {.expressions = {kQwen2}}},
      {{"laguna"}, {.expressions = {kLines, kQwen2}}},
      {{"poro-chat", "bloom", "gpt3-finnish"}, {.expressions = {kBloom}}},
      {{"viking"}, {.expressions = {kBloom, kOneDigit}}},
      {{"tekken"}, {.expressions = {kTekken}, .whole_pieces = true, .adds_start = true}},
      {{"chameleon"},
       {.expressions = {R"(<sentinel:[0-9]+>)", R"((IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z)",
                        R"(([\t\n]|    |  ))", kOneDigit, R"([\p{P}!-/:-@\[-`{-~])", kGpt2},
        .adds_start = true}},
      {{"gpt-4o", "llama4", "kanana2", "minimax-m2"}, {.expressions = {kO200k}}},
      {{"granite-embed-multi-97m"}, {.expressions = {kO200k}, .whole_pieces = true}},
      {{"tiny_aya", "cohere2moe"}, {.expressions = {kThreesFromTheRight, kO200k}}},
      {{"kimi-k2"}, {.expressions = {kKimi}}},
      {{"superbpe"}, {.expressions = {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}}},
      {{"bailingmoe", "bailingmoe2", "llada-moe"}, {.expressions = {kBailing}}},
      {{"seed-coder"}, {.expressions = {kSeedCoder}}},
      {{"exaone-moe"}, {.expressions = {kExaoneMoe}}},
      {{"minicpm5"}, {.expressions = {kThreeDigits, kMiniCpm5}, .whole_pieces = true}},
      {{"youtu"}, {.expressions = {kYoutuScripts, kYoutu}, .whole_pieces = true}},
  };
  return table;
}

std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view Gpt2Expression() {
  return kGpt2;
}

std::string_view BertPunctuation() {
  return R"([!-/:-@\[-`{-~[\p{P}\u166D\u{111C9}&&\p{Age=8.0}]])";
}

std::vector<std::string_view> KnownSplitNames() {
  std::vector<std::string_view> names;
  for (const Row& row : Table()) names.insert(names.end(), row.names.begin(), row.names.end());
  return names;
}

Result<NamedSplits> SplitsOfName(std::string_view name, std::string_view origin) {
  for (const Row& row : Table()) {
    for (const std::string_view known : row.names) {
      if (known != name) continue;
      NamedSplits splits = row.splits;
      splits.name = known;
      return splits;
    }
  }
  constexpr std::size_t kNameBytesMax = 200;
  const std::string_view shown = name.substr(0, kNameBytesMax);
  std::string_view nearest;
  std::size_t least = ~std::size_t{0};
  for (const std::string_view known : KnownSplitNames()) {
    const std::size_t distance = EditDistance(shown, known);
    if (distance < least) least = distance, nearest = known;
  }
  return Refuse(
      "{0}: '{1}' is '{2}', which this program does not know (the nearest it knows is '{3}')",
      origin, "tokenizer.ggml.pre", shown, nearest);
}

}  // namespace tatara::text
