#include "commands.h"
#include "models_access.h"
#include "tatara/text/chat_template.h"
#include "terminal.h"

namespace tatara::cli {

Result<int> TemplateRender(const TemplateOptions& options) {
  TATARA_TRY(const std::string source, ReadInput(options.file));
  TATARA_TRY(const std::string context, ReadInput(options.input));
  TATARA_TRY(const text::ChatTemplate chat, text::ChatTemplate::Parse(source));
  TATARA_TRY(const std::string rendered, chat.Render(context));
  Out(rendered);
  return 0;
}

}  // namespace tatara::cli
