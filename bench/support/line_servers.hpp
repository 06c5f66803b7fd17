// SPDX-License-Identifier: MIT
// Servers of lines over loopback TCP, each in a process of its own, and their client: what bench_echo and bench_lines
// share.
//
// The servers take turns, round after round. The client, in this process, keeps a few lines on their way on each of its
// connections, which are new ones each time. Where there are two processors the server has one and the client the
// other. Prints the lines per second, and the server's processor time per line, which says more where the client is what
// limits the throughput.
//
//     [--rounds <n>] [--milliseconds <n>] [--connections <n>] [--lines <n>]
//
// --lines: how many are sent, and have to be answered, at once. The exit status is 77 where the system does not allow a
// process that many connections.
#pragma once

#include <asio.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench::line_servers {

using asio::ip::tcp;

struct server_kind {
    char const* name;
    void (*start)(tcp::socket);
};

struct options {
    int rounds = 5, milliseconds = 300, connections = 50, lines = 1;
    bool memory = false; ///< print that, too
};

inline void stay_on_processor(int which) {
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &allowed) && which-- == 0) {
            CPU_ZERO(&allowed);
            CPU_SET(cpu, &allowed);
            (void)::sched_setaffinity(0, sizeof allowed, &allowed);
            return;
        }
    }
}

[[noreturn]] inline void serve(server_kind const& kind, int port_pipe) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    stay_on_processor(0);
    asio::io_context io(1);
    tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    std::function<void()> accept = [&] {
        acceptor.async_accept([&](auto error, tcp::socket socket) {
            if (error)
                std::abort();
            socket.set_option(tcp::no_delay(true));
            kind.start(std::move(socket));
            accept();
        });
    };
    accept();
    unsigned short const port = acceptor.local_endpoint().port();
    if (::write(port_pipe, &port, sizeof port) != sizeof port)
        std::abort();
    io.run();
    std::_Exit(1);
}

// ---- the client: as little work as possible ----

[[noreturn]] inline void fail(char const* what) {
    std::perror(what);
    std::exit(1);
}

struct server {
    server_kind const* kind;
    pid_t pid;
    unsigned short port;
    std::vector<double> lines_per_second, nanoseconds_per_line, kibibytes_per_connection;

    explicit server(server_kind const& k) : kind(&k) {
        int ends[2];
        if (::pipe(ends) != 0)
            fail("pipe");
        pid = ::fork();
        if (pid < 0)
            fail("fork");
        if (pid == 0)
            serve(k, ends[1]);
        ::close(ends[1]);
        if (::read(ends[0], &port, sizeof port) != sizeof port)
            fail("server");
        ::close(ends[0]);
    }
    server(server const&) = delete;
    ~server() {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }

    double processor_nanoseconds() const {
        clockid_t clock;
        timespec t{};
        if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &t) != 0)
            fail("clock");
        return double(t.tv_sec) * 1e9 + double(t.tv_nsec);
    }

    /// Resident memory, and the page tables, which grow with it. What the kernel has for each connection is not in it.
    double kibibytes() const {
        std::ifstream status("/proc/" + std::to_string(pid) + "/status");
        double sum = 0;
        for (std::string text; std::getline(status, text);)
            if (text.starts_with("VmRSS:") || text.starts_with("VmPTE:"))
                sum += std::strtod(text.c_str() + 6, nullptr);
        return sum;
    }

    /// Sessions that end are work too: it must not be done while the next server is measured.
    void wait_until_idle() const {
        for (double before = -1, now = processor_nanoseconds(); now != before; now = processor_nanoseconds()) {
            before = now;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }
};

inline int connect_to(unsigned short port) {
    int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int const on = 1;
    if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        fail("connect");
    return fd;
}

constexpr std::string_view line = "a line of some thirty characters\n";

inline void measure(server& s, options const& o) {
    using clock = std::chrono::steady_clock;
    int const connections = o.connections;
    std::chrono::milliseconds const duration(o.milliseconds);
    double const idle_memory = s.kibibytes();
    std::string lines;
    for (int i = 0; i < o.lines; ++i)
        lines += line;
    auto const send_lines = [&](int fd) {
        if (::send(fd, lines.data(), lines.size(), MSG_NOSIGNAL) != ssize_t(lines.size()))
            fail("send");
    };
    int const epoll = ::epoll_create1(EPOLL_CLOEXEC);
    std::vector<int> sockets;
    std::vector<std::size_t> left_of; // by socket: the bytes still to come
    for (int i = 0; i < connections; ++i) {
        int const fd = sockets.emplace_back(connect_to(s.port));
        left_of.resize(std::max(left_of.size(), std::size_t(fd) + 1));
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            fail("epoll_ctl");
    }

    std::array<epoll_event, 256> events;
    std::array<char, 65536> received;
    // Waits for answers, and returns how many have come.
    auto const receive = [&](bool ask_again) {
        long answers = 0;
        int const n = ::epoll_wait(epoll, events.data(), int(events.size()), 1000);
        if (n <= 0)
            fail("no answer");
        for (int i = 0; i < n; ++i) {
            int const fd = events[std::size_t(i)].data.fd;
            ssize_t const bytes = ::recv(fd, received.data(), received.size(), 0);
            if (bytes <= 0)
                fail("recv");
            std::size_t& left = left_of[std::size_t(fd)];
            if (std::size_t(bytes) > left)
                fail("more than was sent");
            if ((left -= std::size_t(bytes)) == 0) {
                ++answers;
                if (ask_again) {
                    left = lines.size();
                    send_lines(fd);
                }
            }
        }
        return answers;
    };
    auto const ask_all = [&] {
        for (int fd : sockets) {
            left_of[std::size_t(fd)] = lines.size();
            send_lines(fd);
        }
    };
    auto const receive_the_last = [&] {
        for (long left = connections; left > 0;)
            left -= receive(false);
    };
    auto const run_for = [&](clock::duration d) {
        long answers = 0;
        for (auto const end = clock::now() + d; clock::now() < end;)
            answers += receive(true);
        return answers;
    };

    // Not counted: the sessions begin, each with a line, and the processors get into step.
    ask_all();
    receive_the_last();
    ask_all();
    run_for(duration / 10);
    double const processor = s.processor_nanoseconds();
    auto const start = clock::now();
    long const answers = run_for(duration);
    double const seconds = std::chrono::duration<double>(clock::now() - start).count();
    double const answered = double(answers) * o.lines;
    s.lines_per_second.push_back(answered / seconds);
    s.nanoseconds_per_line.push_back((s.processor_nanoseconds() - processor) / answered);
    s.kibibytes_per_connection.push_back((s.kibibytes() - idle_memory) / connections);
    receive_the_last();
    for (int fd : sockets)
        ::close(fd);
    ::close(epoll);
    s.wait_until_idle();
}

/// May this process, and a server, which inherits the limit, have that many connections?
inline bool allow_connections(int connections) {
    rlimit limit{};
    auto const needed = rlim_t(connections) + 64; // and what else a process has open
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
        fail("getrlimit");
    if (limit.rlim_cur >= needed)
        return true;
    if (limit.rlim_max < needed)
        return false;
    limit.rlim_cur = needed;
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

inline double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    std::size_t const n = values.size();
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/// What main does.
inline int run(std::span<server_kind const> kinds, options o, char const* unit, int argc, char** argv) {
    for (int i = 1; i < argc; i += 2) {
        std::string_view const option = argv[i];
        int* const value = option == "--rounds"         ? &o.rounds
                           : option == "--milliseconds" ? &o.milliseconds
                           : option == "--connections"  ? &o.connections
                           : option == "--lines"        ? &o.lines
                                                        : nullptr;
        if (!value || i + 1 == argc || (*value = std::atoi(argv[i + 1])) <= 0) {
            std::fprintf(stderr, "usage: %s [--rounds <n>] [--milliseconds <n>] [--connections <n>] [--lines <n>]\n",
                         argv[0]);
            return 2;
        }
    }

    if (!allow_connections(o.connections)) {
        std::fprintf(stderr, "%d connections are more than the system allows a process (ulimit -n)\n", o.connections);
        return 77;
    }

    std::vector<std::unique_ptr<server>> servers;
    for (server_kind const& kind : kinds)
        servers.push_back(std::make_unique<server>(kind));
    stay_on_processor(1);

    auto const print = [&](std::string const& label, server const& s, double rate, double cost, double memory) {
        std::printf("%-9s %-12s %5d connections %10.0f %ss/s %10.0f ns/%s", label.c_str(), s.kind->name, o.connections,
                    rate, unit, cost, unit);
        if (o.memory)
            std::printf(" %10.1f KiB/connection %5d at once", memory, o.lines);
        std::printf("\n");
    };
    for (int round = 0; round < o.rounds; ++round) {
        for (std::size_t i = 0; i < servers.size(); ++i) {
            server& s = *servers[(i + std::size_t(round)) % servers.size()]; // another one begins each round
            measure(s, o);
            print("round " + std::to_string(round + 1), s, s.lines_per_second.back(), s.nanoseconds_per_line.back(),
                  s.kibibytes_per_connection.back());
        }
    }
    for (auto const& s : servers)
        print("median", *s, median(s->lines_per_second), median(s->nanoseconds_per_line),
              s->kibibytes_per_connection.front()); // later ones find memory of the sessions before
    return 0;
}

} // namespace bench::line_servers
