#include "tatara/text/chat_template.h"

#include <utility>

#include "jinja/eval.h"
#include "jinja/parser.h"
#include "jinja/print.h"
#include "jinja/unicode.h"

namespace tatara::text {

struct ChatTemplate::Impl {
  jinja::Template parsed;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::Parse(std::string_view source) {
  if (source.size() > jinja::kSourceBytesMax) {
    return Refuse("chat template: larger than {0} bytes, the limit", jinja::kSourceBytesMax);
  }
  if (!jinja::IsValidUtf8(source)) return Refuse("chat template: not UTF-8");
  try {
    auto impl = std::make_unique<Impl>();
    impl->parsed = jinja::ParseTemplate(source);
    return ChatTemplate(std::move(impl));
  } catch (jinja::Failure& failure) {
    return std::move(failure.error);
  }
}

Result<std::string> ChatTemplate::Render(std::string_view context_json) const {
  try {
    jinja::Run run;
    const jinja::Value context = jinja::ParseContext(run, context_json);
    return jinja::Evaluator(run, impl_->parsed).Render(context);
  } catch (jinja::Failure& failure) {
    return std::move(failure.error);
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorKind::kUnavailable, "chat template: not enough memory to render it");
  }
}

}  // namespace tatara::text
