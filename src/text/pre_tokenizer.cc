#include "pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <span>

#include "text_shape.h"
#include "utf8.h"

namespace tatara::text {
namespace {

// The expressions as the published tokenizer.json files spell them. GPT-2's is the ByteLevel
// pre-tokenizer's own (Radford et al. 2019, encoder.py).
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kOneDigit =
    R"(\p{N})";  // Digits(individual_digits), before the next expression

// GGUF files that were converted before pre-tokenizers had names, and those that say "default": the
// splits that such files have always been run with. Falcon's Punctuation, ByteLevel, Digits, then
// triples.
constexpr std::string_view kPunctuationRun = R"([\p{P}\$\+<=>\^~\|]+)";
constexpr std::string_view kDigitRun = R"(\p{N}+)";
constexpr std::string_view kThreeDigits = R"([0-9][0-9][0-9])";

struct Row {
  std::string_view name;
  std::array<std::string_view, 4> stages;  // empty ones at the end are none
};

constexpr auto kTable = std::to_array<Row>({
    {"gpt-2", {kGpt2}},
    {"smollm", {kOneDigit, kGpt2}},
    {"qwen2", {kQwen2}},
    {"default", {kPunctuationRun, kGpt2, kDigitRun, kThreeDigits}},
});

// A JIT stack that the expressions of the table do not come near; they keep no state per character.
constexpr std::size_t kKeptBytesMax = 4 << 20;  // of the shape that a call leaves for the next one
constexpr std::size_t kJitStackBytesMin = 32 << 10, kJitStackBytesMax = 1 << 20;

}  // namespace

struct PreTokenizer::Stage {
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  };
  std::unique_ptr<pcre2_code, Free> code;
  bool jit = false;
};

struct PreTokenizer::Scratch::Impl {
  std::string shape;
  // One match block per stage: a stage goes on with its own after the later ones have run.
  std::vector<pcre2_match_data*> match;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* jit_stack = nullptr;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    for (pcre2_match_data* data : match) pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(jit_stack);
  }
};

PreTokenizer::Scratch::Scratch(const PreTokenizer& owner) : impl_(std::make_unique<Impl>()) {
  for (const Stage& stage : owner.stages_) {
    impl_->match.push_back(pcre2_match_data_create_from_pattern(stage.code.get(), nullptr));
    TATARA_CHECK(impl_->match.back() != nullptr);
  }
  impl_->context = pcre2_match_context_create(nullptr);
  TATARA_CHECK(impl_->context != nullptr);
  // Without JIT: the text's length alone bounds the work, no expression of the table goes back far.
  pcre2_set_match_limit(impl_->context, ~std::uint32_t{0});
  pcre2_set_depth_limit(impl_->context, ~std::uint32_t{0});
  impl_->jit_stack = pcre2_jit_stack_create(kJitStackBytesMin, kJitStackBytesMax, nullptr);
  if (impl_->jit_stack != nullptr) {
    pcre2_jit_stack_assign(impl_->context, nullptr, impl_->jit_stack);
  }
}

PreTokenizer::Scratch::~Scratch() = default;
PreTokenizer::PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

Result<PreTokenizer> PreTokenizer::ForName(std::string_view name, std::string_view origin) {
  const Row* row = nullptr;
  std::string known;
  for (const Row& candidate : kTable) {
    if (candidate.name == name) row = &candidate;
    known += known.empty() ? "" : ", ";
    known += candidate.name;
  }
  if (row == nullptr) {
    return Refuse("{0}: '{1}' is '{2}', which this program does not know (it knows {3})", origin,
                  "tokenizer.ggml.pre", name, known);
  }
  PreTokenizer made;
  for (const std::string_view expression : row->stages) {
    if (expression.empty()) break;
    const std::string over_shapes = ShapeExpression(expression);
    int error = 0;
    PCRE2_SIZE where = 0;
    Stage stage;
    stage.code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(over_shapes.data()),
                                   over_shapes.size(), 0, &error, &where, nullptr));
    TATARA_CHECK(stage.code != nullptr);
    // Refused where the system allows no executable memory; then the interpreter gives the same
    // matches.
    stage.jit = pcre2_jit_compile(stage.code.get(), PCRE2_JIT_COMPLETE) == 0;
    made.stages_.push_back(std::move(stage));
  }
  return made;
}

void PreTokenizer::Split(std::string_view text, Scratch& scratch,
                         FunctionRef<void(std::string_view piece)> piece) const {
  std::string& shape = scratch.impl_->shape;
  shape.clear();
  const bool valid = AppendShape(text, shape);
  const bool ascii = valid && shape.size() == text.size();
  SplitFrom(0, shape, scratch, [&](std::size_t n_characters) {
    std::size_t n_bytes = ascii ? n_characters : 0;
    for (std::size_t i = 0; !ascii && i < n_characters; ++i) {
      n_bytes += valid ? Utf8Length(text[n_bytes]) : ReadUtf8(text.substr(n_bytes)).length;
    }
    piece(text.substr(0, n_bytes));
    text.remove_prefix(n_bytes);
  });
  if (shape.capacity() > kKeptBytesMax) std::string().swap(shape);
}

void PreTokenizer::SplitFrom(std::size_t stage_index, std::string_view shape, Scratch& scratch,
                             FunctionRef<void(std::size_t n_characters)> piece) const {
  const Stage& stage = stages_[stage_index];
  const bool last = stage_index + 1 == stages_.size();
  const auto pass_on = [&](std::size_t begin, std::size_t end) {
    if (begin == end) return;
    if (last) {
      piece(end - begin);
    } else {
      SplitFrom(stage_index + 1, shape.substr(begin, end - begin), scratch, piece);
    }
  };
  pcre2_match_data* match = scratch.impl_->match[stage_index];
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match);
  const auto subject = reinterpret_cast<PCRE2_SPTR>(shape.data());
  std::size_t done = 0;
  while (done < shape.size()) {
    const int found = (stage.jit ? pcre2_jit_match : pcre2_match)(
        stage.code.get(), subject, shape.size(), done, 0, match, scratch.impl_->context);
    // No match, or no memory for one: what is left is one piece. No expression matches nothing.
    if (found < 0 || range[1] <= done) break;
    const std::size_t begin = range[0], end = range[1];
    pass_on(done, begin);
    pass_on(begin, end);
    done = end;
  }
  pass_on(done, shape.size());
}

}  // namespace tatara::text
