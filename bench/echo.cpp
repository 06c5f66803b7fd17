// SPDX-License-Identifier: MIT
// Servers that send back every line they receive, over loopback TCP, each in a process of its own with one thread:
//
//     co_await     a session is a coroutine
//     await_       a session is synchronous code; each line is read and written ten calls deep, by await_
//     use_portal   the same with the completion token
//     spawn        the same with asio::spawn's yield_context passed down (in bench_echo_beside_spawn)
//
// They take turns, round after round. The client, in this process, keeps one line on its way on each of its
// connections, which are new ones each time. Where there are two processors the server has one and the client the
// other. Prints the requests per second, and the server's processor time per request, which says more where the client
// is what limits the throughput.
//
//     bench_echo [--rounds <n>] [--milliseconds <n>] [--connections <n>]
//
// The exit status is 77 where the system does not allow a process that many connections.

#include "support/operations.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <functional>
#include <memory>
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

namespace {

using asio::ip::tcp;
using bench::task;

// ---- the servers ----

constexpr int depth = 10;

task<> co_await_session(tcp::socket socket) {
    try {
        for (std::string buffer;;) {
            std::size_t n =
                co_await asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n', asio::use_awaitable);
            co_await asio::async_write(socket, asio::buffer(buffer.data(), n), asio::use_awaitable);
            buffer.erase(0, n);
        }
    } catch (std::exception const&) { // the client has gone
    }
}

[[gnu::noinline]] void await_line(tcp::socket& socket, std::string& buffer, int levels) {
    if (levels > 1) {
        await_line(socket, buffer, levels - 1);
    } else {
        std::size_t n =
            greenback::await_(asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n', asio::use_awaitable));
        greenback::await_(asio::async_write(socket, asio::buffer(buffer.data(), n), asio::use_awaitable));
        buffer.erase(0, n);
    }
    asm volatile("" ::: "memory"); // no tail call
}

void await_session(tcp::socket socket) {
    try {
        for (std::string buffer;;)
            await_line(socket, buffer, depth);
    } catch (std::exception const&) {
    }
}

[[gnu::noinline]] void use_portal_line(tcp::socket& socket, std::string& buffer, int levels) {
    if (levels > 1) {
        use_portal_line(socket, buffer, levels - 1);
    } else {
        std::size_t n = asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n', greenback::use_portal);
        asio::async_write(socket, asio::buffer(buffer.data(), n), greenback::use_portal);
        buffer.erase(0, n);
    }
    asm volatile("" ::: "memory");
}

void use_portal_session(tcp::socket socket) {
    try {
        for (std::string buffer;;)
            use_portal_line(socket, buffer, depth);
    } catch (std::exception const&) {
    }
}

#if defined(GREENBACK_USE_BOOST_ASIO)
[[gnu::noinline]] void spawn_line(tcp::socket& socket, std::string& buffer, int levels,
                                  asio::yield_context const& yield) {
    if (levels > 1) {
        spawn_line(socket, buffer, levels - 1, yield);
    } else {
        std::size_t n = asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n', yield);
        asio::async_write(socket, asio::buffer(buffer.data(), n), yield);
        buffer.erase(0, n);
    }
    asm volatile("" ::: "memory");
}

void spawn_session(tcp::socket socket, asio::yield_context yield) {
    try {
        for (std::string buffer;;)
            spawn_line(socket, buffer, depth, yield);
    } catch (std::exception const&) {
    }
}
#endif

struct server_kind {
    char const* name;
    void (*start)(tcp::socket);
};

server_kind const kinds[] = {
    {"co_await",
     [](tcp::socket s) {
         auto ex = s.get_executor();
         asio::co_spawn(ex, co_await_session(std::move(s)), asio::detached);
     }},
    {"await_",
     [](tcp::socket s) {
         auto ex = s.get_executor();
         asio::co_spawn(ex, greenback::with_portal_run_sync(await_session, std::move(s)), asio::detached);
     }},
    {"use_portal",
     [](tcp::socket s) {
         auto ex = s.get_executor();
         asio::co_spawn(ex, greenback::with_portal_run_sync(use_portal_session, std::move(s)), asio::detached);
     }},
#if defined(GREENBACK_USE_BOOST_ASIO)
    {"spawn",
     [](tcp::socket s) {
         auto ex = s.get_executor();
         auto session = [s = std::move(s)](asio::yield_context yield) mutable { spawn_session(std::move(s), yield); };
         asio::spawn(ex, std::move(session), asio::detached);
     }},
#endif
};

void stay_on_processor(int which) {
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

[[noreturn]] void serve(server_kind const& kind, int port_pipe) {
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

[[noreturn]] void fail(char const* what) {
    std::perror(what);
    std::exit(1);
}

struct server {
    server_kind const* kind;
    pid_t pid;
    unsigned short port;
    std::vector<double> requests_per_second, nanoseconds_per_request;

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

    /// Sessions that end are work too: it must not be done while the next server is measured.
    void wait_until_idle() const {
        for (double before = -1, now = processor_nanoseconds(); now != before; now = processor_nanoseconds()) {
            before = now;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }
};

int connect_to(unsigned short port) {
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

void send_line(int fd) {
    if (::send(fd, line.data(), line.size(), MSG_NOSIGNAL) != ssize_t(line.size()))
        fail("send");
}

void measure(server& s, int connections, std::chrono::milliseconds duration) {
    using clock = std::chrono::steady_clock;
    int const epoll = ::epoll_create1(EPOLL_CLOEXEC);
    std::vector<int> sockets;
    for (int i = 0; i < connections; ++i) {
        int const fd = sockets.emplace_back(connect_to(s.port));
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            fail("epoll_ctl");
    }

    std::array<epoll_event, 256> events;
    std::array<char, 4096> received;
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
            if (received[std::size_t(bytes) - 1] == '\n') { // the end of the one line under way
                ++answers;
                if (ask_again)
                    send_line(fd);
            }
        }
        return answers;
    };
    auto const ask_all = [&] {
        for (int fd : sockets)
            send_line(fd);
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
    s.requests_per_second.push_back(double(answers) / seconds);
    s.nanoseconds_per_request.push_back((s.processor_nanoseconds() - processor) / double(answers));
    receive_the_last();
    for (int fd : sockets)
        ::close(fd);
    ::close(epoll);
    s.wait_until_idle();
}

/// May this process, and a server, which inherits the limit, have that many connections?
bool allow_connections(int connections) {
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

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    std::size_t const n = values.size();
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

} // namespace

int main(int argc, char** argv) {
    int rounds = 5, milliseconds = 300, connections = 50;
    for (int i = 1; i < argc; i += 2) {
        std::string_view const option = argv[i];
        int* const value = option == "--rounds"         ? &rounds
                           : option == "--milliseconds" ? &milliseconds
                           : option == "--connections"  ? &connections
                                                        : nullptr;
        if (!value || i + 1 == argc || (*value = std::atoi(argv[i + 1])) <= 0) {
            std::fprintf(stderr, "usage: %s [--rounds <n>] [--milliseconds <n>] [--connections <n>]\n", argv[0]);
            return 2;
        }
    }

    if (!allow_connections(connections)) {
        std::fprintf(stderr, "%d connections are more than the system allows a process (ulimit -n)\n", connections);
        return 77;
    }

    std::vector<std::unique_ptr<server>> servers;
    for (server_kind const& kind : kinds)
        servers.push_back(std::make_unique<server>(kind));
    stay_on_processor(1);

    for (int round = 0; round < rounds; ++round) {
        for (std::size_t i = 0; i < servers.size(); ++i) {
            server& s = *servers[(i + std::size_t(round)) % servers.size()]; // another one begins each round
            measure(s, connections, std::chrono::milliseconds(milliseconds));
            std::printf("round %-3d %-12s %5d connections %10.0f requests/s %10.0f ns/request\n", round + 1,
                        s.kind->name, connections, s.requests_per_second.back(), s.nanoseconds_per_request.back());
        }
    }
    for (auto const& s : servers)
        std::printf("median    %-12s %5d connections %10.0f requests/s %10.0f ns/request\n", s->kind->name, connections,
                    median(s->requests_per_second), median(s->nanoseconds_per_request));
}
