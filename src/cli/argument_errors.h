// What the command line's parser refuses, said in the user's language: which command, option or
// value, and what was expected. Thread safety: pure.
#pragma once

#include "tatara/base/error.h"

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace tatara::cli {

// `app` is the whole application after the parse that threw `error`.
Error ArgumentError(const CLI::App& app, const CLI::ParseError& error);

}  // namespace tatara::cli
