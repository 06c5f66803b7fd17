// SPDX-License-Identifier: MIT
// What greenback::blocking_calls costs: a call off every portal; one on a portal that need not wait; and a wait, as a byte
// that goes to and fro over a pair of sockets between
//
//     portals      two functions that call read and write, in portals; one thread
//     co_await     two coroutines: async_read_some and async_write_some; one thread
//     threads      two functions that call read and write, a thread each
//
// All kinds in turn, and the median of the rounds. System calls are not counted here: strace -f -c does.
//
//     bench_blocking_calls [--rounds <n>] [--bytes <n>] [--only portals|co_await|threads]

#include <greenback/blocking_calls.hpp>
#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <functional>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using stopwatch = std::chrono::steady_clock;

double nanoseconds_since(stopwatch::time_point start) {
    return std::chrono::duration<double, std::nano>(stopwatch::now() - start).count();
}

double median(std::vector<double> v) {
    std::ranges::sort(v);
    return v[v.size() / 2];
}

[[noreturn]] void give_up(char const* what) {
    std::perror(what);
    std::exit(1);
}

struct socket_pair {
    socket_pair() {
        if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0)
            give_up("socketpair");
    }
    socket_pair(socket_pair const&) = delete;
    ~socket_pair() {
        ::close(ends[0]);
        ::close(ends[1]);
    }
    std::array<int, 2> ends{};
};

void play(int fd, int bytes, bool serves) {
    char c = 'x';
    for (int i = 0; i != bytes; ++i) {
        if (serves && ::write(fd, &c, 1) != 1)
            give_up("write");
        if (::read(fd, &c, 1) != 1)
            give_up("read");
        if (!serves && ::write(fd, &c, 1) != 1)
            give_up("write");
    }
}

using local = asio::local::stream_protocol;
asio::awaitable<void> co_play(local::socket socket, int bytes, bool serves) {
    char c = 'x';
    for (int i = 0; i != bytes; ++i) {
        if (serves)
            co_await socket.async_write_some(asio::buffer(&c, 1), asio::use_awaitable);
        co_await socket.async_read_some(asio::buffer(&c, 1), asio::use_awaitable);
        if (!serves)
            co_await socket.async_write_some(asio::buffer(&c, 1), asio::use_awaitable);
    }
}

/// Each of these @returns nanoseconds for one way of one byte.
double with_portals(int bytes) {
    socket_pair const pair;
    asio::io_context context(1);
    auto const start = stopwatch::now();
    greenback::spawn(context, [&] { play(pair.ends[0], bytes, true); }, greenback::rethrow);
    greenback::spawn(context, [&] { play(pair.ends[1], bytes, false); }, greenback::rethrow);
    context.run();
    return nanoseconds_since(start) / (2.0 * bytes);
}
double with_co_await(int bytes) {
    asio::io_context context(1);
    local::socket a(context), b(context);
    asio::local::connect_pair(a, b);
    auto const start = stopwatch::now();
    asio::co_spawn(context, co_play(std::move(a), bytes, true), greenback::rethrow);
    asio::co_spawn(context, co_play(std::move(b), bytes, false), greenback::rethrow);
    context.run();
    return nanoseconds_since(start) / (2.0 * bytes);
}
double with_threads(int bytes) {
    socket_pair const pair;
    auto const start = stopwatch::now();
    std::thread other([&] { play(pair.ends[1], bytes, false); });
    play(pair.ends[0], bytes, true);
    other.join();
    return nanoseconds_since(start) / (2.0 * bytes);
}

template <class F> double each(int count, F f) {
    auto const start = stopwatch::now();
    for (int i = 0; i != count; ++i)
        f();
    return nanoseconds_since(start) / count;
}
template <class F> double each_on_portal(int count, F f) {
    asio::io_context context(1);
    double result = 0;
    greenback::spawn(context, [&] { result = each(count, f); }, greenback::rethrow);
    context.run();
    return result;
}

template <class F> F* plain(char const* name) { return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name)); }

} // namespace

int main(int argc, char** argv) {
    int rounds = 15, bytes = 20000;
    std::string_view only;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (argv[i] == std::string_view("--rounds"))
            rounds = std::atoi(argv[i + 1]);
        else if (argv[i] == std::string_view("--bytes"))
            bytes = std::atoi(argv[i + 1]);
        else
            only = argv[i + 1];
    }
    struct kind {
        char const* name;
        double (*play)(int);
        std::vector<double> ns{};
    };
    std::array<kind, 3> kinds{{{"portals", with_portals}, {"co_await", with_co_await}, {"threads", with_threads}}};
    if (!only.empty()) {
        for (kind const& k : kinds) {
            if (only == k.name)
                k.play(bytes);
        }
        return 0;
    }

    // glibc answers this one without a system call. And a byte that is there, to be looked at again and again.
    auto* const plain_sleep = plain<int(clockid_t, int, timespec const*, timespec*)>("clock_nanosleep");
    auto* const plain_recv = plain<ssize_t(int, void*, std::size_t, int)>("recv");
    timespec const nothing{};
    socket_pair const pair;
    if (::write(pair.ends[1], "x", 1) != 1)
        give_up("write");
    char c;
    auto const sleep_plainly = [&] { plain_sleep(CLOCK_THREAD_CPUTIME_ID, 0, &nothing, nullptr); };
    auto const sleep = [&] { ::clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &nothing, nullptr); };
    auto const look_plainly = [&] { plain_recv(pair.ends[0], &c, 1, MSG_PEEK); };
    auto const look = [&] { ::recv(pair.ends[0], &c, 1, MSG_PEEK); };

    std::vector<double> off, plain_off, on, plain_on;
    int const calls = bytes * 20;
    for (int round = 0; round != rounds; ++round) {
        plain_off.push_back(each(calls, sleep_plainly));
        off.push_back(each(calls, sleep));
        plain_on.push_back(each_on_portal(bytes, look_plainly));
        on.push_back(each_on_portal(bytes, look));
        for (kind& k : kinds)
            k.ns.push_back(k.play(bytes));
    }
    std::printf("a call off every portal                   %7.2f ns more than the plain %.2f\n",
                median(off) - median(plain_off), median(plain_off));
    std::printf("a recv on a portal that need not wait     %7.2f ns more than the plain %.2f\n",
                median(on) - median(plain_on), median(plain_on));
    for (kind const& k : kinds)
        std::printf("a byte to and fro, each way: %-12s %7.0f ns, %.2f of co_await's\n", k.name, median(k.ns),
                    median(k.ns) / median(kinds[1].ns));
    // The same for bench/report.py.
    std::printf("off_portal.plain_ns %.3f\noff_portal.ns %.3f\non_portal.plain_ns %.3f\non_portal.ns %.3f\n",
                median(plain_off), median(off), median(plain_on), median(on));
    for (kind const& k : kinds)
        std::printf("%s.ns_each_way %.1f\n", k.name, median(k.ns));
    return greenback::blocking_calls_awaited() == 0;
}
