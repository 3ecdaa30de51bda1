#include "commands.h"
#include "json_output.h"
#include "models_access.h"
#include "tatara/base/localise.h"
#include "tatara/text/chat_template.h"
#include "terminal.h"

namespace tatara::cli {

Result<int> TemplateRender(const TemplateOptions& options) {
  TATARA_TRY(const std::string source, ReadInput(options.file));
  TATARA_TRY(const std::string context, ReadInput(options.input));
  const auto chat = text::ChatTemplate::Parse(source);
  if (!chat.ok()) {
    return MakeError(chat.error().kind(), "{0}: {1}", options.file,
                     chat.error().text(CurrentLanguage()));
  }
  const auto rendered = chat->Render(context);
  if (!rendered.ok()) {
    return MakeError(rendered.error().kind(), "{0}, with the input {1}: {2}", options.file,
                     options.input, rendered.error().text(CurrentLanguage()));
  }
  if (options.json) {
    OutJson({{"text", *rendered}});
    return 0;
  }
  Out(*rendered);
  return 0;
}

}  // namespace tatara::cli
