// Names of models on this machine: a name of one folder that is safe in any shell.
#pragma once

#include <string_view>

namespace tatara::weights {

// 1 to 100 of A-Z a-z 0-9 . _ -, starting with a letter or digit.
bool IsModelName(std::string_view name);

}  // namespace tatara::weights
