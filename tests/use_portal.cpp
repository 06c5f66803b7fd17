// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/experimental/channel.hpp>
#else
#include <asio/experimental/channel.hpp>
#endif
#if GREENBACK_ASIO_VERSION < 102400
#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/experimental/as_tuple.hpp>
#else
#include <asio/experimental/as_tuple.hpp>
#endif
using asio::experimental::as_tuple;
#else
using asio::as_tuple;
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <sys/mman.h>

using asio::ip::tcp;
using greenback::await_;
using greenback::use_portal;
using greenback::use_portal_t;

namespace {

constexpr int many = test::sanitized ? 10000 : 100000;

tcp::endpoint loopback() { return {asio::ip::address_v4::loopback(), 0}; }

// An operation that completes with `values...` from the event loop.
template <class Signature, class Token, class... Values>
auto completes_with(asio::io_context& context, Token&& token, Values... values) {
    return asio::async_initiate<Token, Signature>(
        [&context](auto handler, Values... v) {
            asio::post(context, [h = std::move(handler), args = std::make_tuple(std::move(v)...)]() mutable {
                std::apply([&](auto&... a) { std::move(h)(std::move(a)...); }, args);
            });
        },
        token, std::move(values)...);
}

struct no_default {
    explicit no_default(int v) : value(v) {}
    no_default(no_default&&) = default;
    int value;
};

struct witness {
    int& unwound;
    ~witness() { ++unwound; }
};

template <class F> test::error_code error_of(F f) {
    try {
        f();
        return {};
    } catch (test::system_error const& e) {
        return e.code();
    }
}

test::error_code const some_error = asio::error::make_error_code(asio::error::connection_reset);

} // namespace

TEST_CASE("sockets are used as if they were blocking", "[use_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    tcp::acceptor acceptor(context, loopback());
    std::vector<std::string> received;
    test::error_code at_end;
    test::spawn(context, test::in_portal(how, [&] {
                    tcp::socket socket = acceptor.async_accept(use_portal);
                    std::string line;
                    std::size_t const n = asio::async_read_until(socket, asio::dynamic_buffer(line), '\n', use_portal);
                    received.push_back(line.substr(0, n));
                    line.erase(0, n);
                    line.resize(5);
                    CHECK(asio::async_read(socket, asio::buffer(line), use_portal) == 5);
                    received.push_back(line);
                    asio::async_write(socket, asio::buffer("reply", 5), use_portal);
                    char more;
                    at_end = error_of([&] { socket.async_read_some(asio::buffer(&more, 1), use_portal); });
                }));
    test::run_task(context, context, test::in_portal(how, [&] {
                       tcp::socket socket(context);
                       socket.async_connect(acceptor.local_endpoint(), use_portal);
                       CHECK(asio::async_write(socket, asio::buffer("a line\n", 7), use_portal) == 7);
                       for (char const c : {'h', 'e', 'l', 'l', 'o'}) {
                           CHECK(socket.async_write_some(asio::buffer(&c, 1), use_portal) == 1);
                           await_(test::yield_now());
                       }
                       char reply[6] = {};
                       std::size_t n = 0;
                       while (n != 5)
                           n += socket.async_read_some(asio::buffer(reply + n, 5 - n), use_portal);
                       CHECK(reply == std::string("reply"));
                       socket.close();
                       auto const ec = error_of([&] { socket.async_read_some(asio::buffer(reply), use_portal); });
                       CHECK(ec == asio::error::bad_descriptor);
                   }));
    CHECK(received == std::vector<std::string>{"a line\n", "hello"});
    CHECK(at_end == asio::error::eof);
}

TEST_CASE("use_portal is the default token of I/O objects that ask for it", "[use_portal]") {
    asio::io_context context;
    using socket_type = use_portal_t::as_default_on_t<tcp::socket>;
    using timer_type = use_portal_t::as_default_on_t<asio::steady_timer>;
    auto acceptor = use_portal_t::as_default_on(tcp::acceptor(context, loopback()));
    std::string said(5, ' ');
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    auto socket = acceptor.async_accept();
                    static_assert(std::is_same_v<decltype(socket), socket_type>);
                    socket.async_write_some(asio::buffer("hello", 5));
                }));
    test::run_task(context, context, greenback::with_portal_run_sync([&] {
                       socket_type socket(context);
                       socket.async_connect(acceptor.local_endpoint());
                       std::size_t n = 0;
                       while (n != 5)
                           n += socket.async_read_some(asio::buffer(said.data() + n, 5 - n));
                       timer_type timer(context, std::chrono::milliseconds(1));
                       timer.async_wait();
                   }));
    CHECK(said == "hello");
}

TEST_CASE("an operation's values are returned as nothing, a value or a tuple", "[use_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context c;
    test::error_code const ok;
    std::exception_ptr const none;
    test::run_task(
        c, c, test::in_portal(how, [&] {
            static_assert(std::is_void_v<decltype(completes_with<void()>(c, use_portal))>);
            static_assert(std::is_void_v<decltype(completes_with<void(test::error_code)>(c, use_portal, ok))>);
            completes_with<void()>(c, use_portal);
            completes_with<void(test::error_code)>(c, use_portal, ok);
            completes_with<void(std::exception_ptr)>(c, use_portal, none);
            CHECK(completes_with<void(int)>(c, use_portal, 1) == 1);
            CHECK(completes_with<void(test::error_code, int)>(c, use_portal, ok, 2) == 2);
            CHECK(completes_with<void(std::exception_ptr, int)>(c, use_portal, none, 3) == 3);
            auto const [a, b] = completes_with<void(int, std::string)>(c, use_portal, 4, std::string("x"));
            CHECK((a == 4 && b == "x"));
            auto const [d, e] = completes_with<void(test::error_code, int, char)>(c, use_portal, ok, 5, 'y');
            CHECK((d == 5 && e == 'y'));
            auto p = completes_with<void(std::unique_ptr<int>)>(c, use_portal, std::make_unique<int>(6));
            CHECK(*p == 6);
            CHECK(completes_with<void(no_default)>(c, use_portal, no_default(7)).value == 7);
            CHECK(completes_with<void(test::error_code, no_default)>(c, use_portal, ok, no_default(8)).value == 8);
            auto [q, r] = completes_with<void(std::unique_ptr<int>, no_default)>(
                c, use_portal, std::make_unique<int>(9), no_default(10));
            CHECK((*q == 9 && r.value == 10));
        }));
}

TEST_CASE("an operation's error is thrown, unless it is asked for in another way", "[use_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context c;
    test::run_task(c, c, test::in_portal(how, [&] {
                       using with_value = void(test::error_code, int);
                       CHECK(error_of([&] { completes_with<with_value>(c, use_portal, some_error, 1); }) == some_error);
                       auto const e = std::make_exception_ptr(std::runtime_error("thrown"));
                       CHECK_THROWS_WITH(completes_with<void(std::exception_ptr)>(c, use_portal, e), "thrown");
                       auto const [ec, n] = completes_with<with_value>(c, as_tuple(use_portal), some_error, 2);
                       CHECK((ec == some_error && n == 2));
                       test::error_code into;
                       CHECK(completes_with<with_value>(c, asio::redirect_error(use_portal, into), some_error, 3) == 3);
                       CHECK(into == some_error);
                       asio::steady_timer timer(c, std::chrono::milliseconds(1));
                       auto const [waited] = timer.async_wait(as_tuple(use_portal));
                       CHECK_FALSE(waited);
                       timer.expires_after(std::chrono::hours(1));
                       asio::post(c, [&] { timer.cancel(); });
                       timer.async_wait(asio::redirect_error(use_portal, into));
                       CHECK(into == asio::error::operation_aborted);
                   }));
}

TEST_CASE("post, dispatch and defer return on the executor that they are bound to", "[use_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    auto const strand = asio::make_strand(context);
    std::vector<bool> in_strand;
    test::run_task(context, context, test::in_portal(how, [&] {
                       auto const note = [&] { in_strand.push_back(strand.running_in_this_thread()); };
                       asio::post(context, use_portal), note();
                       asio::dispatch(context, use_portal), note();
                       asio::defer(context, use_portal), note();
                       asio::post(asio::bind_executor(strand, use_portal)), note();
                       asio::steady_timer timer(context, std::chrono::milliseconds(1));
                       timer.async_wait(use_portal), note();
                       timer.expires_after(std::chrono::milliseconds(1));
                       timer.async_wait(asio::bind_executor(strand, use_portal)), note();
                       asio::post(use_portal), note();
                   }));
    CHECK(in_strand == std::vector<bool>{false, false, false, true, false, true, false});
}

TEST_CASE("an operation of whatever executor comes back to the task's", "[use_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context, other;
    auto const work = asio::make_work_guard(other);
    std::thread other_thread([&] { other.run(); });
    auto const strand = asio::make_strand(context);
    asio::any_io_executor const erased = context.get_executor(), other_erased = other.get_executor();
    int returns = 0;
    // Executors of one type that are not equal, and of all types by turns: what is known of the last may not be taken
    // for what holds for the next.
    auto const all_in_turn = [&] {
        auto const back = [&] { returns += context.get_executor().running_in_this_thread(); };
        for (int i = 0; i != 3; ++i) {
            asio::post(context, use_portal), back();
            asio::post(other, use_portal), back();
            asio::post(other, use_portal), back();
            asio::post(context, use_portal), back();
            asio::post(strand, use_portal), back();
            asio::post(erased, use_portal), back();
            asio::post(other_erased, use_portal), back();
        }
    };
    test::run_task(context, context, test::in_portal(how, all_in_turn));
    CHECK(returns == 3 * 7);
    other.stop();
    other_thread.join();
}

TEST_CASE("operations and awaits follow each other in any order", "[use_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    auto const throwing = [](auto token) {
        return asio::async_initiate<decltype(token), void()>([](auto&&) { throw std::runtime_error("initiation"); },
                                                             token);
    };
    int operations = 0;
    auto const operate = [&] { asio::post(context, use_portal), ++operations; };
    std::vector<std::function<void()>> const steps = {
        operate,
        [&] { await_(test::yield_now()); },
        [&] { CHECK(await_(test::value_of(1, false)) == 1); },
        [&] { CHECK_THROWS_WITH(throwing(use_portal), "initiation"); },
        [&] { // synchronous code that a coroutine calls, before it suspends and after it
            await_([](auto& call) -> asio::awaitable<void> {
                call();
                co_await test::yield_now();
                call();
            }(operate));
        },
        [&] { // a task of its own
            asio::co_spawn(context, greenback::with_portal_run_sync(std::ref(operate)), use_portal);
        },
        [&] { // the task's own coroutine, in a portal within this one
            await_(greenback::with_portal_run_sync(std::ref(operate)));
        },
        [&] {
            try {
                throw std::runtime_error("handled meanwhile");
            } catch (std::runtime_error const&) {
                operate();
                await_(test::yield_now());
                operate();
                CHECK_THROWS_WITH([] { throw; }(), "handled meanwhile");
            }
        },
    };
    std::size_t const n = steps.size();
    test::run_task(context, context, test::in_portal(how, [&] {
                       for (std::size_t i = 0; i != n * n * n; ++i) {
                           steps[i / n / n]();
                           steps[i / n % n]();
                           steps[i % n]();
                       }
                   }));
    // Five of the steps operate, once or twice; each step stands at each place n * n times.
    CHECK(std::size_t(operations) == 3 * n * n * (1 + 2 + 1 + 1 + 2));
}

TEST_CASE("channels and child tasks are awaited by the token", "[use_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    asio::experimental::channel<void(test::error_code, std::string)> channel(context);
    std::vector<std::string> received;
    bool closed = false;
    test::spawn(context, test::in_portal(how, [&] {
                    for (int i = 0; i != 3; ++i)
                        channel.async_send(test::error_code(), std::to_string(i), use_portal);
                    channel.close();
                }));
    test::run_task(
        context, context, test::in_portal(how, [&] {
            for (int i = 0; i != 3; ++i)
                received.push_back(channel.async_receive(use_portal));
            closed = bool(error_of([&] { channel.async_receive(use_portal); }));
            CHECK(asio::co_spawn(context, test::value_of(42, true), use_portal) == 42);
            CHECK(*asio::co_spawn(context, test::value_of(std::make_unique<int>(43), true), use_portal) == 43);
            asio::co_spawn(context, test::yield_now(), use_portal);
            for (bool const late : {false, true}) {
                CHECK_THROWS_WITH(
                    asio::co_spawn(context, test::throwing(std::runtime_error("child"), late), use_portal), "child");
            }
        }));
    CHECK(received == std::vector<std::string>{"0", "1", "2"});
    CHECK(closed);
}

TEST_CASE("an initiation that throws throws at the call, and the task goes on", "[use_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    int went_on = 0;
    auto const throwing = [](auto token) {
        return asio::async_initiate<decltype(token), void()>([](auto&&) { throw std::runtime_error("initiation"); },
                                                             token);
    };
    test::run_task(context, context, test::in_portal(how, [&] {
                       for (int i = 0; i != 3; ++i) {
                           CHECK_THROWS_WITH(throwing(use_portal), "initiation");
                           await_(test::yield_now());
                           asio::post(context, use_portal);
                           ++went_on;
                       }
                   }));
    CHECK(went_on == 3);
}

TEST_CASE("an operation that drops its handler destroys the task", "[use_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const at_once = GENERATE(false, true);
    auto const in_coroutine = GENERATE(false, true);
    CAPTURE(at_once, in_coroutine);
    asio::io_context context;
    int unwound = 0;
    bool went_on = false;
    auto const drops = [&](auto token) {
        return asio::async_initiate<decltype(token), void()>(
            [&](auto handler) {
                if (!at_once)
                    asio::post(context, [h = std::move(handler)] {});
                else
                    auto dropped = std::move(handler);
            },
            token);
    };
    auto const synchronous = [&] {
        witness const w{unwound};
        drops(use_portal);
        went_on = true;
    };
    test::spawn(context, test::in_portal(how, [&] {
                    witness const w{unwound};
                    if (in_coroutine)
                        await_(test::coroutine_that_calls(synchronous));
                    else
                        synchronous();
                    went_on = true;
                }));
    test::run_all(context); // nothing hangs
    CHECK(unwound == 2);
    CHECK_FALSE(went_on);
}

TEST_CASE("an operation may keep its memory for longer than it should", "[use_portal]") {
    // Its own block, from the handler's allocator, outlives the handler's call, the function and the stack.
    struct block {
        unsigned const seed;
        std::array<unsigned, 16> contents;
        explicit block(unsigned s) : seed(s) { contents.fill(s); }
        bool is_intact() const {
            return std::all_of(contents.begin(), contents.end(), [this](unsigned u) { return u == seed; });
        }
    };
    asio::io_context context;
    std::vector<std::shared_ptr<block>> kept;
    auto const keeps_a_block = [&](unsigned seed) {
        asio::async_initiate<greenback::use_portal_t const&, void()>(
            [&, seed](auto handler) {
                kept.push_back(std::allocate_shared<block>(asio::get_associated_allocator(handler), seed));
                asio::post(context, std::move(handler));
            },
            use_portal);
    };
    auto const two = [&](unsigned seed) {
        keeps_a_block(seed);
        keeps_a_block(seed + 1);
    };
    unsigned const portals = 300; // more than a thread keeps
    for (unsigned i = 0; i != portals; ++i)
        test::spawn(context, greenback::with_portal_run_sync(two, 2 * i));
    test::run_all(context);
    for (int i = 0; i != 200; ++i) // which use the same stacks, and leave nothing on them as it was
        test::spawn(context, greenback::with_portal_run_sync([&] {
                        char volatile much[3000];
                        for (char volatile& c : much)
                            c = 'x';
                        asio::post(context, use_portal);
                    }));
    test::run_all(context);
    REQUIRE(kept.size() == 2 * portals);
    std::set<unsigned> seeds;
    for (auto const& b : kept) {
        REQUIRE(b->is_intact());
        seeds.insert(b->seed);
    }
    CHECK(seeds.size() == 2 * portals);
    CHECK(greenback::stats().live == 0);
    std::size_t const stacks = greenback::stats().stacks_cached;
    kept.clear();
    // Given back, the stacks can be used again: as many portals as before need no new ones.
    for (unsigned i = 0; i != portals; ++i)
        test::spawn(context, greenback::with_portal_run_sync([&] { asio::post(context, use_portal); }));
    test::run_all(context);
    CHECK(greenback::stats().stacks_cached <= stacks);

    // A stack that somebody else has provided goes back at once all the same.
    int provided = 0;
    struct counting_stack {
        int* provided;
        boost::context::stack_context allocate() {
            ++*provided;
            return greenback::pooled_stack().allocate();
        }
        void deallocate(boost::context::stack_context& stack) noexcept {
            --*provided;
            greenback::pooled_stack().deallocate(stack);
        }
    };
    test::spawn(context, greenback::with_portal_run_sync(std::allocator_arg, counting_stack{&provided}, two, 7u));
    test::run_all(context);
    CHECK(provided == 0);
    CHECK(kept.at(0)->is_intact());
    CHECK(kept.at(1)->is_intact());
}

TEST_CASE("an operation's allocator may outlive the portal", "[use_portal]") {
    // A stack that is gone when it is given back: who touches it dies.
    struct vanishing_stack {
        boost::context::stack_context allocate() {
            boost::context::stack_context stack;
            stack.size = 64 * 1024;
            void* const bottom =
                ::mmap(nullptr, stack.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (bottom == MAP_FAILED)
                throw std::bad_alloc();
            stack.sp = static_cast<char*>(bottom) + stack.size;
            return stack;
        }
        void deallocate(boost::context::stack_context& stack) noexcept {
            ::munmap(static_cast<char*>(stack.sp) - stack.size, stack.size);
        }
    };
    asio::io_context context;
    std::optional<std::vector<int, greenback::detail::operation_allocator<int>>> kept;
    auto const keeps_the_allocator = [&] {
        asio::async_initiate<greenback::use_portal_t const&, void()>(
            [&](auto handler) {
                kept.emplace(greenback::detail::operation_allocator<int>(asio::get_associated_allocator(handler)));
                asio::post(context, std::move(handler));
            },
            use_portal);
    };
    auto const use_it = [&] {
        for (int i = 0; i != 30; ++i)
            kept->push_back(i);
        CHECK(kept->back() == 29);
        kept.reset();
    };
    test::run_task(context, context,
                   greenback::with_portal_run_sync(std::allocator_arg, vanishing_stack(), keeps_the_allocator));
    use_it();
    // The library's own stacks stay, but may have become something else by then.
    greenback::pooled_stack const pool;
    test::run_task(context, context, greenback::with_portal_run_sync(keeps_the_allocator));
    greenback::default_stack_size(0); // the next portal that begins here has the cached ones given back to the pool
    test::run_task(context, context, greenback::with_portal_run_sync([] {}));
    std::vector<boost::context::stack_context> stacks(20);
    for (auto& s : stacks) {
        s = pool.allocate();
        std::memset(static_cast<char*>(s.sp) - 4096, 0, 4096);
    }
    use_it();
    for (auto& s : stacks) {
        for (int i = 1; i != 4096; ++i)
            REQUIRE(static_cast<char*>(s.sp)[-i] == 0);
        pool.deallocate(s);
    }
}

TEST_CASE("a hundred thousand operations in a row need no more stack than one", "[use_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    auto const here = [] {
        char local = 0;
        auto at = reinterpret_cast<std::uintptr_t>(&local);
        asm volatile("" : "+r"(at) : : "memory"); // a number, not the address of something that is gone
        return at;
    };
    std::uintptr_t outside_low = UINTPTR_MAX, outside_high = 0;
    long done = 0;
    auto const note = [&] {
        auto const at = here();
        outside_low = std::min(outside_low, at);
        outside_high = std::max(outside_high, at);
    };
    test::run_task(context, context, test::in_portal(how, [&] {
                       for (int i = 0; i != many; ++i) {
                           if (i % 1000 == 0)
                               asio::post(context, note); // runs on the event loop's stack
                           asio::post(context, use_portal);
                           asio::dispatch(context, use_portal);
                           ++done;
                       }
                   }));
    CHECK(done == many);
    CHECK(outside_high - outside_low < 4096);
}

TEST_CASE("coroutines with a portal use the token in their own body", "[use_portal]") {
    asio::io_context context;
    int result = 0;
    auto const inner = [&]() -> asio::awaitable<int> {
        asio::post(context, use_portal);
        co_await test::yield_now();
        co_return completes_with<void(int)>(context, use_portal, 5);
    };
    test::run_task(context, context, [&]() -> asio::awaitable<void> {
        co_await test::yield_now();
        co_await greenback::ensure_portal();
        for (int i = 0; i != 100; ++i) {
            asio::post(context, use_portal);
            result += co_await inner();
            result += completes_with<void(int)>(context, use_portal, 1);
        }
        result += await_(inner());
    }());
    CHECK(result == 605);
}

TEST_CASE("where there is no portal the token throws and starts nothing", "[use_portal]") {
    asio::io_context context;
    bool started = false;
    auto const start = [&](auto token) {
        return asio::async_initiate<decltype(token), void()>([&](auto handler) { started = true, handler(); }, token);
    };
    CHECK_THROWS_AS(start(use_portal), greenback::no_portal);
    test::run_task(context, context, [&]() -> asio::awaitable<void> {
        CHECK_THROWS_AS(start(use_portal), greenback::no_portal);
        co_await test::yield_now();
        CHECK_THROWS_AS(start(use_portal), greenback::no_portal);
    }());
    CHECK_FALSE(started);
}

TEST_CASE("the errors of the token name it, and the operation", "[use_portal]") {
    asio::io_context context;
    auto const text_of = [](auto f) {
        try {
            f();
        } catch (greenback::no_portal const& e) {
            return std::string(e.what());
        }
        return std::string("nothing was thrown");
    };
    std::string const outside = text_of([&] { asio::post(context, use_portal); });
    CAPTURE(outside);
    CHECK(outside.find("initiate_post") != std::string::npos);
    CHECK(outside.find(": greenback::use_portal was used outside of any Asio task") != std::string::npos);
    CHECK(outside.find("await_ was called") == std::string::npos);
    asio::steady_timer timer(context);
    std::string inside;
    test::run_task(context, context, [&]() -> asio::awaitable<void> {
        inside = text_of([&] { timer.async_wait(use_portal); });
        co_return;
    }());
    CAPTURE(inside);
    CHECK(inside.find("initiate_async_wait: greenback::use_portal was used without a portal") != std::string::npos);
    // Started by await_, whose caller's place is known, it is await_ that speaks.
    std::string const awaited = text_of([&] { await_(timer.async_wait(test::deferred)); });
    CAPTURE(awaited);
    CHECK(awaited.find("use_portal.cpp:" + std::to_string(__LINE__ - 2)) != std::string::npos);
    CHECK(awaited.find("greenback::await_ was called outside") != std::string::npos);
}

#if GREENBACK_ASIO_VERSION >= 103300

namespace {

/// A disposition of one's own.
enum class verdict { fine, bad };

} // namespace

template <> struct GREENBACK_ASIO_ROOT::disposition_traits<verdict> {
    static bool not_an_error(verdict v) noexcept { return v == verdict::fine; }
    [[noreturn]] static void throw_exception(verdict) { throw std::domain_error("bad"); }
    static std::exception_ptr to_exception_ptr(verdict v) noexcept {
        return v == verdict::fine ? nullptr : std::make_exception_ptr(std::domain_error("bad"));
    }
};

TEST_CASE("the token understands every disposition that use_awaitable does", "[use_portal]") {
    asio::io_context context;
    FOR_EVERY_KIND_OF_PORTAL(how);
    test::run_task(
        context, context, test::in_portal(how, [&] {
            completes_with<void(verdict)>(context, use_portal, verdict::fine);
            static_assert(std::is_void_v<decltype(completes_with<void(verdict)>(context, use_portal, verdict::fine))>);
            CHECK_THROWS_AS(completes_with<void(verdict)>(context, use_portal, verdict::bad), std::domain_error);
            CHECK(completes_with<void(verdict, int)>(context, use_portal, verdict::fine, 3) == 3);
            CHECK_THROWS_AS((completes_with<void(verdict, int)>(context, use_portal, verdict::bad, 3)),
                            std::domain_error);
            CHECK(completes_with<void(verdict, int, int)>(context, use_portal, verdict::fine, 3, 4) ==
                  std::tuple(3, 4));
            CHECK(await_(completes_with<void(verdict, int)>(context, asio::deferred, verdict::fine, 6)) == 6);
            CHECK_THROWS_AS(await_(completes_with<void(verdict, int)>(context, asio::deferred, verdict::bad, 6)),
                            std::domain_error);
            CHECK(await_(completes_with<void(verdict, int)>(context, asio::use_awaitable, verdict::fine, 7)) == 7);
            auto const [v, n] =
                completes_with<void(verdict, int)>(context, asio::as_tuple(use_portal), verdict::bad, 8);
            CHECK((v == verdict::bad && n == 8));
        }));
}

#endif
