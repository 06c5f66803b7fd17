// SPDX-License-Identifier: MIT

#include <greenback/c_callback.hpp>

#if defined(ASIO_VERSION) || defined(BOOST_ASIO_VERSION)
#error "c_callback.hpp includes Asio"
#endif

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <stdlib.h>

using greenback::await_;
using greenback::c_callback;

// Libraries in C: the user pointer first, last, in the middle and alone.
extern "C" {

using visit_row = int (*)(void* user, int row);
static int c_visit(int rows, visit_row visit, void* user) {
    for (int i = 0; i != rows; ++i)
        if (int const answer = visit(user, i))
            return answer;
    visit(user, -1); // the end
    return 0;
}

struct pair {
    int a;
    double b;
};
static std::size_t c_write(std::size_t (*write)(char const* data, std::size_t size, void* user, pair extra),
                           void* user) {
    return write("data", 4, user, pair{1, 0.5});
}

static void c_notify(void (*notify)(void*), void* user) { notify(user); }
static void c_notify_noexcept(void (*notify)(void*) noexcept, void* user) noexcept { notify(user); }
static void* c_pointer(void* (*find)(int, void*), void* user) { return find(1, user); }

enum c_status { c_ok, c_failed };
static c_status c_check(c_status (*check)(void*, unsigned char), void* user) { return check(user, 200); }
}

namespace {

struct witness {
    int& unwound;
    ~witness() { ++unwound; }
};

template <class Callback> std::string text_of(Callback& cb) {
    try {
        cb.rethrow();
        return "nothing";
    } catch (std::exception const& e) {
        return e.what();
    }
}

} // namespace

TEST_CASE("the user pointer is found wherever it stands", "[c_callback]") {
    SECTION("first") {
        std::vector<int> rows;
        c_callback cb([&](int row) { return rows.push_back(row), 0; }, -1);
        CHECK(c_visit(3, cb, &cb) == 0);
        cb.rethrow();
        CHECK(rows == std::vector<int>{0, 1, 2, -1});
    }
    SECTION("in the middle") {
        std::string seen;
        c_callback cb(
            [&](char const* data, std::size_t size, pair extra) {
                seen.assign(data, size);
                return size + static_cast<std::size_t>(extra.a);
            },
            0);
        CHECK(c_write(cb, &cb) == 5);
        CHECK(seen == "data");
    }
    SECTION("last: qsort_r's comparison has three pointers, of which two are const") {
        std::vector<int> numbers{3, 1, 2, 5, 4};
        int calls = 0;
        c_callback cb(
            [&](void const* a, void const* b) {
                ++calls;
                return *static_cast<int const*>(a) - *static_cast<int const*>(b);
            },
            0);
        ::qsort_r(numbers.data(), numbers.size(), sizeof(int), cb, &cb);
        CHECK(numbers == std::vector<int>{1, 2, 3, 4, 5});
        CHECK(calls > 4);
    }
    SECTION("alone") {
        int calls = 0;
        c_callback cb([&] { ++calls; });
        c_notify(cb, &cb);
        c_notify_noexcept(cb, &cb);
        CHECK(calls == 2);
    }
}

TEST_CASE("results are converted to what the function pointer returns", "[c_callback]") {
    int here = 0;
    c_callback pointer([&](int) { return &here; }, nullptr);
    CHECK(c_pointer(pointer, &pointer) == &here);
    c_callback failing_pointer([](int) -> int* { throw 1; }, nullptr);
    CHECK(c_pointer(failing_pointer, &failing_pointer) == nullptr);

    c_callback status([](int n) { return n == 200 ? c_ok : c_failed; }, c_failed);
    CHECK(c_check(status, &status) == c_ok);

    c_callback yes([](int row) { return row == 2; }, -1); // bool to int
    CHECK(c_visit(3, yes, &yes) == 1);

    c_callback negative([](auto...) -> std::size_t { throw 1; }, -1); // as C writes (size_t)-1
    CHECK(c_write(negative, &negative) == SIZE_MAX);

    c_callback ignored([&] { return ++here; }); // where nothing is returned a result is dropped
    c_notify(ignored, &ignored);
    CHECK(here == 1);
}

TEST_CASE("functions, members and what moves are called, too", "[c_callback]") {
    struct counter {
        int sum = 0;
        int add(int n) { return sum += n, 0; }
    };
    counter c;
    c_callback bound(std::bind_front(&counter::add, &c), -1);
    CHECK(c_visit(4, bound, &bound) == 0);
    CHECK(c.sum == 0 + 1 + 2 + 3 - 1);

    static int seen = 0;
    struct functions {
        static int note(int n) { return seen += n, 0; }
    };
    c_callback function(functions::note, -1);
    CHECK(c_visit(2, function, &function) == 0);
    CHECK(seen == 0);

    c_callback moves([p = std::make_unique<int>(0)](int n) mutable { return *p += n, 0; }, -1);
    CHECK(c_visit(2, moves, &moves) == 0);
    static_assert(!std::is_move_constructible_v<decltype(moves)> && !std::is_copy_constructible_v<decltype(moves)>);
}

TEST_CASE("one object serves several types of function pointer", "[c_callback]") {
    int calls = 0;
    c_callback cb([&](auto...) { return ++calls, 0; }, -1);
    c_visit(1, cb, &cb);
    c_write(cb, &cb);
    auto const f = static_cast<int (*)(void*)>(cb);
    CHECK(f(&cb) == 0);
    c_notify(cb, &cb);
    CHECK(calls == 5);
}

TEST_CASE("an exception is carried past C, which gets the value for errors", "[c_callback]") {
    int calls = 0;
    c_callback cb(
        [&](int row) {
            ++calls;
            if (row == 1)
                throw std::runtime_error("row 1");
            return 0;
        },
        -7);
    CHECK(c_visit(5, cb, &cb) == -7);
    CHECK(calls == 2);
    CHECK(cb);
    CHECK(text_of(cb) == "row 1");
    CHECK_FALSE(cb);
    CHECK(text_of(cb) == "nothing");

    CHECK(c_visit(1, cb, &cb) == 0); // and it can be used again
    CHECK(c_visit(5, cb, &cb) == -7);
    CHECK(cb.release());
    CHECK_FALSE(cb);
}

TEST_CASE("where C calls on, the function is called and the first exception stays", "[c_callback]") {
    std::vector<int> numbers{3, 1, 2, 5, 4};
    int calls = 0;
    c_callback cb([&](void const*, void const*) -> int { throw std::runtime_error("call " + std::to_string(++calls)); },
                  0);
    ::qsort_r(numbers.data(), numbers.size(), sizeof(int), cb, &cb);
    CHECK(calls > 1);
    CHECK(text_of(cb) == "call 1");
}

TEST_CASE("the function awaits, in every kind of portal", "[c_callback]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    int sum = 0, result = -1;
    test::run_task(context, context, test::in_portal(how, [&] {
                       c_callback cb([&](int row) { return sum += await_(test::value_of(row, true)), 0; }, -1);
                       result = c_visit(5, cb, &cb);
                       cb.rethrow();
                   }));
    CHECK(result == 0);
    CHECK(sum == 9);
}

TEST_CASE("no_portal, a cancellation and abandoned are carried past C", "[c_callback]") {
    auto const wait = [](int) { return await_(test::forever()), 0; };
    {
        c_callback cb(wait, -1);
        CHECK(c_visit(5, cb, &cb) == -1);
        CHECK_THROWS_AS(cb.rethrow(), greenback::no_portal);
    }
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::cancellation_signal cancel;
    int unwound = 0, result = 0;
    bool cancelled = false, abandoned = false;
    auto const body = [&] {
        witness const w{unwound};
        c_callback cb(wait, -1);
        result = c_visit(5, cb, &cb);
        try {
            cb.rethrow();
        } catch (test::system_error const& e) {
            cancelled = e.code() == asio::error::operation_aborted;
        } catch (greenback::abandoned const&) {
            abandoned = true;
            throw;
        }
    };
    {
        asio::io_context context;
        asio::co_spawn(context, test::in_portal(how, body),
                       asio::bind_cancellation_slot(cancel.slot(), asio::detached));
        test::poll_all(context);
        CHECK(unwound == 0);
        SECTION("cancelled") {
            cancel.emit(asio::cancellation_type::terminal);
            test::run_all(context);
            CHECK(cancelled);
        }
        SECTION("destroyed") {}
    }
    CHECK(abandoned != cancelled);
    CHECK(result == -1);
    CHECK(unwound == 1);
    CHECK(greenback::stats().live == 0);
}
