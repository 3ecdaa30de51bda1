#include "tatara/text/normal_form.h"

#include "unicode_forms.h"

namespace tatara::text {

std::string Composed(std::string_view text) {
  if (IsInForm(UnicodeForm::kNfc, text)) return std::string(text);
  return InForm(UnicodeForm::kNfc, text);
}

}  // namespace tatara::text
