// SPDX-License-Identifier: MIT
// greenback/dump_portals.hpp: what is said of each portal.

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/one_function.hpp"
#include "support/sanitizers.hpp"
#include "support/system.hpp"
#include "support/tasks.hpp"

#include <greenback/detail/fiber/portal_base.hpp>
#include <greenback/diagnostics.hpp>
#include <greenback/dump_portals.hpp>

#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

using greenback::await_;
using greenback::portal_info;
using greenback::portal_state;
using greenback::use_portal;
using test::contains;

extern "C" void* _Unwind_FindEnclosingFunction(void*); // NOLINT(bugprone-reserved-identifier)

namespace {

/// What a visit has seen, with the backtrace kept.
struct seen : portal_info {
    explicit seen(portal_info const& info) : portal_info(info), calls(info.backtrace.begin(), info.backtrace.end()) {}
    std::vector<void*> calls;

    /// Where `function` stands in the backtrace, from the innermost; -1: nowhere.
    int depth_of(void const* function) const {
        for (std::size_t i = 0; i != calls.size(); ++i)
            if (_Unwind_FindEnclosingFunction(static_cast<char*>(calls[i]) - (i == 0 ? 0 : 1)) == function)
                return static_cast<int>(i);
        return -1;
    }
};

std::vector<seen> all_portals() {
    std::vector<seen> result;
    greenback::for_each_portal(
        [](portal_info const& info, void* to) { static_cast<std::vector<seen>*>(to)->emplace_back(info); }, &result);
    return result;
}

std::string dump() {
    std::ostringstream text;
    greenback::dump_portals(text);
    return text.str();
}

template <class Function> void const* address_of(Function* function) { return reinterpret_cast<void const*>(function); }

std::size_t count(std::string_view text, std::string_view part) {
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1))
        ++n;
    return n;
}

} // namespace

namespace dump_test { // with names that a text is easily searched for

unsigned line_of_bottom = 0;

ONE_FUNCTION void bottom(test::gate& open) {
    line_of_bottom = __LINE__ + 1;
    await_(open.wait());
    asm volatile("");
}
ONE_FUNCTION void middle(test::gate& open, int depth) {
    if (depth > 0)
        middle(open, depth - 1);
    else
        bottom(open);
    asm volatile("");
}
ONE_FUNCTION void waits_for_operation(asio::steady_timer& timer) {
    timer.async_wait(use_portal);
    asm volatile("");
}

/// Names that a reader could take for the library's or Asio's.
struct waiter {
    test::gate& open;
    ONE_FUNCTION operator asio::executor_work_guard<asio::any_io_executor>() const {
        bottom(open);
        return asio::make_work_guard(await_(asio::this_coro::executor));
    }
};

} // namespace dump_test

namespace greenback_app {
ONE_FUNCTION void wait(dump_test::waiter const& w) {
    static_cast<void>(w.operator asio::executor_work_guard<asio::any_io_executor>());
    asm volatile("");
}
} // namespace greenback_app
extern "C" ONE_FUNCTION void greenback_run(dump_test::waiter const* w) {
    greenback_app::wait(*w);
    asm volatile("");
}
namespace asio_client {
template <class T> ONE_FUNCTION decltype(greenback_run(std::declval<T>())) run(T w) {
    greenback_run(w);
    asm volatile("");
}
} // namespace asio_client

using dump_test::bottom;
using dump_test::middle;
using dump_test::waits_for_operation;

TEST_CASE("a portal that waits is seen with its place, its stack, its executor and its calls", "[dump_portals]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    test::gate open(context);
    test::spawn(context, test::in_portal(how, [&] { middle(open, 2); }));
    test::poll_all(context);

    std::vector<seen> const portals = all_portals();
    REQUIRE(portals.size() == 1);
    seen const& p = portals[0];
    CHECK(p.state == portal_state::suspended);
    CHECK(p.id != nullptr);
    CHECK(p.label == nullptr);
    CHECK(std::string_view(p.site.file_name()).ends_with("dump_portals.cpp"));
    CHECK(p.site.line() == dump_test::line_of_bottom);
    CHECK(contains(p.site.function_name(), "bottom"));
    REQUIRE(p.executor);
    CHECK(*p.executor == typeid(asio::any_io_executor));
    CHECK(p.stack_size == greenback::default_stack_size());
    CHECK(p.stack_used > 500);
    CHECK(p.stack_used < 64 * 1024);
#if defined(__linux__)
    int const inner = p.depth_of(address_of(&bottom));
    REQUIRE(inner >= 0);
    CHECK(p.depth_of(address_of(&middle)) == inner + 1);
    CHECK(p.calls.size() >= static_cast<std::size_t>(inner) + 5); // bottom, three times middle, and what has called it
#endif
    open.open();
    test::run_all(context);
    CHECK(all_portals().empty());
}

TEST_CASE("a portal that waits for an operation is seen with the operation's type", "[dump_portals]") {
    asio::io_context context(1);
    asio::steady_timer timer(context, std::chrono::hours(1));
    test::spawn(context, greenback::with_portal_run_sync([&] { waits_for_operation(timer); }));
    test::poll_all(context);

    std::vector<seen> const portals = all_portals();
    REQUIRE(portals.size() == 1);
    CHECK(portals[0].state == portal_state::suspended);
    CHECK(std::string_view(portals[0].site.file_name()).ends_with("use_portal.hpp"));
    CHECK(contains(portals[0].site.function_name(), "initiate_async_wait"));
#if defined(__linux__)
    CHECK(portals[0].depth_of(address_of(&waits_for_operation)) >= 0);
#endif
    std::string const text = dump();
    CAPTURE(text);
    CHECK(contains(text, ": suspended, last wait for asio::basic_waitable_timer<"
                         "std::chrono::_V2::steady_clock") +
              contains(text, ": suspended, last wait for boost::asio::basic_waitable_timer<"
                             "std::chrono::_V2::steady_clock") +
              contains(text, "basic_waitable_timer<std::chrono::steady_clock") >=
          1);
    CHECK(contains(text, "::initiate_async_wait by use_portal\n"));
    timer.cancel();
    CHECK_THROWS(test::run_all(context)); // operation_aborted
    CHECK(all_portals().empty());
}

TEST_CASE("a coroutine that synchronous code awaits belongs to its calls", "[dump_portals]") {
    asio::io_context context(1);
    test::gate open(context);
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    await_([](test::gate& g) -> asio::awaitable<void> {
                        bottom(g); // on the fiber, below a coroutine's frame
                        co_return;
                    }(open));
                }));
    test::poll_all(context);
    std::vector<seen> const portals = all_portals();
    REQUIRE(portals.size() == 1);
    CHECK(portals[0].site.line() == dump_test::line_of_bottom);
#if defined(__linux__)
    CHECK(portals[0].depth_of(address_of(&bottom)) >= 0);
#endif
    open.open();
    test::run_all(context);
}

TEST_CASE("portals on other stacks are seen", "[dump_portals]") {
    asio::io_context context(1);
    test::gate open(context);
    std::size_t constexpr kib = 1024;
    test::spawn(context, greenback::with_portal_run_sync(std::allocator_arg, boost::context::fixedsize_stack(128 * kib),
                                                         [&] { middle(open, 0); }));
    test::spawn(context, greenback::with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(256 * kib),
                                                         [&] { middle(open, 0); }));
    test::poll_all(context);
    std::vector<seen> const portals = all_portals();
    REQUIRE(portals.size() == 2);
    for (seen const& p : portals) {
        CAPTURE(p.stack_size);
        CHECK(p.state == portal_state::suspended);
        CHECK(p.stack_used > 500);
        CHECK(p.stack_used < p.stack_size);
#if defined(__linux__)
        CHECK(p.depth_of(address_of(&bottom)) >= 0);
#endif
    }
    std::size_t const sum = portals[0].stack_size + portals[1].stack_size;
    CHECK(sum > 380 * kib);
    CHECK(sum <= 384 * kib);
    open.open();
    test::run_all(context);
    CHECK(all_portals().empty());
}

TEST_CASE("a portal that runs is seen where it awaited last", "[dump_portals]") {
    asio::io_context context(1);
    std::vector<seen> first, second;
    unsigned line = 0;
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    first = all_portals();
                    line = __LINE__ + 1;
                    await_(test::yield_now());
                    second = all_portals();
                }));
    test::run_all(context);
    REQUIRE(first.size() == 1);
    CHECK(first[0].state == portal_state::running);
    CHECK(first[0].site.line() == 0);
    REQUIRE(second.size() == 1);
    CHECK(second[0].state == portal_state::running);
    CHECK(second[0].site.line() == line);
    CHECK(second[0].calls.empty());
    CHECK(second[0].stack_used == 0);
    CHECK(second[0].stack_size == greenback::default_stack_size());
}

TEST_CASE("a portal that awaited last in a shared object that is gone has no place", "[dump_portals]") {
    // Where that was, the next one has something else.
    static std::uintptr_t const no_site[] = {0x1234567, 0x89abcde, 7};
    test::run_task(greenback::with_portal_run_sync([&] {
        await_(test::yield_now());
        std::uintptr_t const at = reinterpret_cast<std::uintptr_t>(&no_site);
        greenback::detail::raw_current_portal()->site = std::bit_cast<std::source_location>(at);
        std::vector<seen> const portals = all_portals();
        REQUIRE(portals.size() == 1);
        CHECK(portals[0].site.line() == 0);
        CHECK(contains(dump(), ": running\n"));
    }));
}

TEST_CASE("a portal that has entered another one runs", "[dump_portals]") {
    asio::io_context context(1);
    std::vector<seen> portals;
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    await_([](std::vector<seen>& result) -> asio::awaitable<void> {
                        greenback::portal inner;
                        co_await inner.run([&] { result = all_portals(); });
                    }(portals));
                }));
    test::run_all(context);
    CHECK(!portals.empty());
    for (seen const& p : portals)
        CHECK(p.state == portal_state::running);
}

TEST_CASE("a scope that forbids to await does not hide the executor", "[dump_portals]") {
    std::vector<seen> portals;
    test::run_task(greenback::with_portal_run_sync([&] {
        await_(test::yield_now());
        greenback::no_await_scope const outer("one"), inner("two");
        portals = all_portals();
    }));
    REQUIRE(portals.size() == 1);
    REQUIRE(portals[0].executor);
    CHECK(*portals[0].executor == typeid(asio::any_io_executor));
}

TEST_CASE("a portal is seen while code on somebody else's fiber awaits in it", "[dump_portals]") {
#if defined(TEST_UNDER_ASAN) || defined(TEST_UNDER_TSAN)
    WARN("skipped: a sanitizer has to be told of the other library's switches by that library");
#else
    asio::io_context context(1);
    test::gate open(context);
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    boost::context::fiber other([&](boost::context::fiber&& back) {
                        bottom(open);
                        return std::move(back);
                    });
                    other = std::move(other).resume();
                }));
    test::poll_all(context);
    std::vector<seen> const portals = all_portals();
    REQUIRE(portals.size() == 1);
    CHECK(portals[0].state == portal_state::suspended);
    CHECK(portals[0].site.line() == dump_test::line_of_bottom);
    CHECK(portals[0].calls.empty()); // nothing is known of the other stack
    CHECK(portals[0].stack_used == 0);
    open.open();
    test::run_all(context);
#endif
}

TEST_CASE("a portal has the label that was set last, and the next one on its stack has none", "[dump_portals]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    std::vector<std::string> labels;
    auto const note = [&] {
        for (seen const& p : all_portals())
            labels.emplace_back(p.label ? p.label : "none");
    };
    test::spawn(context, test::in_portal(how, [&] {
                    note();
                    greenback::label_portal("first");
                    note();
                    greenback::label_portal("second");
                    await_(test::yield_now());
                    note();
                }));
    test::run_all(context);
    CHECK(labels == std::vector<std::string>{"none", "first", "second"});
    labels.clear();
    test::spawn(context, test::in_portal(how, note));
    test::run_all(context);
    CHECK(labels == std::vector<std::string>{"none"});
}

TEST_CASE("more labels than fit into one part of their table", "[dump_portals]") {
    static std::vector<std::string> texts; // they must stay
    for (int i = 0; i != 200; ++i)
        texts.push_back("label " + std::to_string(i));
    test::run_task(greenback::with_portal_run_sync([&] {
        for (std::string const& text : texts) {
            greenback::label_portal(text.c_str());
            std::vector<seen> const portals = all_portals();
            REQUIRE(portals.size() == 1);
            CHECK(portals[0].label == text);
        }
    }));
}

TEST_CASE("without a portal a label is nobody's", "[dump_portals]") {
    greenback::label_portal("nobody");
    test::run_task(greenback::with_portal_run_sync([&] {
        greenback::label_portal(nullptr); // nor is this one
        REQUIRE(all_portals().size() == 1);
        CHECK(all_portals()[0].label == nullptr);
    }));
}

TEST_CASE("a visit may await, and make and end portals", "[dump_portals]") {
    asio::io_context context(1);
    test::gate open(context);
    int visits = 0;
    for (int i = 0; i != 3; ++i)
        test::spawn(context, greenback::with_portal_run_sync([&] { bottom(open); }));
    test::spawn(
        context, greenback::with_portal_run_sync([&] {
            greenback::for_each_portal(
                [](portal_info const& p, void* argument) {
                    auto const [where, gate, number] =
                        *static_cast<std::tuple<asio::io_context*, test::gate*, int*>*>(argument);
                    ++*number;
                    await_(test::yield_now());
                    gate->open();
                    await_(test::yield_now());
                    test::spawn(*where, greenback::with_portal_run_sync([] { await_(test::yield_now()); }));
                    for (void* const call : p.backtrace)
                        CHECK(call != nullptr);
                },
                std::array<std::tuple<asio::io_context*, test::gate*, int*>, 1>{{{&context, &open, &visits}}}.data());
        }));
    test::run_all(context);
    CHECK(visits == 4);
    CHECK(all_portals().empty());
}

TEST_CASE("what a visit throws is the caller's", "[dump_portals]") {
    asio::io_context context(1);
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    CHECK_THROWS_AS(greenback::for_each_portal([](portal_info const&, void*) { throw 1; }, nullptr),
                                    int);
                }));
    test::run_all(context);
}

TEST_CASE("a dump tells what people want to know", "[dump_portals]") {
    CHECK(dump() == "greenback: 0 portals, 0 suspended\n");
    asio::io_context context(1);
    test::gate open(context);
    std::string text;
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    greenback::label_portal("mail session");
                    middle(open, 1);
                }));
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    await_(test::yield_now());
                    text = dump();
                    open.open();
                }));
    test::run_all(context);
    CAPTURE(text);
    CHECK(contains(text, "greenback: 2 portals, 1 suspended\n"));
    CHECK(contains(text, " \"mail session\": suspended, last await_ at "));
    CHECK(contains(text, "dump_portals.cpp:" + std::to_string(dump_test::line_of_bottom) + " in "));
    CHECK(contains(text, ": running, last await_ at "));
    CHECK(contains(text, " KiB, executor "));
    CHECK(contains(text, "asio::any_io_executor\n"));
#if defined(__linux__)
    std::size_t const bottom_at = text.find(" dump_test::bottom(");
    std::size_t const middle_at = text.find(" dump_test::middle(");
    CHECK(bottom_at != text.npos);
    CHECK(middle_at != text.npos);
    CHECK(bottom_at < middle_at);
    CHECK(count(text, " dump_test::middle(") == 2);
    CHECK(!contains(text, "greenback::detail::"));
    CHECK(!contains(text, "greenback_fiber"));
#endif
#if defined(GREENBACK_LIBBACKTRACE)
    CHECK(contains(text, "dump_portals.cpp:" + std::to_string(dump_test::line_of_bottom) + "\n"));
#endif
}

TEST_CASE("a dump leaves out no function of the program's own", "[dump_portals]") {
    asio::io_context context(1);
    test::gate open(context);
    dump_test::waiter const w{open};
    test::spawn(context, greenback::with_portal_run_sync([&] { asio_client::run(&w); }));
    test::poll_all(context);
    std::string const text = dump();
    CAPTURE(text);
#if defined(__linux__)
    CHECK(contains(text, " dump_test::bottom("));
    CHECK(contains(text, " dump_test::waiter::operator "));
    CHECK(contains(text, " greenback_app::wait("));
    CHECK(contains(text, " greenback_run"));
    CHECK(contains(text, " asio_client::run<"));
#endif
    open.open();
    test::run_all(context);
}

TEST_CASE("a portal with the smallest stack dumps all of them", "[dump_portals]") {
    asio::io_context context(1);
    test::gate open(context);
    test::spawn(context, greenback::with_portal_run_sync([&] { middle(open, 1); }));
    test::poll_all(context);
    std::string text;
    int visits = 0;
    test::spawn(
        context,
        greenback::with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(std::size_t(16) * 1024), [&] {
            greenback::for_each_portal([](portal_info const&, void* n) { ++*static_cast<int*>(n); }, &visits);
            text = dump();
            open.open();
        }));
    test::run_all(context);
    CHECK(visits == 2);
    CHECK(contains(text, "greenback: 2 portals, 1 suspended\n"));
    CHECK(contains(text, ": running\n"));
}

TEST_CASE("an exception of the stream's is the caller's", "[dump_portals]") {
    struct full : std::streambuf {
    } nowhere;
    std::ostream out(&nowhere);
    out.exceptions(std::ios::badbit);
    CHECK_THROWS_AS(greenback::dump_portals(out), std::ios::failure);
}

// ---- by a signal --------------------------------------------------------------------------------------------------

namespace {

/// Reads from a pipe to which stderr goes, until `part` comes.
class stderr_reader {
public:
    stderr_reader() {
        if (::pipe(ends_) != 0 || ::dup2(ends_[1], STDERR_FILENO) < 0)
            std::abort();
    }
    bool until(std::string_view part) {
        char some[512];
        while (!contains(text_, part)) {
            ssize_t const n = ::read(ends_[0], some, sizeof some);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                return false;
            text_.append(some, static_cast<std::size_t>(n));
        }
        return true;
    }
    std::string const& text() const { return text_; }
    void forget() { text_.clear(); }

private:
    int ends_[2];
    std::string text_;
};

} // namespace

TEST_CASE("a signal has all portals dumped to stderr", "[dump_portals]") {
#if defined(TEST_UNDER_TSAN)
    WARN("skipped: ThreadSanitizer allows no thread to be started after a fork");
#else
    auto const ended = test::in_child([] {
        stderr_reader err;
        asio::io_context context(1);
        test::gate open(context);
        test::spawn(context, greenback::with_portal_run_sync([&] { bottom(open); }));
        test::poll_all(context);
        greenback::dump_portals_on(SIGUSR1);
        greenback::dump_portals_on(SIGUSR1); // once more is no more
        greenback::dump_portals_on(SIGUSR2);
        for (int const signal : {SIGUSR1, SIGUSR2}) {
            err.forget();
            ::raise(signal);
            if (!err.until("executor ") || !contains(err.text(), "greenback: 1 portal, 1 suspended\n"))
                return 1;
        }
        open.open();
        test::run_all(context);
        return 0;
    });
    CHECK(ended.exited_with(0));
#endif
}

TEST_CASE("a child of fork dumps its portals, whatever dumps there were meanwhile", "[dump_portals]") {
#if defined(TEST_UNDER_TSAN) || defined(TEST_UNDER_ASAN)
    WARN("skipped: the sanitizer's own locks (its allocator's, seen with g++ 12) stay locked in such a child");
#else
    std::atomic<bool> stop{false};
    std::thread others([&] {
        while (!stop)
            dump();
    });
    asio::io_context context(1);
    int good = 0;
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    for (int i = 0; i != 200; ++i) {
                        auto const ended = test::in_child([] {
                            ::alarm(10);
                            return dump().starts_with("greenback: 1 portal, 0 suspended\n") ? 0 : 1;
                        });
                        if (!ended.exited_with(0))
                            break;
                        ++good;
                    }
                }));
    test::run_all(context);
    stop = true;
    others.join();
    CHECK(good == 200);
#endif
}

TEST_CASE("a dump waits for a stderr that does not block", "[dump_portals]") {
#if defined(TEST_UNDER_TSAN)
    WARN("skipped: ThreadSanitizer allows no thread to be started after a fork");
#else
    auto const ended = test::in_child([] {
        stderr_reader err;
        if (::fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK) != 0)
            return 2;
        asio::io_context context(1);
        test::gate open(context);
        int constexpr portals = 500; // more text than a pipe takes
        for (int i = 0; i != portals; ++i)
            test::spawn(context, greenback::with_portal_run_sync([&] { middle(open, 3); }));
        test::poll_all(context);
        greenback::dump_portals_on(SIGUSR1);
        ::raise(SIGUSR1);
        for (pollfd pipe{STDERR_FILENO, POLLOUT, 0}; ::poll(&pipe, 1, 0) != 0;) // until it is full
            ::poll(nullptr, 0, 1);
        open.open();
        test::run_all(context);
        ::raise(SIGUSR1);
        return err.until("greenback: 0 portals") && count(err.text(), "\nportal ") == portals ? 0 : 1;
    });
    CHECK(ended.exited_with(0));
#endif
}

TEST_CASE("in a child of fork the signal waits to be asked for", "[dump_portals]") {
#if defined(TEST_UNDER_TSAN)
    WARN("skipped: ThreadSanitizer allows no thread to be started after a fork");
#else
    if (!test::starts_threads_in_children()) {
        WARN("skipped: no threads can be started after a fork here");
        return;
    }
    auto const ended = test::in_child([] {
        greenback::dump_portals_on(SIGUSR1);
        auto const child = test::in_child([] {
            stderr_reader err;
            ::raise(SIGUSR1); // nobody is there
            greenback::dump_portals_on(SIGUSR1);
            ::raise(SIGUSR1);
            return err.until("greenback: 0 portals, 0 suspended\n") ? 0 : 1;
        });
        return child.exited_with(0) ? 0 : 1;
    });
    CHECK(ended.exited_with(0));
#endif
}

TEST_CASE("a signal that can't be had is told", "[dump_portals]") {
    CHECK_THROWS_AS(greenback::dump_portals_on(9999), std::system_error);
    CHECK_THROWS_AS(greenback::dump_portals_on(SIGKILL), std::system_error);
    CHECK_THROWS_WITH(greenback::dump_portals_on(SIGSEGV), test::has_text("not for the signal of a fault"));
}
