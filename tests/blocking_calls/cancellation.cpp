// SPDX-License-Identifier: MIT
//
// Tasks that are cancelled or destroyed while they wait in a library, and blocking_call.
#include "blocking_calls/support.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

using greenback::blocking_call;
using namespace test;

namespace {

/// Runs `f` on a portal until it waits, cancels its task, and runs that to its end. @returns what the task threw
template <class F> std::exception_ptr cancelled(F f) {
    asio::io_context context(1);
    asio::cancellation_signal signal;
    std::exception_ptr thrown;
    bool ended = false;
    asio::co_spawn(context, on_portal(std::move(f)),
                   asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) {
                       thrown = e;
                       ended = true;
                   }));
    poll_all(context);
    if (ended)
        throw std::logic_error("it does not wait");
    signal.emit(asio::cancellation_type::terminal);
    run_all(context);
    if (!ended)
        throw std::logic_error("the task has not ended");
    return thrown;
}

/// Runs `f` on a portal until it waits, and destroys its context.
template <class F> void destroyed(F f) {
    asio::io_context context(1);
    spawn(context, on_portal(std::move(f)));
    poll_all(context);
}

bool is_aborted(std::exception_ptr const& e) {
    try {
        if (e)
            std::rethrow_exception(e);
    } catch (system_error const& x) {
        return x.code() == asio::error::operation_aborted;
    } catch (...) {
    }
    return false;
}

/// Each call that would block fails, and those that don't succeed.
void check_that_nothing_waits(socket_pair const& s) {
    char c = 0;
    CHECK(failed_with(::read(s.a, &c, 1), ECANCELED));
    CHECK(failed_with(::recv(s.a, &c, 1, 0), ECANCELED));
    CHECK(failed_with(::recv(s.a, &c, 1, MSG_DONTWAIT), EAGAIN));
    pollfd p{s.a, POLLIN, 0};
    CHECK(failed_with(::poll(&p, 1, -1), ECANCELED));
    CHECK(::poll(&p, 1, 0) == 0);
    timeval t{5, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(s.a, &set);
    CHECK(failed_with(::select(s.a + 1, &set, nullptr, nullptr, &t), ECANCELED));
    epoll_event event;
    int const e = ::epoll_create1(EPOLL_CLOEXEC);
    CHECK(failed_with(::epoll_wait(e, &event, 1, 5000), ECANCELED));
    ::close(e);
    CHECK(::sleep(3) == 3);
    CHECK(failed_with(::usleep(1), ECANCELED));
    timespec const d{3, 0};
    timespec left{};
    CHECK(failed_with(::nanosleep(&d, &left), ECANCELED));
    CHECK(left.tv_sec + (left.tv_nsec > 0) == 3);
    CHECK(::clock_nanosleep(CLOCK_MONOTONIC, 0, &d, nullptr) == ECANCELED);
    addrinfo* a = nullptr;
    CHECK(::getaddrinfo("localhost", nullptr, nullptr, &a) == EAI_SYSTEM);
    CHECK(errno == ECANCELED);
    CHECK(::write(s.a, "bye", 3) == 3);
    char bye[3];
    CHECK(::read(s.b, bye, 3) == 3);
}

} // namespace

TEST_CASE("in a cancelled task, what would block fails, what would not goes on") {
    socket_pair s;
    auto const thrown = cancelled([&] {
        char c;
        CHECK(failed_with(::read(s.a, &c, 1), ECANCELED));
        check_that_nothing_waits(s);
        greenback::await_(yield_now()); // throws at last
    });
    CHECK(is_aborted(thrown));
}

TEST_CASE("every wait is ended by cancelling its task") {
    socket_pair s;
    std::string const much(3'000'000, 'x');
    struct way {
        char const* name;
        bool (*fails)(socket_pair&, std::string const&);
    };
    static constexpr way ways[] = {
        {"poll",
         [](socket_pair& x, std::string const&) {
             pollfd p{x.a, POLLIN, 0};
             return failed_with(::poll(&p, 1, -1), ECANCELED);
         }},
        {"poll without descriptors",
         [](socket_pair&, std::string const&) { return failed_with(::poll(nullptr, 0, -1), ECANCELED); }},
        {"sleep", [](socket_pair&, std::string const&) { return ::sleep(1000) != 0; }},
        {"recv with a timeout",
         [](socket_pair& x, std::string const&) {
             set_timeout(x.a, SO_RCVTIMEO, 1'000'000);
             char c;
             return failed_with(::recv(x.a, &c, 1, 0), ECANCELED);
         }},
        {"send, of which a part is through",
         [](socket_pair& x, std::string const& text) {
             ssize_t const n = ::send(x.a, text.data(), text.size(), 0);
             return n > 0 && n < 3'000'000 && failed_with(::send(x.a, "x", 1, 0), ECANCELED);
         }},
        {"select without descriptors",
         [](socket_pair&, std::string const&) {
             return failed_with(::select(0, nullptr, nullptr, nullptr, nullptr), ECANCELED);
         }},
    };
    for (way const& w : ways) {
        INFO(w.name);
        bool failed = false;
        cancelled([&] { failed = w.fails(s, much); });
        CHECK(failed);
    }
}

TEST_CASE("in a task that is destroyed, what would block fails, what would not goes on") {
    socket_pair s;
    bool done = false;
    destroyed([&] {
        char c;
        CHECK(failed_with(::read(s.a, &c, 1), ECANCELED));
        check_that_nothing_waits(s);
        done = true;
        try {
            greenback::await_(yield_now());
            CHECK(false);
        } catch (greenback::abandoned const&) {
        }
    });
    CHECK(done);
}

TEST_CASE("a destructor that runs because the task is destroyed does not block") {
    socket_pair s;
    bool failed = false;
    struct says_goodbye {
        socket_pair& s;
        bool& failed;
        ~says_goodbye() {
            char c;
            failed = ::write(s.a, "x", 1) == 1 && failed_with(::read(s.a, &c, 1), ECANCELED);
        }
    };
    destroyed([&] {
        says_goodbye const at_the_end{s, failed};
        greenback::await_(forever());
    });
    CHECK(failed);
}

TEST_CASE("blocking_call throws what a failed call meant") {
    socket_pair s;
    SECTION("the task is cancelled") {
        bool reached = false;
        CHECK(is_aborted(cancelled([&] {
            blocking_call([&] {
                char c;
                return ::read(s.a, &c, 1);
            });
            reached = true;
        })));
        CHECK(!reached);
    }
    SECTION("the task is destroyed") {
        bool unwound = false;
        destroyed([&] {
            try {
                blocking_call([&] {
                    char c;
                    return ::read(s.a, &c, 1);
                });
            } catch (greenback::abandoned const&) {
                unwound = true;
                throw;
            }
        });
        CHECK(unwound);
    }
    SECTION("in the place of the function's own exception") {
        CHECK(is_aborted(cancelled([&] {
            blocking_call([&] {
                char c;
                if (::read(s.a, &c, 1) < 0)
                    throw std::runtime_error("the library's");
            });
        })));
    }
    SECTION("whatever the function makes of the error") {
        CHECK(is_aborted(cancelled([&] {
            blocking_call([&] {
                char c;
                return ::read(s.a, &c, 1) == -1 ? 5 : 6;
            });
        })));
    }
}

TEST_CASE("blocking_call calls that succeed") {
    together([] {
        CHECK(blocking_call([] { return 5; }) == 5);
        blocking_call([] { ::usleep(1); });
        int number = 0;
        int& same = blocking_call([&]() -> int& {
            ::usleep(1);
            return number;
        });
        CHECK(&same == &number);
        int const& constant = blocking_call([&]() -> int const& { return number; });
        CHECK(&constant == &number);
        auto const owner = blocking_call([] {
            ::usleep(1);
            return std::make_unique<int>(7);
        });
        CHECK(*owner == 7);
        struct no_default {
            explicit no_default(int i) : value(i) {}
            int value;
        };
        CHECK(blocking_call([] { return no_default(3); }).value == 3);
        CHECK_THROWS_AS(blocking_call([] {
                            ::usleep(1);
                            throw std::runtime_error("its own");
                        }),
                        std::runtime_error);
        static_assert(std::is_void_v<decltype(blocking_call([] {}))>);
        static_assert(std::is_same_v<decltype(blocking_call([&]() -> int& { return number; })), int&>);
        static_assert(std::is_same_v<decltype(blocking_call([&]() -> int&& { return std::move(number); })), int&&>);
    });
}

TEST_CASE("blocking_call inside blocking_call") {
    socket_pair s;
    bool outer_threw = false, inner_threw = false;
    auto const thrown = cancelled([&] {
        try {
            blocking_call([&] {
                try {
                    blocking_call([&] {
                        char c;
                        return ::read(s.a, &c, 1);
                    });
                } catch (system_error const& e) {
                    inner_threw = e.code() == asio::error::operation_aborted;
                    throw;
                }
            });
        } catch (system_error const& e) {
            outer_threw = e.code() == asio::error::operation_aborted;
            throw;
        }
    });
    CHECK(inner_threw);
    CHECK(outer_threw);
    CHECK(is_aborted(thrown));
}

TEST_CASE("blocking_call is not told of other tasks' calls") {
    socket_pair s, other;
    asio::io_context context(1);
    asio::cancellation_signal signal;
    std::exception_ptr thrown;
    int result = 0;
    asio::co_spawn(context, on_portal([&] {
                       blocking_call([&] {
                           char c;
                           return ::read(s.a, &c, 1);
                       });
                   }),
                   asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { thrown = e; }));
    spawn(context, on_portal([&] {
              char c;
              result = static_cast<int>(blocking_call([&] { return ::read(other.a, &c, 1); }));
          }));
    poll_all(context);
    signal.emit(asio::cancellation_type::terminal);
    poll_all(context);
    CHECK(is_aborted(thrown));
    CHECK(::write(other.b, "x", 1) == 1);
    run_all(context);
    CHECK(result == 1);
}

TEST_CASE("blocking_call off every portal is a plain call") {
    CHECK(blocking_call([] { return 5; }) == 5);
    int number = 0;
    CHECK(&blocking_call([&]() -> int& { return number; }) == &number);
    CHECK_THROWS_AS(blocking_call([] { throw std::runtime_error("its own"); }), std::runtime_error);
    socket_pair s;
    CHECK(::write(s.b, "x", 1) == 1);
    char c;
    CHECK(blocking_call([&] { return ::read(s.a, &c, 1); }) == 1);
}

TEST_CASE("a wait may be cancelled while it is over already") {
    socket_pair s;
    asio::io_context context(1);
    asio::cancellation_signal signal;
    ssize_t first = 0;
    asio::co_spawn(context, on_portal([&] {
                       char c;
                       first = ::read(s.a, &c, 1);
                       CHECK(first != 0);
                   }),
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
    poll_all(context);
    CHECK(::write(s.b, "x", 1) == 1);
    signal.emit(asio::cancellation_type::terminal);
    signal.emit(asio::cancellation_type::terminal);
    run_all(context);
    CHECK((first == 1 || first == -1));
}

TEST_CASE("the loser of two operations that race is told") {
    using namespace asio::experimental::awaitable_operators;
    socket_pair s;
    bool lost = false;
    run_task([](socket_pair& x, bool& flag) -> asio::awaitable<void> {
        co_await (on_portal([&] {
                      char c;
                      flag = failed_with(::read(x.a, &c, 1), ECANCELED);
                  }) ||
                  sleep_ms(1));
    }(s, lost));
    CHECK(lost);
}
