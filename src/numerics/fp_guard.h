// The contract's floating-point environment for one call of a public operation, whatever the
// caller's. Thread safety: of the calling thread only.
#pragma once

#include <optional>

#include "tatara/base/fp_environment.h"

namespace tatara::numerics {

// Inside the thread pool the environment is right already, and the check is one read of the
// register.
class FpGuard {
 public:
  FpGuard() {
    if (!FpEnvironmentIsRight()) scope_.emplace();
  }

 private:
  std::optional<ScopedFpEnvironment> scope_;
};

}  // namespace tatara::numerics
