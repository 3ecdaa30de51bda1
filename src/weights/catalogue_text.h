// catalogue/models.toml, as the build put it into the program.
#pragma once

#include <string_view>

namespace tatara::weights {

std::string_view BuiltInCatalogue();

}  // namespace tatara::weights
