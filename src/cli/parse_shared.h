// Options that several commands have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "options.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace tatara::cli {

// What the parser says of an empty value, for ArgumentError to say in the user's words.
inline constexpr const char* kEmptyValue = "empty value";

// --tokens: ids, separated by commas; empty items are refused.
CLI::Option* AddTokens(CLI::App* command, std::vector<std::int32_t>& tokens,
                       const std::string& description);

void AddJson(CLI::App* command, bool& json);
// The model as the first argument where `required`, else as --model.
void AddModelOptions(CLI::App* command, ModelOptions& options, bool required);

// --adapter, --merge, --requantise.
void AddAdapterOptions(CLI::App* command, ModelOptions& options);

}  // namespace tatara::cli
