// Options that several commands have.
#pragma once

#include "options.h"

namespace CLI {
class App;
}

namespace tatara::cli {

void AddJson(CLI::App* command, bool& json);
// The model as the first argument where `required`, else as --model.
void AddModelOptions(CLI::App* command, ModelOptions& options, bool required);

// --adapter, --merge, --requantise.
void AddAdapterOptions(CLI::App* command, ModelOptions& options);

}  // namespace tatara::cli
