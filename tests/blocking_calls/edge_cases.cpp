// SPDX-License-Identifier: MIT
//
// What the plain calls do where little is asked for, or too much, or where poll and the call disagree.
#include "blocking_calls/support.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

using namespace test;

namespace {

/// Two ends of a TCP connection.
struct tcp_pair : two_ends {
    tcp_pair() {
        int const listener = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* const address = reinterpret_cast<sockaddr*>(&at);
        socklen_t size = sizeof at;
        a = ::socket(AF_INET, SOCK_STREAM, 0);
        if (::bind(listener, address, size) != 0 || ::listen(listener, 1) != 0 ||
            ::getsockname(listener, address, &size) != 0 || ::connect(a, address, size) != 0)
            throw std::runtime_error("connect");
        b = ::accept(listener, nullptr, nullptr);
        ::close(listener);
    }
    /// Closed so, the other end sees a reset and not an end.
    void reset_b() {
        linger const at_once{1, 0};
        ::setsockopt(b, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close_b();
    }
};

/// A Unix datagram socket with a name.
struct named_datagrams {
    named_datagrams() {
        at.sun_family = AF_UNIX;
        socklen_t size = sizeof(sa_family_t); // the system chooses a name
        fd = ::socket(AF_UNIX, SOCK_DGRAM, 0);
        if (::bind(fd, address(), size) != 0)
            throw std::runtime_error("bind");
        named = sizeof at;
        if (::getsockname(fd, address(), &named) != 0)
            throw std::runtime_error("getsockname");
    }
    named_datagrams(named_datagrams const&) = delete;
    ~named_datagrams() { ::close(fd); }
    sockaddr* address() { return reinterpret_cast<sockaddr*>(&at); }

    int fd = -1;
    sockaddr_un at{};
    socklen_t named = 0;
};

} // namespace

TEST_CASE("a datagram socket that poll calls writable though its receiver is full waits without spinning") {
    named_datagrams receiver;
    int const sender = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    int sent = 0;
    awaits_since const awaits;
    together(
        [&] {
            for (int i = 0; i != 2000; ++i)
                sent += ::sendto(sender, "x", 1, 0, receiver.address(), receiver.named) == 1;
        },
        [&] {
            ::usleep(50'000);
            char c;
            for (int i = 0; i != 2000; ++i)
                CHECK(::recv(receiver.fd, &c, 1, 0) == 1);
        });
    CHECK(sent == 2000);
    CHECK(awaits.count() < 4000); // that spun it would be hundreds of thousands
    ::close(sender);
}

TEST_CASE("a call for what is never waited for has its answer at once") {
    tcp_pair s;
    awaits_since const awaits;
    together([&] {
        char c;
        iovec v{&c, 1};
        msghdr m{};
        m.msg_iov = &v;
        m.msg_iovlen = 1;
        CHECK(failed_with(::recvmsg(s.a, &m, MSG_ERRQUEUE), EAGAIN));
        CHECK(::recv(s.a, &c, 1, MSG_OOB) == -1);
    });
    CHECK(awaits.count() == 0);
}

TEST_CASE("a reset in the middle of MSG_WAITALL is told by the next call") {
    tcp_pair s;
    together(
        [&] {
            std::array<char, 4> text;
            CHECK(::recv(s.a, text.data(), text.size(), MSG_WAITALL) == 2);
            CHECK(failed_with(::recv(s.a, text.data(), text.size(), 0), ECONNRESET));
        },
        [&] {
            CHECK(::write(s.b, "ab", 2) == 2);
            ::usleep(10'000);
            s.reset_b();
        });
}

TEST_CASE("an end that select is not asked for is none of its answers") {
    socket_pair s;
    s.close_b();
    together([&] {
        fd_set exceptional;
        FD_ZERO(&exceptional);
        FD_SET(s.a, &exceptional);
        timeval t{0, 20'000};
        auto const start = std::chrono::steady_clock::now();
        CHECK(::select(s.a + 1, nullptr, nullptr, &exceptional, &t) == 0);
        CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(20));
        CHECK(!FD_ISSET(s.a, &exceptional));
    });
}

TEST_CASE("select takes sets that are larger than an fd_set") {
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur <= 1500) {
        limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 2000);
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    socket_pair s;
    int const high = ::fcntl(s.a, F_DUPFD_CLOEXEC, 1500);
    if (high < 0) {
        WARN("skipped: no descriptor can have the number 1500 here");
        return;
    }
    std::vector<unsigned long> words(32);
    constexpr std::size_t bits = 8 * sizeof(unsigned long);
    auto const number = static_cast<std::size_t>(high);
    int answer = -1;
    together(
        [&] {
            words[number / bits] |= 1UL << (number % bits);
            answer = ::select(high + 1, reinterpret_cast<fd_set*>(words.data()), nullptr, nullptr, nullptr);
        },
        [&] { CHECK(::write(s.b, "x", 1) == 1); });
    CHECK(answer == 1);
    CHECK(words[number / bits] == 1UL << (number % bits));
    ::close(high);
}

TEST_CASE("what points to nothing fails, and no program") {
    socket_pair s;
    together([&] {
        // Not by their names: compilers know that these must not be null.
        auto volatile nothing = static_cast<void*>(nullptr);
        CHECK(failed_with(::nanosleep(static_cast<timespec*>(nothing), nullptr), EFAULT));
        CHECK(::clock_nanosleep(CLOCK_MONOTONIC, 0, static_cast<timespec*>(nothing), nullptr) == EFAULT);
        CHECK(failed_with(::recvmsg(s.a, static_cast<msghdr*>(nothing), 0), EFAULT));
        CHECK(failed_with(::sendmsg(s.a, static_cast<msghdr*>(nothing), 0), EFAULT));
        CHECK(failed_with(::writev(s.a, static_cast<iovec*>(nothing), 1), EFAULT));
        CHECK(failed_with(::readv(s.a, static_cast<iovec*>(nothing), 1), EFAULT));
        msghdr too_many{};
        too_many.msg_iovlen = 100'000;
        CHECK(failed_with(::recvmsg(s.a, &too_many, 0), EMSGSIZE));
        CHECK(failed_with(::sendmsg(s.a, &too_many, 0), EMSGSIZE));
    });
}

TEST_CASE("buffers without room are no reason to wait, nor to send an empty datagram") {
    socket_pair s(SOCK_DGRAM);
    awaits_since const awaits;
    together([&] {
        std::array<iovec, 2> none{};
        CHECK(::readv(s.a, none.data(), 2) == 0);
        CHECK(::writev(s.b, none.data(), 2) == 0);
        char c;
        CHECK(failed_with(::recv(s.a, &c, 1, MSG_DONTWAIT), EAGAIN));
    });
    CHECK(awaits.count() == 0);
}

TEST_CASE("descriptors that come with a message are not lost to MSG_WAITALL") {
    socket_pair s;
    auto const send_one = [&] {
        char data[] = "four";
        iovec v{data, 4};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
        msghdr m{};
        m.msg_iov = &v;
        m.msg_iovlen = 1;
        m.msg_control = control;
        m.msg_controllen = sizeof control;
        cmsghdr* const c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(c), &s.a, sizeof(int));
        CHECK(::sendmsg(s.b, &m, 0) == 4);
    };
    int received = 0;
    std::size_t bytes = 0;
    together(
        [&] {
            while (bytes != 8) {
                char data[8];
                iovec v{data, sizeof data};
                alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
                msghdr m{};
                m.msg_iov = &v;
                m.msg_iovlen = 1;
                m.msg_control = control;
                m.msg_controllen = sizeof control;
                ssize_t const n = ::recvmsg(s.a, &m, MSG_WAITALL);
                if (n <= 0)
                    break;
                bytes += static_cast<std::size_t>(n);
                if (cmsghdr* const c = CMSG_FIRSTHDR(&m)) {
                    int fd;
                    std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
                    received += ::close(fd) == 0;
                }
            }
        },
        [&] {
            send_one();
            ::usleep(1000);
            send_one();
        });
    CHECK(bytes == 8);
    CHECK(received == 2);
}

TEST_CASE("a named pipe that does not block, and that nobody writes to, is at its end") {
    std::string const name = "/tmp/greenback-test-fifo." + std::to_string(::getpid());
    REQUIRE(::mkfifo(name.c_str(), 0600) == 0);
    int const fd = ::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    together([&] {
        char c;
        CHECK(::read(fd, &c, 1) == 0);
    });
    ::close(fd);
    ::unlink(name.c_str());
}

TEST_CASE("tasks whose waits end together go on at the same time on a pool's threads") {
    socket_pair s;
    asio::thread_pool pool(3);
    std::promise<void> second_is_there;
    std::atomic<int> there{0};
    bool met[2] = {};
    for (bool& m : met) {
        asio::co_spawn(pool, on_portal([&] {
                           char c;
                           if (::read(s.a, &c, 1) != 0)
                               return;
                           if (there++ == 0)
                               m = second_is_there.get_future().wait_for(hang_guard) == std::future_status::ready;
                           else {
                               second_is_there.set_value();
                               m = true;
                           }
                       }),
                       asio::detached);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50)); // both wait by now, nearly always
    s.close_b();
    pool.join();
    CHECK(met[0]);
    CHECK(met[1]);
}

TEST_CASE("waits that end together go on in their order") {
    std::string order;
    socket_pair s;
    asio::io_context context(1);
    for (char name : {'a', 'b', 'c', 'd'}) {
        spawn(context, on_portal([&, name] {
                  char c;
                  CHECK(::read(s.a, &c, 1) == 0);
                  order += name;
              }));
    }
    poll_all(context);
    s.close_b();
    run_all(context);
    CHECK(order.size() == 4);
    order.clear();
    for (int milliseconds : {250, 200, 150, 100}) { // far enough apart for a busy machine to begin them in time
        spawn(context, on_portal([&, milliseconds] {
                  ::usleep(static_cast<useconds_t>(milliseconds) * 1000);
                  order += std::to_string(milliseconds) + ' ';
              }));
    }
    context.restart();
    context.poll();
    std::this_thread::sleep_for(std::chrono::milliseconds(400)); // all are over before the loop looks
    run_all(context);
    CHECK(order == "100 150 200 250 ");
}

TEST_CASE("a signal may be emitted when the context, and what waited in it, is gone") {
    asio::cancellation_signal signal;
    socket_pair s;
    {
        asio::io_context context(1);
        asio::co_spawn(context, on_portal([&] {
                           char c;
                           CHECK(failed_with(::read(s.a, &c, 1), ECANCELED));
                       }),
                       asio::bind_cancellation_slot(signal.slot(), asio::detached));
        context.poll();
    }
    signal.emit(asio::cancellation_type::terminal);
}

TEST_CASE("thousands of waits are cancelled one by one") {
    constexpr std::size_t count = 3000;
    std::vector<std::unique_ptr<asio::cancellation_signal>> signals;
    asio::io_context context(1);
    int cancelled = 0;
    for (std::size_t i = 0; i != count; ++i) {
        signals.push_back(std::make_unique<asio::cancellation_signal>());
        asio::co_spawn(context, on_portal([&] { cancelled += failed_with(::usleep(10'000'000), ECANCELED); }),
                       asio::bind_cancellation_slot(signals.back()->slot(), asio::detached));
    }
    poll_all(context);
    for (auto const& signal : signals)
        signal->emit(asio::cancellation_type::terminal);
    run_all(context);
    CHECK(cancelled == count);
}
