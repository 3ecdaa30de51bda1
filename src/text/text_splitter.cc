#include "tatara/text/text_splitter.h"

#include <utility>

#include "named_splits.h"
#include "normalizer.h"
#include "pre_tokenizer.h"

namespace tatara::text {

struct TextSplitter::Impl {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
};

TextSplitter::TextSplitter(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
TextSplitter::TextSplitter(TextSplitter&&) noexcept = default;
TextSplitter& TextSplitter::operator=(TextSplitter&&) noexcept = default;
TextSplitter::~TextSplitter() = default;

Result<TextSplitter> TextSplitter::OfName(std::string_view name, std::string_view origin) {
  TATARA_TRY(const NamedSplits splits, SplitsOfName(name, origin));
  Impl made;
  if (splits.composes) made.normalizer.Add(Normalizer::Form{UnicodeForm::kNfc});
  TATARA_TRY(made.pre_tokenizer, PreTokenizer::OfExpressions(splits.expressions, origin));
  return TextSplitter(std::make_unique<const Impl>(std::move(made)));
}

std::vector<std::string_view> TextSplitter::Names() {
  return KnownSplitNames();
}

Result<TextSplitter> TextSplitter::AtSpaces(std::string_view form, std::string_view origin) {
  Impl made;
  TATARA_RETURN_IF_ERROR(AddForm(form, origin, made.normalizer));
  made.pre_tokenizer.AddMarks({.mark = "\xE2\x96\x81"});
  return TextSplitter(std::make_unique<const Impl>(std::move(made)));
}

void TextSplitter::Split(std::string_view text, std::string& scratch,
                         FunctionRef<void(std::string_view piece)> piece) const {
  if (!impl_->normalizer.empty()) {
    scratch.assign(text);
    impl_->normalizer.Apply(scratch);
    text = scratch;
  }
  impl_->pre_tokenizer.Split(text, /*at_start=*/true, piece);
}

}  // namespace tatara::text
