// A file descriptor that is closed at the end of its scope. Thread safety: none needed; not copied.
#pragma once

#include <unistd.h>

namespace tatara {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}  // -1: none, as open(2) says that it failed
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace tatara
