// Canonical composition for other modules. Thread safety: pure function.
#pragma once

#include <string>
#include <string_view>

namespace tatara::text {

// NFC as text's tokenizers use it (unicode_forms.h): the same on every machine, whatever the
// version of its library. `text` is valid UTF-8, as what comes back.
std::string Composed(std::string_view text);

}  // namespace tatara::text
