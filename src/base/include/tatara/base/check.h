// TATARA_CHECK(condition): a broken invariant of this program stops it, in release builds too.
// Never for bad input: that is a Result (error.h).
#pragma once

namespace tatara {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
}

#define TATARA_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::tatara::CheckFailed(__FILE__, __LINE__, #condition))
