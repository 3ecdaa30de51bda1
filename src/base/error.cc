#include "tatara/base/error.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tatara/base/localise.h"

namespace tatara {

void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "tatara: internal error: %s:%d: %s does not hold\n", file, line, condition);
  std::abort();
}

std::string Error::text(Language language) const {
  return Localise(language, format_, arguments_);
}

Error ErrnoError(std::string_view format, std::string_view name) {
  const int code = errno;
  char buffer[256];
  const char* said = strerror_r(code, buffer, sizeof buffer);
  // A folder where a file is asked for is a fault of the request, not of the system.
  const ErrorKind kind = code == ENOENT   ? ErrorKind::kNotFound
                         : code == EISDIR ? ErrorKind::kRefused
                                          : ErrorKind::kIo;
  return MakeError(kind, format, name, said);
}

}  // namespace tatara
