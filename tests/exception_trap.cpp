// SPDX-License-Identifier: MIT

#include <greenback/exception_trap.hpp>

#if defined(ASIO_VERSION) || defined(BOOST_ASIO_VERSION)
#error "exception_trap.hpp includes Asio"
#endif

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using greenback::await_;
using greenback::exception_trap;

namespace {

static_assert(!std::is_copy_constructible_v<exception_trap> && !std::is_move_constructible_v<exception_trap>);
static_assert(noexcept(std::declval<exception_trap&>().run([] { return 1; }, 2)));
static_assert(noexcept(std::declval<exception_trap&>().run([] {})));

std::string text_of(exception_trap& trap) {
    try {
        trap.rethrow();
        return "nothing";
    } catch (std::exception const& e) {
        return e.what();
    } catch (greenback::abandoned const&) {
        return "abandoned";
    }
}

// What C libraries without a user pointer leave to their callers: state outside of the call.
struct comparison {
    exception_trap trap;
    bool wait = false;
    int calls = 0, throw_at = 0;
};
comparison* current = nullptr; // set by `sort`; in these tests one sort at a time

extern "C" int compare(void const* a, void const* b) {
    return current->trap.run(
        [&] {
            if (++current->calls == current->throw_at)
                throw std::runtime_error("compare");
            if (current->wait)
                await_(test::yield_now());
            int const x = *static_cast<int const*>(a), y = *static_cast<int const*>(b);
            return x < y ? -1 : x > y;
        },
        0);
}

void sort(std::vector<int>& numbers, comparison& c) {
    current = &c;
    std::qsort(numbers.data(), numbers.size(), sizeof(int), &compare);
    c.trap.rethrow();
}

} // namespace

TEST_CASE("run returns what the function returns, or the value for errors", "[exception_trap]") {
    exception_trap trap;
    CHECK(trap.run([] { return 1; }, -1) == 1);
    CHECK_FALSE(trap);
    CHECK(trap.run([]() -> int { throw std::runtime_error("first"); }, -1) == -1);
    CHECK(trap);
    trap.run([] {});
    CHECK(text_of(trap) == "first");
    CHECK_FALSE(trap);
    CHECK(text_of(trap) == "nothing");
    trap.run([] { throw std::runtime_error("void"); });
    CHECK(text_of(trap) == "void");
}

TEST_CASE("the function is always called, and the first exception kept", "[exception_trap]") {
    exception_trap trap;
    int calls = 0;
    for (char const* text : {"first", "second", "third"})
        trap.run([&] {
            ++calls;
            throw std::runtime_error(text);
        });
    CHECK(trap.run([&] { return ++calls; }, -1) == 4);
    CHECK(text_of(trap) == "first");
    trap.run([&] { throw std::runtime_error("afterwards"); });
    CHECK(text_of(trap) == "afterwards");
}

TEST_CASE("the trap is empty before it throws", "[exception_trap]") {
    exception_trap trap;
    trap.run([] { throw 7; });
    try {
        trap.rethrow();
        FAIL("nothing thrown");
    } catch (int n) {
        CHECK(n == 7);
        CHECK_FALSE(trap);
        trap.run([] { throw 8; });
        CHECK(trap);
    }
    CHECK(trap);
}

TEST_CASE("release hands the exception out without throwing it", "[exception_trap]") {
    exception_trap trap;
    CHECK_FALSE(trap.release());
    trap.run([] { throw 7; });
    std::exception_ptr const e = trap.release();
    CHECK(e);
    CHECK_FALSE(trap);
    CHECK_THROWS_AS(std::rethrow_exception(e), int);
}

TEST_CASE("results may be references, pointers and move-only", "[exception_trap]") {
    exception_trap trap;
    int here = 0, other = 0;
    static_assert(std::is_same_v<decltype(trap.run([&]() -> int& { return here; }, other)), int&>);
    CHECK(&trap.run([&]() -> int& { return here; }, other) == &here);
    CHECK(&trap.run([&]() -> int& { throw 1; }, other) == &other);
    CHECK(trap.run([&] { return &here; }, nullptr) == &here);
    CHECK(trap.run([&]() -> int* { throw 1; }, nullptr) == nullptr);
    CHECK(*trap.run([] { return std::make_unique<int>(1); }, nullptr) == 1);
    CHECK(*trap.run([]() -> std::unique_ptr<int> { throw 1; }, std::make_unique<int>(2)) == 2);
    trap.release();

    // Functions that are called as what they are: rvalues, members, functions.
    struct once {
        std::unique_ptr<int> n;
        int operator()() && { return *std::move(n); }
    };
    CHECK(trap.run(once{std::make_unique<int>(3)}, 0) == 3);
    CHECK(trap.run(&std::rand, -1) >= 0);
}

TEST_CASE("a conversion of the value for errors may throw, to the caller", "[exception_trap]") {
    struct picky {
        picky(int n) {
            if (n < 0)
                throw std::invalid_argument("negative");
        }
    };
    exception_trap trap;
    CHECK_THROWS_AS(trap.run([] { return picky(1); }, -1), std::invalid_argument);
}

TEST_CASE("an exception is carried past a C library", "[exception_trap]") {
    std::vector<int> numbers{3, 1, 2, 5, 4};
    comparison c;
    sort(numbers, c);
    CHECK(numbers == std::vector<int>{1, 2, 3, 4, 5});
    CHECK(c.calls > 4);

    numbers = {3, 1, 2, 5, 4};
    comparison failing;
    failing.throw_at = 2;
    CHECK_THROWS_WITH(sort(numbers, failing), "compare");
    CHECK(failing.calls > 2); // C calls on, and the function is called
    CHECK_FALSE(failing.trap);
}

TEST_CASE("a callback of C awaits, in every kind of portal", "[exception_trap]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    std::vector<int> numbers{3, 1, 2, 5, 4};
    test::run_task(context, context, test::in_portal(how, [&] {
                       comparison c;
                       c.wait = true;
                       sort(numbers, c);
                   }));
    CHECK(numbers == std::vector<int>{1, 2, 3, 4, 5});
}

TEST_CASE("without a portal, no_portal is carried past C", "[exception_trap]") {
    std::vector<int> numbers{2, 1};
    comparison c;
    c.wait = true;
    CHECK_THROWS_AS(sort(numbers, c), greenback::no_portal);
}

TEST_CASE("a cancellation is carried past C", "[exception_trap]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    asio::cancellation_signal cancel;
    std::string seen;
    exception_trap trap;
    asio::co_spawn(context,
                   test::in_portal(how,
                                   [&] {
                                       trap.run([] { await_(test::forever()); });
                                       trap.run([] { await_(test::forever()); }); // cancelled already: throws at once
                                       seen = text_of(trap);
                                   }),
                   asio::bind_cancellation_slot(cancel.slot(), asio::detached));
    test::poll_all(context);
    cancel.emit(asio::cancellation_type::terminal);
    test::run_all(context);
    CHECK_THAT(seen, test::has_text("cancel") || test::has_text("abort"));
}

TEST_CASE("abandoned is carried past C, and goes on", "[exception_trap]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool caught = false, after = false;
    comparison c;
    c.wait = true;
    {
        asio::io_context context;
        test::spawn(context, test::in_portal(how, [&] {
                        std::vector<int> numbers{3, 1, 2, 5, 4};
                        try {
                            sort(numbers, c);
                            after = true;
                        } catch (greenback::abandoned const&) {
                            caught = true;
                            throw;
                        }
                    }));
        context.poll_one();
        CHECK(greenback::stats().live == 1);
    }
    CHECK(caught);
    CHECK_FALSE(after);
    CHECK_FALSE(c.trap);
    CHECK(greenback::stats().live == 0);
}
