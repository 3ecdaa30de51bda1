// Which architectures this program computes, without loading a model. Thread safety: free
// functions.
#pragma once

#include <string_view>
#include <vector>

namespace tatara::model {

// Names as general.architecture has them, decoders and encoders, ascending.
std::vector<std::string_view> KnownArchitectures();

}  // namespace tatara::model
