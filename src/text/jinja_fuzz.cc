// Any bytes as a template, rendered over a small conversation: no crash, no hang, no leak. Where
// the input holds a zero byte, what follows it is the context.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tatara/text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = input.find('\0');
  const std::string_view source = input.substr(0, zero);
  const std::string_view context =
      zero != std::string_view::npos
          ? input.substr(zero + 1)
          : R"({"messages":[{"role":"user","content":" hi\n"},{"role":"assistant","content":"火"}],)"
            R"("tools":[{"type":"function","function":{"name":"f","parameters":{}}}],)"
            R"("add_generation_prompt":true,"n":-3,"f":2.5,"big":123456789012345678901,)"
            R"("s":"Größe","strftime_now_unix":1795251907})";
  const auto parsed = tatara::text::ChatTemplate::Parse(source);
  if (parsed.ok()) {
    const auto rendered = parsed.value().Render(context);
    if (!rendered.ok()) (void)rendered.error().text();
  }
  return 0;
}
