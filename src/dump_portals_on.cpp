// SPDX-License-Identifier: MIT
// A dump when a signal comes: the handler wakes a thread, and that does it.

#include <greenback/dump_portals.hpp>

#include "hold_across_fork.hpp"
#include "never_destroyed.hpp"

#include <cerrno>
#include <csignal>
#include <mutex>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

namespace greenback {
namespace {

/// One for each time that the signal came, and the thread that waits for it. In a child of fork() there is no such
/// thread, and the semaphore is the child's own: nobody is woken.
struct dumper : std::mutex {
    sem_t wanted{};
    pid_t started_in = 0; ///< the process that has the thread; written with this locked, once the semaphore is there
};

constinit detail::never_destroyed<dumper> the_dumper;

[[maybe_unused]] int const across_fork = detail::hold_across_fork<the_dumper>();

void on_signal(int) noexcept {
    int const error = errno;
    ::sem_post(&the_dumper->wanted);
    errno = error;
}

void write_to_stderr(std::string_view text) noexcept {
    while (!text.empty()) {
        ssize_t const written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written < 0 && errno == EAGAIN) { // a terminal is so for all of its descriptors, if Asio has one of them
            pollfd to{STDERR_FILENO, POLLOUT, 0};
            ::poll(&to, 1, -1);
            continue;
        }
        if (written < 0 && errno != EINTR)
            return;
        text.remove_prefix(written < 0 ? 0 : static_cast<std::size_t>(written));
    }
}

void* dump_when_wanted(void*) {
    for (;;) {
        while (::sem_wait(&the_dumper->wanted) != 0)
            continue; // a signal of somebody else's
        try {
            std::ostringstream text;
            dump_portals(text);
            write_to_stderr(std::move(text).str());
        } catch (...) {
            write_to_stderr("greenback: no memory for a dump of the portals\n");
        }
    }
}

/// With all signals blocked, so that none of the program's handlers runs on it.
/// @returns 0, or what is wrong
int start_thread() noexcept {
    sigset_t all, before;
    ::sigfillset(&all);
    if (int const error = ::pthread_sigmask(SIG_SETMASK, &all, &before); error != 0)
        return error;
    pthread_t thread{};
    int const error = ::pthread_create(&thread, nullptr, dump_when_wanted, nullptr);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error == 0)
        ::pthread_detach(thread);
    return error;
}

} // namespace

void dump_portals_on(int signal) {
    for (int const fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) // the instruction would run again, and again fault
        if (signal == fault)
            throw std::system_error(EINVAL, std::generic_category(),
                                    "greenback::dump_portals_on: not for the signal of a fault");
    struct sigaction action{};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART | SA_ONSTACK; // where there is one: the signal may find a portal's stack nearly full
    ::sigemptyset(&action.sa_mask);

    std::scoped_lock const lock(*the_dumper);
    if (the_dumper->started_in != ::getpid()) {
        if (::sem_init(&the_dumper->wanted, 0, 0) != 0)
            throw std::system_error(errno, std::generic_category(), "greenback::dump_portals_on");
        if (int const error = start_thread(); error != 0)
            throw std::system_error(error, std::generic_category(), "greenback::dump_portals_on");
        the_dumper->started_in = ::getpid();
    }
    if (::sigaction(signal, &action, nullptr) != 0)
        throw std::system_error(errno, std::generic_category(), "greenback::dump_portals_on");
}

} // namespace greenback
