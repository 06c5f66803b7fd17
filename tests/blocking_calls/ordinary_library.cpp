// SPDX-License-Identifier: MIT
#include "blocking_calls/ordinary_library.hpp"

#include <cerrno>

#include <poll.h>
#include <unistd.h>

namespace ordinary_library {

ssize_t read_by_poll(int fd, void* data, size_t size) {
    for (;;) {
        ssize_t const n = ::read(fd, data, size);
        if (n >= 0 || (errno != EAGAIN && errno != EINTR))
            return n;
        pollfd p{fd, POLLIN, 0};
        while (::poll(&p, 1, -1) < 1) {
            if (errno != EINTR)
                return -1;
        }
    }
}

int error_of_blocking_read(int fd, void* data, size_t size) { return ::read(fd, data, size) < 0 ? errno : 0; }

int error_number() { return errno; }

} // namespace ordinary_library
