// SPDX-License-Identifier: MIT
//
// What can only be tested in a process of its own: crashes, limits of the process, handlers of signals, forks.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstring>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace test {

/// How a child process ended, and what it wrote to stderr: by `say`, by the library, or by a sanitizer.
struct outcome {
    int status = 0;
    std::string said;

    bool exited_with(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
    bool died_of(int a_signal) const { return WIFSIGNALED(status) && WTERMSIG(status) == a_signal; }
    bool crashed() const { return died_of(SIGSEGV) || died_of(SIGBUS); }
};

/// Writes to stderr. May be used in signal handlers.
inline void say(char const* text) noexcept {
    auto const written = ::write(STDERR_FILENO, text, std::strlen(text));
    (void)written;
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// Runs `f` in a forked child, whose exit code is f's result, or 99 if it throws. Nothing of Catch may be used in `f`.
inline outcome in_child(std::function<int()> const& f) {
    int ends[2];
    if (::pipe(ends) != 0)
        throw std::runtime_error("pipe");
    pid_t const child = ::fork();
    if (child < 0)
        throw std::runtime_error("fork");
    if (child == 0) {
        // Catch and the sanitizers would turn the signal into a report and an exit of their own.
        for (int const crash : {SIGSEGV, SIGBUS, SIGABRT})
            std::signal(crash, SIG_DFL);
        rlimit const no_core{0, 0}; // nor is a crash on purpose worth a dump
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::alarm(60); // a lock held for ever would hang the test
        ::close(ends[0]);
        ::dup2(ends[1], STDERR_FILENO);
        ::close(ends[1]);
        int code = 99;
        try {
            code = f();
        } catch (std::exception const& e) {
            say(e.what());
        }
        ::_exit(code); // without the destructors of the parent's statics
    }
    ::close(ends[1]);
    outcome result;
    char text[512];
    for (ssize_t n = 0; (n = ::read(ends[0], text, sizeof text)) > 0;)
        result.said.append(text, static_cast<std::size_t>(n));
    ::close(ends[0]);
    ::waitpid(child, &result.status, 0);
    return result;
}

} // namespace test
