// The contract's floating-point environment: round to nearest even, no flush-to-zero, no
// denormals-are-zero, all exceptions masked. A library built with fast-math may have changed it at
// load, so every compute thread sets it and every forward pass checks it.
#pragma once

namespace tatara {

void SetFpEnvironment();
bool FpEnvironmentIsRight();

// Sets the environment for a scope and puts the caller's back.
class ScopedFpEnvironment {
 public:
  ScopedFpEnvironment();
  ~ScopedFpEnvironment();
  ScopedFpEnvironment(const ScopedFpEnvironment&) = delete;
  ScopedFpEnvironment& operator=(const ScopedFpEnvironment&) = delete;

 private:
  unsigned saved_;
};

}  // namespace tatara
