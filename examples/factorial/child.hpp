// SPDX-License-Identifier: MIT
// A child process whose standard output is a pipe. Used by both bottoms, each of which waits for it in its
// own way.
#pragma once

#include <string>
#include <sys/types.h>

class child {
public:
    /// Start `sh -c command`. @throws std::system_error
    explicit child(std::string const& command);
    /// Kills the process unless it has been reaped.
    ~child();
    child(child const&) = delete;
    child& operator=(child const&) = delete;

    pid_t pid() const noexcept { return pid_; }

    /// The pipe's end to read from. The caller closes it.
    int take_output() noexcept;

    /// Wait until the process has ended (at once, if it has), and let the system forget it.
    /// @throws std::runtime_error if it did not exit with status 0
    void reap();

private:
    pid_t pid_ = -1;  ///< -1 once reaped
    int output_ = -1; ///< -1 once taken
};

/// The child that writes `value` and takes its time.
inline std::string echo_command(unsigned long long value) { return "sleep 0.05; echo " + std::to_string(value); }
