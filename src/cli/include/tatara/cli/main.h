// The command line. Wiring only: each command calls the modules that do the work.
#pragma once

namespace tatara::cli {

// Exit status: 0 done, 1 failed (or a check said no), 2 refused input, 130 after Ctrl-C.
int Main(int argc, char** argv);

}  // namespace tatara::cli
