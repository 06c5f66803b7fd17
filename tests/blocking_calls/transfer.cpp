// SPDX-License-Identifier: MIT
//
// read, recv, write, send and their relatives.
#include "blocking_calls/support.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <ostream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

using namespace test;

namespace {

/// A way to read one byte.
struct way_to_read {
    char const* name;
    ssize_t (*read)(int fd, char& c);
    friend std::ostream& operator<<(std::ostream& out, way_to_read const& w) { return out << w.name; }
};

constexpr std::array ways_to_read{
    way_to_read{"read", [](int fd, char& c) { return ::read(fd, &c, 1); }},
    way_to_read{"readv",
                [](int fd, char& c) {
                    iovec const v{&c, 1};
                    return ::readv(fd, &v, 1);
                }},
    way_to_read{"recv", [](int fd, char& c) { return ::recv(fd, &c, 1, 0); }},
    way_to_read{"recvfrom", [](int fd, char& c) { return ::recvfrom(fd, &c, 1, 0, nullptr, nullptr); }},
    way_to_read{"recvmsg",
                [](int fd, char& c) {
                    iovec v{&c, 1};
                    msghdr m{};
                    m.msg_iov = &v;
                    m.msg_iovlen = 1;
                    return ::recvmsg(fd, &m, 0);
                }},
};

/// A way to write some text.
struct way_to_write {
    char const* name;
    ssize_t (*write)(int fd, std::string& text);
    friend std::ostream& operator<<(std::ostream& out, way_to_write const& w) { return out << w.name; }
};

/// In pieces of different lengths, more than there are room for without memory.
std::vector<iovec> in_pieces(std::string& text) {
    std::vector<iovec> v;
    for (std::size_t at = 0, size = 1; at != text.size(); size *= 2) {
        std::size_t const n = std::min(size, text.size() - at);
        v.push_back({text.data() + at, n});
        at += n;
    }
    return v;
}

constexpr std::array ways_to_write{
    way_to_write{"write", [](int fd, std::string& text) { return ::write(fd, text.data(), text.size()); }},
    way_to_write{"writev",
                 [](int fd, std::string& text) {
                     auto const v = in_pieces(text);
                     return ::writev(fd, v.data(), static_cast<int>(v.size()));
                 }},
    way_to_write{"send", [](int fd, std::string& text) { return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL); }},
    way_to_write{"sendto",
                 [](int fd, std::string& text) { return ::sendto(fd, text.data(), text.size(), 0, nullptr, 0); }},
    way_to_write{"sendmsg",
                 [](int fd, std::string& text) {
                     auto v = in_pieces(text);
                     msghdr m{};
                     m.msg_iov = v.data();
                     m.msg_iovlen = v.size();
                     return ::sendmsg(fd, &m, 0);
                 }},
};

/// Text in which no two parts are the same.
std::string long_text(std::size_t size) {
    std::string text;
    for (int i = 0; text.size() < size; ++i)
        text += std::to_string(i) + ' ';
    text.resize(size);
    return text;
}

/// All that comes until the other end is closed.
std::string read_all(int fd, std::size_t at_once) {
    std::string text;
    std::vector<char> data(at_once);
    ssize_t n;
    while ((n = ::read(fd, data.data(), data.size())) > 0)
        text.append(data.data(), static_cast<std::size_t>(n));
    if (n < 0)
        throw std::runtime_error("read");
    return text;
}

struct temporary_file {
    char name[32] = "/tmp/greenback-XXXXXX";
    int fd = ::mkstemp(name);
    ~temporary_file() {
        ::close(fd);
        ::unlink(name);
    }
};

} // namespace

TEST_CASE("a call that reads waits until something comes, while other tasks run") {
    auto const way = GENERATE(from_range(ways_to_read));
    CAPTURE(way);
    socket_pair s;
    awaits_since const awaits;
    std::string order;
    together(
        [&] {
            char c = 0;
            CHECK(way.read(s.a, c) == 1);
            CHECK(c == 'x');
            order += 'r';
        },
        [&] {
            order += 'w';
            CHECK(::write(s.b, "x", 1) == 1);
            CHECK(!is_nonblocking(s.a));
        });
    CHECK(order == "wr");
    CHECK(awaits.count() > 0);
    CHECK(!is_nonblocking(s.a));
}

TEST_CASE("a call that finds something to read does not wait, and takes what there is") {
    socket_pair s;
    together([&] {
        CHECK(::write(s.b, "abc", 3) == 3);
        awaits_since const awaits;
        char data[8];
        CHECK(::read(s.a, data, sizeof data) == 3);
        CHECK(awaits.count() == 0);
    });
}

TEST_CASE("a call that reads tells the end of what comes") {
    auto const way = GENERATE(from_range(ways_to_read));
    CAPTURE(way);
    socket_pair s;
    together(
        [&] {
            char c;
            CHECK(way.read(s.a, c) == 0);
        },
        [&] { s.close_b(); });
}

TEST_CASE("a call that writes waits until there is room for all of it") {
    auto const way = GENERATE(from_range(ways_to_write));
    CAPTURE(way);
    socket_pair s;
    awaits_since const awaits;
    std::string text = long_text(3'000'000);
    std::string got;
    together(
        [&] {
            CHECK(way.write(s.a, text) == 3'000'000);
            s.close_a();
        },
        [&] { got = read_all(s.b, 65536); });
    CHECK((got == text));
    CHECK(awaits.count() > 0);
}

TEST_CASE("much goes through a pipe") {
    bool const with_vectors = GENERATE(false, true);
    pipe_ends p;
    std::string text = long_text(1'000'000);
    std::string got;
    together(
        [&] {
            CHECK(ways_to_write[with_vectors ? 1 : 0].write(p.b, text) == 1'000'000);
            p.close_b();
        },
        [&] { got = read_all(p.a, 70'000); });
    CHECK((got == text));
}

TEST_CASE("a pipe's small writes come whole, whoever else writes") {
    pipe_ends p;
    std::string const a(4096, 'a'), b(4096, 'b'); // PIPE_BUF
    std::string got;
    int writers = 2;
    auto const writer = [&](std::string const& text) {
        return [&] {
            for (int i = 0; i != 100; ++i)
                CHECK(::write(p.b, text.data(), text.size()) == 4096);
            if (--writers == 0)
                p.close_b();
        };
    };
    together(writer(a), writer(b), [&] { got = read_all(p.a, 1000); });
    REQUIRE(got.size() == 200 * 4096);
    for (std::size_t at = 0; at != got.size(); at += 4096)
        REQUIRE((got.compare(at, 4096, a) == 0 || got.compare(at, 4096, b) == 0));
}

TEST_CASE("readv fills several buffers") {
    socket_pair s;
    char first[2], second[8];
    together(
        [&] {
            iovec const v[] = {{first, sizeof first}, {second, sizeof second}};
            CHECK(::readv(s.a, v, 2) == 5);
        },
        [&] { CHECK(::write(s.b, "abcde", 5) == 5); });
    CHECK(std::string(first, 2) + std::string(second, 3) == "abcde");
}

TEST_CASE("MSG_WAITALL waits for all") {
    socket_pair s;
    std::string text = long_text(2'000'000);
    std::string got(text.size(), '\0');
    together([&] { CHECK(::recv(s.b, got.data(), got.size(), MSG_WAITALL) == 2'000'000); },
             [&] { CHECK(::send(s.a, text.data(), text.size(), 0) == 2'000'000); });
    CHECK((got == text));
}

TEST_CASE("MSG_WAITALL is content with less at the end") {
    socket_pair s;
    together(
        [&] {
            char data[8];
            CHECK(::recv(s.b, data, sizeof data, MSG_WAITALL) == 3);
        },
        [&] {
            CHECK(::send(s.a, "ab", 2, 0) == 2);
            ::usleep(1000);
            CHECK(::send(s.a, "c", 1, 0) == 1);
            s.close_a();
        });
}

TEST_CASE("MSG_PEEK leaves what it finds") {
    socket_pair s;
    together(
        [&] {
            char c = 0;
            CHECK(::recv(s.a, &c, 1, MSG_PEEK) == 1);
            CHECK(::recv(s.a, &c, 1, 0) == 1);
            CHECK(c == 'x');
        },
        [&] { CHECK(::send(s.b, "x", 1, 0) == 1); });
}

TEST_CASE("datagrams stay whole, and say where they come from") {
    sockaddr_un from{};
    from.sun_family = AF_UNIX; // a name in the abstract namespace, which the kernel chooses
    int const a = ::socket(AF_UNIX, SOCK_DGRAM, 0), b = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    REQUIRE(::bind(a, reinterpret_cast<sockaddr*>(&from), sizeof(sa_family_t)) == 0);
    REQUIRE(::bind(b, reinterpret_cast<sockaddr*>(&from), sizeof(sa_family_t)) == 0);
    sockaddr_un of_a{}, of_b{}, seen{};
    socklen_t size_a = sizeof of_a, size_b = sizeof of_b, size_seen = sizeof seen;
    REQUIRE(::getsockname(a, reinterpret_cast<sockaddr*>(&of_a), &size_a) == 0);
    REQUIRE(::getsockname(b, reinterpret_cast<sockaddr*>(&of_b), &size_b) == 0);
    together(
        [&] {
            char data[100];
            CHECK(::recvfrom(a, data, sizeof data, 0, reinterpret_cast<sockaddr*>(&seen), &size_seen) == 3);
            CHECK(::recv(a, data, 2, MSG_TRUNC) == 5);
            CHECK(::recv(a, data, sizeof data, 0) == 0); // an empty one
        },
        [&] {
            auto const* const to = reinterpret_cast<sockaddr const*>(&of_a);
            CHECK(::sendto(b, "abc", 3, 0, to, size_a) == 3);
            CHECK(::sendto(b, "defgh", 5, 0, to, size_a) == 5);
            CHECK(::sendto(b, "", 0, 0, to, size_a) == 0);
        });
    CHECK(size_seen == size_b);
    CHECK(std::string(seen.sun_path + 1, 5) == std::string(of_b.sun_path + 1, 5));
    ::close(a);
    ::close(b);
}

TEST_CASE("many datagrams wait for room, none is lost") {
    socket_pair s(SOCK_DGRAM);
    int const count = 2000;
    int got = 0;
    together(
        [&] {
            for (int i = 0; i != count; ++i)
                CHECK(::send(s.a, &i, sizeof i, 0) == sizeof i);
        },
        [&] {
            for (int i = 0; i != count; ++i) {
                int number = -1;
                CHECK(::recv(s.b, &number, sizeof number, 0) == sizeof number);
                got += number == i;
            }
        });
    CHECK(got == count);
}

TEST_CASE("files are always ready") {
    temporary_file file;
    awaits_since const awaits;
    together([&] {
        std::string text = long_text(300'000);
        CHECK(::write(file.fd, text.data(), text.size()) == 300'000);
        iovec const v[] = {{text.data(), 10}, {text.data(), 20}};
        CHECK(::writev(file.fd, v, 2) == 30);
        CHECK(::lseek(file.fd, 0, SEEK_SET) == 0);
        char data[100];
        CHECK(::read(file.fd, data, 100) == 100);
        CHECK(::read(file.fd, data, 7) == 7);
        CHECK(::lseek(file.fd, 0, SEEK_CUR) == 107);
        CHECK(::lseek(file.fd, 0, SEEK_END) == 300'030);
        CHECK(::read(file.fd, data, 1) == 0);
        CHECK(failed_with(::recv(file.fd, data, 1, 0), ENOTSOCK));
        int const null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        CHECK(::read(null, data, 5) == 0);
        CHECK(::write(null, data, 5) == 5);
        ::close(null);
    });
    CHECK(awaits.count() == 0);
}

TEST_CASE("a descriptor that is none fails as ever") {
    int const fd = ::dup(0);
    ::close(fd);
    together([&] {
        char c = 0;
        for (way_to_read const& way : ways_to_read)
            CHECK(failed_with(way.read(fd, c), EBADF));
        std::string text = "text";
        for (way_to_write const& way : ways_to_write)
            CHECK(failed_with(way.write(fd, text), EBADF));
    });
}

TEST_CASE("what a descriptor is not open for, or what can't be done with it, fails as ever") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    int const epoll = ::epoll_create1(EPOLL_CLOEXEC), timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    std::string text = "text";
    char c = 0;
    auto const check = [&] {
        for (way_to_read const& way : {ways_to_read[0], ways_to_read[1]}) {
            CAPTURE(way);
            CHECK(failed_with(way.read(ends[1], c), EBADF));
            CHECK(failed_with(way.read(epoll, c), EINVAL));
        }
        for (way_to_write const& way : {ways_to_write[0], ways_to_write[1]}) {
            CAPTURE(way);
            CHECK(failed_with(way.write(ends[0], text), EBADF));
            CHECK(failed_with(way.write(timer, text), EINVAL));
        }
    };
    check(); // plain
    if (::readv(ends[1], nullptr, 0) < 0)
        together(check);
    else
        WARN("skipped: an emulator says nothing of a transfer of no buffers");
    for (int const fd : {ends[0], ends[1], epoll, timer})
        ::close(fd);
}

TEST_CASE("a call that succeeds leaves errno alone") {
    pipe_ends p;
    socket_pair s;
    temporary_file file;
    auto const leaves_alone = [](auto f) {
        errno = ECONNREFUSED;
        return f() >= 0 && errno == ECONNREFUSED;
    };
    char c = 0;
    together(
        [&] {
            CHECK(leaves_alone([&] { return ::write(file.fd, "x", 1); }));
            CHECK(leaves_alone([&] { return ::read(s.a, &c, 1); })); // which waits
            CHECK(leaves_alone([&] { return ::read(p.a, &c, 1); }));
            CHECK(leaves_alone([&] { return ::usleep(1); }));
        },
        [&] {
            CHECK(leaves_alone([&] { return ::write(s.b, "x", 1); }));
            CHECK(leaves_alone([&] { return ::write(p.b, "x", 1); }));
        });
}

TEST_CASE("bad addresses fail as ever") {
    socket_pair s;
    together([&] {
        CHECK(::write(s.b, "x", 1) == 1);
        auto* volatile nowhere = reinterpret_cast<void*>(8);
        if (!sanitized) // which looks itself
            CHECK(failed_with(::read(s.a, nowhere, 1), EFAULT));
        iovec const v{};
        int volatile negative = -1; // the compiler would warn
        CHECK(failed_with(::readv(s.a, &v, negative), EINVAL));
        CHECK(failed_with(::writev(s.a, &v, negative), EINVAL));
    });
}

TEST_CASE("nothing to transfer is no reason to wait") {
    socket_pair s;
    awaits_since const awaits;
    together([&] {
        char c;
        CHECK(::read(s.a, &c, 0) == 0);
        CHECK(::write(s.a, &c, 0) == 0);
    });
    CHECK(awaits.count() == 0);
}

TEST_CASE("O_NONBLOCK and MSG_DONTWAIT: the call does not wait") {
    socket_pair s;
    REQUIRE(::fcntl(s.a, F_SETFL, O_NONBLOCK) == 0);
    awaits_since const awaits;
    together([&] {
        char c = 0;
        for (way_to_read const& way : ways_to_read)
            CHECK(failed_with(way.read(s.a, c), EAGAIN));
        std::string text = long_text(3'000'000);
        ssize_t const sent = ::write(s.a, text.data(), text.size());
        CHECK(sent > 0);
        CHECK(sent < 3'000'000);
        for (way_to_write const& way : ways_to_write)
            CHECK(failed_with(way.write(s.a, text), EAGAIN));
        CHECK(is_nonblocking(s.a));
        socket_pair other;
        CHECK(failed_with(::recv(other.a, &c, 1, MSG_DONTWAIT), EAGAIN));
        CHECK(::send(other.a, text.data(), text.size(), MSG_DONTWAIT) < 3'000'000);
        CHECK(failed_with(::send(other.a, text.data(), text.size(), MSG_DONTWAIT), EAGAIN));
        CHECK(!is_nonblocking(other.a));
        pipe_ends p;
        CHECK(::fcntl(p.a, F_SETFL, O_NONBLOCK) == 0);
        CHECK(failed_with(::read(p.a, &c, 1), EAGAIN));
    });
    CHECK(awaits.count() == 0);
}

TEST_CASE("SO_RCVTIMEO and SO_SNDTIMEO end a wait") {
    socket_pair s;
    set_timeout(s.a, SO_RCVTIMEO, 20);
    set_timeout(s.a, SO_SNDTIMEO, 20);
    together([&] {
        char c = 0;
        for (way_to_read const& way : ways_to_read)
            CHECK(failed_with(way.read(s.a, c), EAGAIN));
        std::string text = long_text(3'000'000);
        ssize_t const sent = ::send(s.a, text.data(), text.size(), 0);
        CHECK(sent > 0); // a part of it
        CHECK(sent < 3'000'000);
        for (way_to_write const& way : ways_to_write)
            CHECK(failed_with(way.write(s.a, text), EAGAIN));
    });
}

TEST_CASE("a timeout that is set between two waits is honoured, and so is one that is changed") {
    socket_pair s;
    together(
        [&] {
            char c;
            CHECK(::read(s.a, &c, 1) == 1); // without a timeout
            set_timeout(s.a, SO_RCVTIMEO, 10);
            CHECK(failed_with(::read(s.a, &c, 1), EAGAIN));
            set_timeout(s.a, SO_RCVTIMEO, 30'000);
            CHECK(::write(s.b, "!", 1) == 1);
            CHECK(::read(s.a, &c, 1) == 1);
            set_timeout(s.a, SO_RCVTIMEO, 10);
            CHECK(failed_with(::read(s.a, &c, 1), EAGAIN));
        },
        [&] { CHECK(::write(s.b, "x", 1) == 1); });
}

TEST_CASE("a timeout is that of a descriptor, not of its number") {
    int number;
    together([&] {
        char c;
        {
            socket_pair s;
            number = s.a;
            set_timeout(s.a, SO_RCVTIMEO, 10);
            CHECK(failed_with(::read(s.a, &c, 1), EAGAIN));
        }
        socket_pair s;
        CHECK(s.a == number);
        asio::io_context& context = static_cast<asio::io_context&>(
            asio::query(greenback::await_(asio::this_coro::executor), asio::execution::context));
        asio::steady_timer later(context, std::chrono::milliseconds(100));
        later.async_wait([&](auto) { CHECK(::write(s.b, "x", 1) == 1); });
        CHECK(::read(s.a, &c, 1) == 1);
    });
}

TEST_CASE("where nobody reads any more") {
    socket_pair s;
    pipe_ends p;
    auto const before = std::signal(SIGPIPE, SIG_IGN);
    together([&] {
        s.close_b();
        p.close_a();
        std::string text = "text";
        for (way_to_write const& way : ways_to_write)
            CHECK(failed_with(way.write(s.a, text), EPIPE));
        CHECK(failed_with(::write(p.b, "x", 1), EPIPE));
    });
    std::signal(SIGPIPE, before);
}

TEST_CASE("SIGPIPE comes as ever") {
    bool const to_socket = GENERATE(false, true);
    outcome const child = in_child([=] {
        std::signal(SIGPIPE, SIG_DFL);
        together([=] {
            socket_pair s;
            pipe_ends p;
            s.close_b();
            p.close_a();
            auto const written = ::write(to_socket ? s.a : p.b, "x", 1);
            (void)written;
        });
        return 1;
    });
    CHECK(child.died_of(SIGPIPE));
}

TEST_CASE("other descriptors that can be waited for") {
    int const counter = ::eventfd(0, EFD_CLOEXEC);
    awaits_since const awaits;
    together(
        [&] {
            std::uint64_t value = 0;
            CHECK(::read(counter, &value, sizeof value) == sizeof value);
            CHECK(value == 7);
        },
        [&] {
            std::uint64_t const value = 7;
            CHECK(::write(counter, &value, sizeof value) == sizeof value);
        });
    CHECK(awaits.count() > 0);
    ::close(counter);
}

namespace {

/// Calls `f` on a portal until another task has run, which is ready from the start, or it was called often enough.
/// @returns how often
template <class F> long calls_before_others_run(long at_most, F f) {
    bool other_has_run = false;
    long calls = 0;
    asio::io_context context(1);
    spawn(context, on_portal([&] {
              while (!other_has_run && calls != at_most) {
                  f();
                  ++calls;
              }
          }));
    spawn(context, [](bool& flag) -> asio::awaitable<void> {
        flag = true;
        co_return;
    }(other_has_run));
    run_all(context);
    return calls;
}

} // namespace

TEST_CASE("a task that always finds something lets others run") {
    constexpr long many = 20'000'000;
    socket_pair s;
    char c;
    CHECK(calls_before_others_run(many, [&] { CHECK((::write(s.b, "x", 1) == 1 && ::read(s.a, &c, 1) == 1)); }) < many);
    REQUIRE(::write(s.b, "x", 1) == 1);
    pollfd p{s.a, POLLIN, 0};
    CHECK(calls_before_others_run(many, [&] { CHECK(::poll(&p, 1, -1) == 1); }) < many);
}

TEST_CASE("what writes, or reads files, does not: it is called with locks held that others want") {
    constexpr long enough = 300'000; // for some 10 ms to have passed
    int const null = ::open("/dev/null", O_WRONLY | O_CLOEXEC), zeros = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
    char c = 'x';
    CHECK(calls_before_others_run(enough, [&] { CHECK(::write(null, &c, 1) == 1); }) == enough);
    CHECK(calls_before_others_run(enough, [&] { CHECK(::read(zeros, &c, 1) == 1); }) == enough);
    // Nor what could not block: Asio makes such calls with a lock held.
    socket_pair s;
    REQUIRE(::write(s.b, "x", 1) == 1);
    CHECK(calls_before_others_run(enough, [&] { CHECK(::recv(s.a, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1); }) == enough);
    pollfd p{s.a, POLLIN, 0};
    CHECK(calls_before_others_run(enough, [&] { CHECK(::poll(&p, 1, 0) == 1); }) == enough);
    ::fcntl(s.a, F_SETFL, O_NONBLOCK);
    CHECK(calls_before_others_run(enough, [&] { CHECK(::recv(s.a, &c, 1, MSG_PEEK) == 1); }) == enough);
    ::close(null);
    ::close(zeros);
}

TEST_CASE("no wait is interrupted by signals") {
    socket_pair s;
    pipe_ends p;
    interval_timer const timer;
    together(
        [&] {
            char c;
            CHECK(::read(s.a, &c, 1) == 1);
            set_timeout(s.a, SO_RCVTIMEO, 50);
            CHECK(failed_with(::recv(s.a, &c, 1, 0), EAGAIN));
        },
        [&] {
            char c;
            CHECK(::read(p.a, &c, 1) == 1);
        },
        [&] {
            CHECK(::usleep(100'000) == 0);
            CHECK(::write(s.b, "x", 1) == 1);
            CHECK(::write(p.b, "x", 1) == 1);
        });
}
