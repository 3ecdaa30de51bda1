// The command line. Wiring only: each command calls the modules that do the work.
#pragma once

namespace tatara::learn {
class Workers;
}

namespace tatara::cli {

// Exit status: 0 done, 1 failed (or a check said no), 2 refused input, 130 after Ctrl-C.
// Where `workers` is not null, this process is one of several that train together; borrowed.
int Main(int argc, char** argv, learn::Workers* workers = nullptr);

}  // namespace tatara::cli
