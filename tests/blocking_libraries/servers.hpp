// SPDX-License-Identifier: MIT
//
// Real servers, as child processes of the test: each on a free port of the loopback interface, in a temporary folder of
// its own, until the test program ends.
#pragma once

#include "support/event_loop.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace test {

class temporary_folder {
public:
    temporary_folder() {
        auto name = (std::filesystem::temp_directory_path() / "greenback-test-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::runtime_error("mkdtemp");
        path_ = name;
    }
    temporary_folder(temporary_folder const&) = delete;
    temporary_folder& operator=(temporary_folder const&) = delete;
    ~temporary_folder() {
        std::error_code ignored; // a server's last process may still be writing
        std::filesystem::remove_all(path_, ignored);
    }
    std::filesystem::path const& path() const { return path_; }

private:
    std::filesystem::path path_;
};

/// A TCP socket that listens on a free port of the loopback interface, and accepts nothing: who connects waits for ever
/// for the first answer.
class silent_server {
public:
    silent_server() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        if (fd_ < 0 || ::bind(fd_, generic, size) != 0 || ::listen(fd_, 16) != 0 ||
            ::getsockname(fd_, generic, &size) != 0)
            throw std::runtime_error("no socket that listens");
        port_ = ntohs(address.sin_port);
    }
    silent_server(silent_server const&) = delete;
    silent_server& operator=(silent_server const&) = delete;
    ~silent_server() { ::close(fd_); }
    int port() const { return port_; }

private:
    int fd_;
    int port_ = 0;
};

/// Somebody else may take it before the server does: who starts one tries again.
inline int free_port() { return silent_server().port(); }

inline bool accepts_connections(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<in_port_t>(port));
    int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool const connected = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return connected;
}

/// The file of a program, in one of the folders of PATH or in those where servers are. @returns "" where there is none
inline std::string program(std::string const& name) {
    std::vector<std::filesystem::path> folders;
    char const* const path = std::getenv("PATH");
    std::istringstream from_path(path != nullptr ? path : "");
    for (std::string folder; std::getline(from_path, folder, ':');)
        folders.emplace_back(folder);
    folders.insert(folders.end(), {"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"});
    std::error_code none;
    for (auto const& version : std::filesystem::directory_iterator("/usr/lib/postgresql", none))
        folders.push_back(version.path() / "bin");
    for (auto const& folder : folders)
        if (auto const file = (folder / name).string(); ::access(file.c_str(), X_OK) == 0)
            return file;
    return "";
}

/// A program that runs in a folder, its output in the file "log" there. It is killed and waited for at the end, and by
/// the system if the test's own process is killed.
class child_process {
public:
    /// @param user whose process it will be; null: that of this process
    child_process(std::vector<std::string> command, std::filesystem::path const& folder, int killed_by,
                  passwd const* user = nullptr)
        : killed_by_(killed_by) {
        std::vector<char*> arguments;
        for (auto& part : command)
            arguments.push_back(part.data());
        arguments.push_back(nullptr);
        auto const log = (folder / "log").string();
        pid_t const parent = ::getpid();
        id_ = ::fork();
        if (id_ < 0)
            throw std::runtime_error("fork");
        if (id_ != 0)
            return;
        // Between fork and exec: only what needs no memory and no lock.
        ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
        ::dup2(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666), STDOUT_FILENO);
        ::dup2(STDOUT_FILENO, STDERR_FILENO);
        for (int fd = 3; fd < 1024; ++fd)
            ::close(fd);
        bool ready = ::chdir(folder.c_str()) == 0;
        if (user != nullptr) {
            gid_t const group = user->pw_gid;
            ready = ready && ::setgroups(1, &group) == 0 && ::setgid(group) == 0 && ::setuid(user->pw_uid) == 0;
        }
        // After setuid(), which takes it back.
        ::prctl(PR_SET_PDEATHSIG, killed_by);
        if (ready && ::getppid() == parent)
            ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    child_process(child_process const&) = delete;
    child_process& operator=(child_process const&) = delete;
    ~child_process() {
        if (!ended_)
            ::kill(id_, killed_by_);
        wait();
    }

    bool has_ended() {
        if (!ended_)
            ended_ = ::waitpid(id_, &status_, WNOHANG) == id_;
        return ended_;
    }

    /// @returns its exit status as waitpid() gives it
    int wait() {
        while (!ended_)
            ended_ = ::waitpid(id_, &status_, 0) == id_ || errno != EINTR;
        return status_;
    }

private:
    pid_t id_ = 0;
    int killed_by_;
    int status_ = -1;
    bool ended_ = false;
};

/// A server that answers, or that is absent: its program is not installed.
class server {
public:
    using command_for = std::function<std::vector<std::string>(std::filesystem::path const&, int port)>;
    using answers = std::function<bool(std::filesystem::path const&, int port)>;

    server() = default;
    /// @throws std::runtime_error if it does not come to answer, with what it said
    server(std::unique_ptr<temporary_folder> folder, command_for const& command, answers const& answer,
           int killed_by = SIGKILL, passwd const* user = nullptr)
        : folder_(std::move(folder)) {
        for (int attempt = 0; attempt < 5; ++attempt) {
            port_ = free_port();
            process_ =
                std::make_unique<child_process>(command(folder_->path(), port_), folder_->path(), killed_by, user);
            for (auto const start = std::chrono::steady_clock::now(); !process_->has_ended();) {
                if (answer(folder_->path(), port_))
                    return;
                if (std::chrono::steady_clock::now() - start > hang_guard)
                    throw std::runtime_error("a server does not answer:\n" + log());
                std::this_thread::sleep_for(std::chrono::milliseconds(10));
            }
        }
        throw std::runtime_error("a server ends at once:\n" + log());
    }
    bool absent() const { return process_ == nullptr; }
    int port() const { return port_; }

private:
    std::string log() const {
        std::ifstream file(folder_->path() / "log");
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::unique_ptr<temporary_folder> folder_; // outlives the process
    std::unique_ptr<child_process> process_;
    int port_ = 0;
};

inline server const& redis_server() {
    static server const the = [] {
        auto const file = program("redis-server");
        if (file.empty())
            return server();
        return server(
            std::make_unique<temporary_folder>(),
            [&](std::filesystem::path const& folder, int port) -> std::vector<std::string> {
                return {file, "--bind",       "127.0.0.1", "--port", std::to_string(port), "--save",
                        "",   "--appendonly", "no",        "--dir",  folder.string()};
            },
            [](std::filesystem::path const&, int port) { return accepts_connections(port); });
    }();
    return the;
}

/// It asks nobody for a password.
inline server const& mariadb_server() {
    static server const the = [] {
        auto const file = program("mariadbd");
        if (file.empty())
            return server();
        return server(
            std::make_unique<temporary_folder>(),
            [&](std::filesystem::path const& folder, int port) {
                // No tables are made: the test asks for none, and without privileges the server needs none.
                std::vector<std::string> command = {file,
                                                    "--no-defaults",
                                                    "--datadir=" + folder.string(),
                                                    "--socket=" + (folder / "socket").string(),
                                                    "--pid-file=" + (folder / "pid").string(),
                                                    "--bind-address=127.0.0.1",
                                                    "--port=" + std::to_string(port),
                                                    "--skip-grant-tables",
                                                    "--loose-skip-innodb",
                                                    "--default-storage-engine=Aria",
                                                    "--max-connections=200"};
                if (::geteuid() == 0)
                    command.emplace_back("--user=root");
                return command;
            },
            [](std::filesystem::path const&, int port) { return accepts_connections(port); });
    }();
    return the;
}

/// The user and the database are "postgres", without a password.
inline server const& postgresql_server() {
    static server const the = [] {
        auto const file = program("postgres");
        auto const initdb = program("initdb");
        if (file.empty() || initdb.empty())
            return server();
        auto folder = std::make_unique<temporary_folder>();
        // It refuses to run as root.
        passwd const* user = nullptr;
        if (::geteuid() == 0) {
            user = ::getpwnam("postgres");
            if (user == nullptr)
                user = ::getpwnam("nobody");
            if (user == nullptr || ::chown(folder->path().c_str(), user->pw_uid, user->pw_gid) != 0)
                return server();
        }
        auto const data = (folder->path() / "data").string();
        child_process making({initdb, "-D", data, "-U", "postgres", "-A", "trust", "-N", "--locale=C", "-E", "UTF8"},
                             folder->path(), SIGKILL, user);
        if (making.wait() != 0)
            throw std::runtime_error("initdb has failed");
        return server(
            std::move(folder),
            [&](std::filesystem::path const&, int port) -> std::vector<std::string> {
                return {file,
                        "-D",
                        data,
                        "-p",
                        std::to_string(port),
                        "-c",
                        "listen_addresses=127.0.0.1",
                        "-c",
                        "unix_socket_directories=",
                        "-c",
                        "max_connections=150",
                        "-c",
                        "fsync=off"};
            },
            [](std::filesystem::path const& where, int) {
                std::ifstream status(where / "data" / "postmaster.pid");
                std::string const text{std::istreambuf_iterator<char>(status), {}};
                return text.find("\nready") != std::string::npos;
            },
            // At which it ends its own processes at once.
            SIGQUIT, user);
    }();
    return the;
}

} // namespace test
