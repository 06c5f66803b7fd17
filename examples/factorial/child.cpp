// SPDX-License-Identifier: MIT

#include "child.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <stdexcept>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

extern char** environ;

child::child(std::string const& command) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        throw std::system_error(errno, std::generic_category(), "pipe2");

    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::string text = command;
    char shell[] = "sh", option[] = "-c";
    char* arguments[] = {shell, option, text.data(), nullptr};
    int const error = ::posix_spawnp(&pid_, shell, &actions, nullptr, arguments, environ);
    ::posix_spawn_file_actions_destroy(&actions);

    ::close(ends[1]);
    output_ = ends[0];
    if (error != 0) {
        ::close(output_);
        throw std::system_error(error, std::generic_category(), "posix_spawnp");
    }
}

child::~child() {
    if (output_ != -1)
        ::close(output_);
    if (pid_ != -1) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
}

int child::take_output() noexcept {
    int const taken = output_;
    output_ = -1;
    return taken;
}

void child::reap() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) == -1)
        if (errno != EINTR)
            throw std::system_error(errno, std::generic_category(), "waitpid");
    pid_ = -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw std::runtime_error("the child process failed");
}
