// SPDX-License-Identifier: MIT
//
// poll, select, epoll_wait and their relatives.
#include "blocking_calls/support.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <vector>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

using namespace test;

TEST_CASE("poll waits until one of its descriptors is ready") {
    socket_pair s, other;
    awaits_since const awaits;
    bool has_written = false;
    together(
        [&] {
            pollfd p[] = {{other.a, POLLIN, 0}, {s.a, POLLIN, 0}, {-1, POLLIN, 0}};
            CHECK(::poll(p, 3, -1) == 1);
            CHECK(has_written);
            CHECK(p[0].revents == 0);
            CHECK(p[1].revents == POLLIN);
            CHECK(p[2].revents == 0);
        },
        [&] {
            has_written = true;
            CHECK(::write(s.b, "x", 1) == 1);
        });
    CHECK(awaits.count() > 0);
}

TEST_CASE("poll's timeout passes") {
    socket_pair s;
    awaits_since const awaits;
    auto const start = std::chrono::steady_clock::now();
    together([&] {
        pollfd p{s.a, POLLIN, 0};
        CHECK(::poll(&p, 1, 50) == 0);
        timespec const t{0, 50'000'000};
        CHECK(::ppoll(&p, 1, &t, nullptr) == 0);
    });
    CHECK(awaits.count() >= 2);
    CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(100));
}

TEST_CASE("poll that need not wait does not") {
    socket_pair s;
    awaits_since const awaits;
    together([&] {
        pollfd p{s.a, POLLIN, 0};
        CHECK(::poll(&p, 1, 0) == 0);
        p.events = POLLIN | POLLOUT;
        CHECK(::poll(&p, 1, -1) == 1);
        CHECK(p.revents == POLLOUT);
        CHECK(::poll(nullptr, 0, 0) == 0);
    });
    CHECK(awaits.count() == 0);
}

TEST_CASE("poll without descriptors sleeps") {
    awaits_since const awaits;
    together([&] {
        CHECK(::poll(nullptr, 0, 50) == 0);
        pollfd none[] = {{-1, POLLIN, 0}, {-1, POLLOUT, 0}};
        CHECK(::poll(none, 2, 50) == 0);
    });
    CHECK(awaits.count() >= 2);
}

TEST_CASE("poll tells of a descriptor that is none") {
    int const fd = ::dup(0);
    ::close(fd);
    together([&] {
        pollfd p{fd, POLLIN, 0};
        CHECK(::poll(&p, 1, -1) == 1);
        CHECK(p.revents == POLLNVAL);
    });
}

TEST_CASE("poll of a descriptor that nothing can happen to waits for its timeout") {
    int const file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    together([&] {
        pollfd p{file, POLLIN, 0};
        CHECK(::poll(&p, 1, -1) == 1); // a file is always readable
        p.events = POLLPRI;
        CHECK(::poll(&p, 1, 50) == 0);
    });
    ::close(file);
}

TEST_CASE("poll of one descriptor twice") {
    socket_pair s;
    together(
        [&] {
            pollfd p[] = {{s.a, POLLIN, 0}, {s.a, POLLPRI, 0}, {s.a, POLLIN, 0}};
            CHECK(::poll(p, 3, -1) == 2);
            CHECK(p[0].revents == POLLIN);
            CHECK(p[1].revents == 0);
            CHECK(p[2].revents == POLLIN);
        },
        [&] { CHECK(::write(s.b, "x", 1) == 1); });
}

TEST_CASE("poll of a descriptor that is closed meanwhile ends with its timeout") {
    socket_pair s;
    int const kept = ::dup(s.a);
    together(
        [&] {
            pollfd p[] = {{s.a, POLLIN, 0}, {s.a, POLLPRI, 0}, {-1, POLLIN, 0}};
            CHECK(::poll(p, 3, 50) == 2);
            CHECK(p[0].revents == POLLNVAL);
            CHECK(p[1].revents == POLLNVAL);
        },
        [&] { s.close_a(); });
    ::close(kept);
}

TEST_CASE("poll tells of the other end that is gone, which nobody has asked for") {
    socket_pair s;
    pipe_ends p;
    together(
        [&] {
            pollfd none{s.a, 0, 0};
            CHECK(::poll(&none, 1, -1) == 1);
            CHECK(none.revents == POLLHUP);
        },
        [&] {
            pollfd none{p.b, 0, 0};
            CHECK(::poll(&none, 1, -1) == 1);
            CHECK(none.revents == POLLERR);
        },
        [&] {
            s.close_b();
            p.close_a();
        });
}

TEST_CASE("two portals poll one descriptor for different events") {
    socket_pair s;
    char data[65536] = {};
    while (::send(s.a, data, sizeof data, MSG_DONTWAIT) > 0) {
    }
    bool readable = false, writable = false;
    together(
        [&] {
            pollfd p{s.a, POLLIN, 0};
            CHECK(::poll(&p, 1, -1) == 1);
            CHECK(p.revents == POLLIN);
            readable = true;
        },
        [&] {
            pollfd p{s.a, POLLOUT, 0};
            CHECK(::poll(&p, 1, -1) == 1);
            CHECK((p.revents & POLLOUT) != 0);
            CHECK(!readable);
            writable = true;
            CHECK(::write(s.b, "x", 1) == 1);
        },
        [&] {
            while (::recv(s.b, data, sizeof data, MSG_DONTWAIT) > 0) {
            }
        });
    CHECK(readable);
    CHECK(writable);
}

TEST_CASE("poll of many descriptors") {
    std::vector<std::unique_ptr<pipe_ends>> pipes;
    for (int i = 0; i != 100; ++i)
        pipes.push_back(std::make_unique<pipe_ends>());
    together(
        [&] {
            std::vector<pollfd> list;
            for (auto const& p : pipes)
                list.push_back({p->a, POLLIN, 0});
            for (std::size_t i = 0; i != 100; ++i) {
                CHECK(::poll(list.data(), list.size(), -1) == 1);
                CHECK(list[i].revents == POLLIN);
                char c;
                CHECK(::read(list[i].fd, &c, 1) == 1);
            }
        },
        [&] {
            for (auto const& p : pipes) {
                CHECK(::write(p->b, "x", 1) == 1);
                pollfd full{p->a, POLLIN, 0};
                while (::poll(&full, 1, 0) == 1)
                    ::usleep(100);
            }
        });
}

TEST_CASE("calls that are wrong fail as ever") {
    socket_pair s;
    together([&] {
        pollfd p{s.a, POLLIN, 0};
        for (timespec const bad : {timespec{0, 1'000'000'000}, timespec{0, -1}, timespec{-1, 0}}) {
            CHECK(failed_with(::ppoll(&p, 1, &bad, nullptr), EINVAL));
            CHECK(failed_with(::pselect(0, nullptr, nullptr, nullptr, &bad, nullptr), EINVAL));
        }
        timeval negative{-1, 0};
        CHECK(failed_with(::select(0, nullptr, nullptr, nullptr, &negative), EINVAL));
        CHECK(failed_with(::select(-1, nullptr, nullptr, nullptr, nullptr), EINVAL));
        epoll_event event;
        CHECK(failed_with(::epoll_wait(s.a, &event, 1, -1), EINVAL));
        CHECK(failed_with(::epoll_wait(-1, &event, 1, -1), EBADF));
    });
}

TEST_CASE("select waits, and says which are ready and what is left of its time") {
    socket_pair s;
    int const n = std::max(s.a, s.b) + 1;
    awaits_since const awaits;
    together(
        [&] {
            fd_set readable, writable;
            FD_ZERO(&readable);
            FD_ZERO(&writable);
            FD_SET(s.a, &readable);
            FD_SET(s.b, &readable);
            timeval left{1000, 0};
            CHECK(::select(n, &readable, nullptr, nullptr, &left) == 1);
            CHECK(FD_ISSET(s.a, &readable));
            CHECK(!FD_ISSET(s.b, &readable));
            CHECK(left.tv_sec < 1000);
            CHECK(left.tv_sec > 0);
            FD_SET(s.a, &writable);
            CHECK(::select(n, &readable, &writable, nullptr, nullptr) == 2);
        },
        [&] { CHECK(::write(s.b, "x", 1) == 1); });
    CHECK(awaits.count() > 0);
}

TEST_CASE("select's time passes, and leaves its sets empty") {
    socket_pair s;
    together([&] {
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(s.a, &readable);
        timeval left{0, 20'000};
        CHECK(::select(s.a + 1, &readable, nullptr, nullptr, &left) == 0);
        CHECK(!FD_ISSET(s.a, &readable));
        CHECK(left.tv_sec == 0);
        CHECK(left.tv_usec == 0);
        FD_SET(s.a, &readable);
        timespec const t{0, 50'000'000};
        CHECK(::pselect(s.a + 1, &readable, nullptr, nullptr, &t, nullptr) == 0);
        CHECK(!FD_ISSET(s.a, &readable));
        CHECK(t.tv_nsec == 50'000'000);
        left = {0, 5'000};
        CHECK(::select(0, nullptr, nullptr, nullptr, &left) == 0);
    });
}

TEST_CASE("select of a descriptor that is none fails") {
    int const fd = ::dup(0);
    ::close(fd);
    together([&] {
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(fd, &readable);
        CHECK(failed_with(::select(fd + 1, &readable, nullptr, nullptr, nullptr), EBADF));
    });
}

TEST_CASE("select looks at no more of its sets than the kernel does, whatever number it is given") {
    auto const times_out = [] {
        std::array<fd_set, 3> sets{};
        std::memset(sets.data(), 0xff, sizeof sets); // the first is the set, and the others what lies behind it
        FD_ZERO(&sets[0]);
        timeval t{0, 1'000};
        return ::select(3 * FD_SETSIZE, &sets[0], nullptr, nullptr, &t) == 0;
    };
    if (!in_child([&] { return times_out() ? 0 : 1; }).exited_with(0)) {
        WARN("skipped: the system looks at what it is told to, be it no set");
        return;
    }
    together([&] { CHECK(times_out()); });
}

TEST_CASE("epoll_wait waits, and its time passes") {
    socket_pair s;
    awaits_since const awaits;
    together(
        [&] {
            int const e = ::epoll_create1(EPOLL_CLOEXEC);
            epoll_event event{};
            event.events = EPOLLIN;
            event.data.fd = s.a;
            CHECK(::epoll_ctl(e, EPOLL_CTL_ADD, s.a, &event) == 0);
            epoll_event out[4];
            CHECK(::epoll_wait(e, out, 4, 0) == 0);
            CHECK(::epoll_wait(e, out, 4, 10) == 0);
            CHECK(::epoll_wait(e, out, 4, -1) == 1);
            CHECK(out[0].data.fd == s.a);
            CHECK(failed_with(::epoll_wait(e, out, 0, -1), EINVAL));
            ::close(e);
        },
        [&] {
            CHECK(::usleep(20'000) == 0);
            CHECK(::write(s.b, "x", 1) == 1);
        });
    CHECK(awaits.count() > 0);
}

TEST_CASE("with a mask of signals, ppoll and pselect are the plain calls") {
    socket_pair s;
    sigset_t none;
    ::sigemptyset(&none);
    awaits_since const awaits;
    together([&] {
        pollfd p{s.a, POLLIN, 0};
        timespec const t{0, 1'000'000};
        CHECK(::ppoll(&p, 1, &t, &none) == 0);
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(s.a, &readable);
        CHECK(::pselect(s.a + 1, &readable, nullptr, nullptr, &t, &none) == 0);
    });
    CHECK(awaits.count() == 0);
}

TEST_CASE("no readiness call is interrupted by signals") {
    socket_pair s;
    interval_timer const timer;
    together([&] {
        pollfd p{s.a, POLLIN, 0};
        CHECK(::poll(&p, 1, 50) == 0);
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(s.a, &readable);
        timeval left{0, 50'000};
        CHECK(::select(s.a + 1, &readable, nullptr, nullptr, &left) == 0);
        int const e = ::epoll_create1(EPOLL_CLOEXEC);
        epoll_event event;
        CHECK(::epoll_wait(e, &event, 1, 50) == 0);
        ::close(e);
    });
}
