// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/sockets.hpp"
#include "support/tasks.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using asio::ip::tcp;
using greenback::rethrow;
using greenback::sync_stream;
using test::connection;
using test::error_code;
using namespace std::chrono_literals;

namespace {

static_assert(std::is_same_v<decltype(sync_stream(std::declval<tcp::socket>())), sync_stream<tcp::socket>>);
static_assert(std::is_same_v<sync_stream<tcp::socket&>::next_layer_type, tcp::socket>);
static_assert(std::is_same_v<sync_stream<tcp::socket&>::lowest_layer_type, tcp::socket::lowest_layer_type>);
static_assert(std::is_same_v<sync_stream<tcp::socket>::executor_type, tcp::socket::executor_type>);
static_assert(std::is_nothrow_move_constructible_v<sync_stream<tcp::socket&>>);
static_assert(std::is_move_assignable_v<sync_stream<tcp::socket&>>);
static_assert(!std::is_copy_constructible_v<sync_stream<tcp::socket>>);
static_assert(!std::is_constructible_v<sync_stream<tcp::socket&>, tcp::socket>);

/// Runs `f` in a portal of the given kind, and the event loop to its end.
template <class F> void run(asio::io_context& context, test::made_by how, F f) {
    test::run_task(context, context, test::in_portal(how, std::move(f)));
}
template <class F> void run(asio::io_context& context, F f) { run(context, test::made_by::with_portal_run_sync, f); }

template <class Stream> std::string read_some(Stream& s, error_code& ec, std::size_t size = 100) {
    std::string text(size, '\0');
    text.resize(s.read_some(asio::buffer(text), ec));
    return text;
}
template <class Stream> error_code error_of_read(Stream& s) {
    error_code ec;
    CHECK(read_some(s, ec).empty());
    return ec;
}
template <class Stream> error_code error_of_write(Stream& s) {
    error_code ec;
    CHECK(s.write_some(asio::buffer("x", 1), ec) == 0);
    return ec;
}

/// A task that is cancelled from outside.
struct cancellable {
    asio::cancellation_signal signal;
    bool ended = false;

    template <class F> void start(asio::io_context& context, test::made_by how, F f) {
        asio::co_spawn(context, test::in_portal(how, std::move(f)),
                       asio::bind_cancellation_slot(signal.slot(), [this](std::exception_ptr e) {
                           ended = true;
                           rethrow(e);
                       }));
    }
};

/// A stream whose operations wait until they are cancelled, and then end with what it is told.
struct ends_when_cancelled {
    using executor_type = asio::any_io_executor;
    executor_type executor;
    error_code ec;
    std::size_t size;
    std::vector<asio::cancellation_type> seen{};

    executor_type get_executor() const { return executor; }
    template <class Token> auto async_read_some(asio::mutable_buffer, Token&& token) {
        return asio::async_initiate<Token, void(error_code, std::size_t)>(
            [this](auto handler) {
                auto slot = asio::get_associated_cancellation_slot(handler);
                auto kept = std::make_shared<decltype(handler)>(std::move(handler));
                slot.assign([this, kept, work = asio::prefer(executor, asio::execution::outstanding_work.tracked)](
                                asio::cancellation_type type) mutable {
                    seen.push_back(type);
                    asio::post(executor, [h = std::move(*kept), e = ec, n = size]() mutable { std::move(h)(e, n); });
                });
            },
            token);
    }
};

} // namespace

TEST_CASE("a synchronous stream reads and writes what its stream does", "[sync_stream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    connection c(context);
    run(context, how, [&] {
        sync_stream<tcp::socket&> s(c.a);
        sync_stream t(std::move(c.b));
        CHECK(&s.next_layer() == &c.a);
        CHECK(&s.lowest_layer() == &c.a.lowest_layer());
        CHECK(s.get_executor() == c.a.get_executor());
        asio::write(s, asio::buffer("one\ntwo\n", 8));
        std::string line;
        CHECK(asio::read_until(t, asio::dynamic_buffer(line), '\n') == 4);
        std::array<char, 3> word{};
        CHECK(t.write_some(std::array{asio::buffer("ab", 2), asio::buffer("c", 1)}) == 3);
        CHECK(asio::read(s, asio::buffer(word)) == 3);
        CHECK(std::string(word.data(), 3) == "abc");
    });
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a synchronous stream can be made in its place, and of any kind of stream", "[sync_stream]") {
    asio::io_context context(1);
    sync_stream<tcp::socket> unconnected(context);
    CHECK_FALSE(unconnected.next_layer().is_open());
    sync_stream<asio::readable_pipe> from(context);
    sync_stream<asio::writable_pipe> to(context);
    asio::connect_pipe(from.next_layer(), to.next_layer());
    connection<asio::io_context::executor_type> c(context);
    run(context, [&] {
        to.write_some(asio::buffer("piped", 5));
        error_code ec;
        CHECK(read_some(from, ec) == "piped");
        to.next_layer().close();
        CHECK(error_of_read(from) == asio::error::eof);
        CHECK(error_of_read(from) == asio::error::eof);
        sync_stream<decltype(c.a)&> s(c.a);
        sync_stream<decltype(c.b)&> t(c.b);
        s.expires_after(1h);
        s.write_some(asio::buffer("x", 1));
        CHECK(read_some(t, ec) == "x");
    });
}

TEST_CASE("the end of a stream is remembered: the reactor reports it once", "[sync_stream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    connection c(context);
    asio::write(c.b, asio::buffer("last", 4));
    c.b.shutdown(tcp::socket::shutdown_send);
    run(context, how, [&] {
        sync_stream<tcp::socket&> s(c.a);
        error_code ec;
        CHECK(s.read_some(asio::mutable_buffer(), ec) == 0);
        CHECK_FALSE(ec);
        CHECK(read_some(s, ec) == "last");
        for (int i = 0; i < 3; ++i) {
            CHECK(error_of_read(s) == asio::error::eof);
            CHECK(s.read_some(asio::mutable_buffer(), ec) == 0); // which is not the end
            CHECK_FALSE(ec);
        }
    });
}

TEST_CASE("without an error code a read throws end of file", "[sync_stream]") {
    asio::io_context context(1);
    connection c(context);
    c.b.close();
    run(context, [&] {
        sync_stream<tcp::socket&> s(c.a);
        char x;
        for (int i = 0; i < 2; ++i) {
            try {
                s.read_some(asio::buffer(&x, 1));
                FAIL("no end of file");
            } catch (test::system_error const& e) {
                CHECK(e.code() == asio::error::eof);
            }
        }
    });
}

TEST_CASE("any error that a stream ends with is remembered, for its direction", "[sync_stream]") {
    asio::io_context context(1);
    connection c(context);
    c.reset_by_b();
    run(context, [&] {
        sync_stream<tcp::socket&> reads(c.a);
        for (int i = 0; i < 3; ++i)
            CHECK(error_of_read(reads) == asio::error::connection_reset);
        sync_stream<tcp::socket&> writes(c.a);
        for (int i = 0; i < 4; ++i)
            CHECK(error_of_write(writes) == asio::error::broken_pipe);
    });
}

TEST_CASE("a stream that was closed, and is open again, is read on", "[sync_stream]") {
    asio::io_context context(1);
    connection one(context), other(context);
    run(context, [&] {
        sync_stream s(std::move(one.a));
        s.next_layer().close();
        CHECK(error_of_read(s) == asio::error::bad_descriptor);
        s.next_layer() = std::move(other.a);
        asio::write(other.b, asio::buffer("x", 1));
        error_code ec;
        CHECK(read_some(s, ec) == "x");
        other.b.close();
        CHECK(error_of_read(s) == asio::error::eof);
        connection third(context);
        s = sync_stream(std::move(third.a)); // a new one remembers nothing
        asio::write(third.b, asio::buffer("y", 1));
        CHECK(read_some(s, ec) == "y");
    });
}

TEST_CASE("without a portal a synchronous stream throws no_portal, which names the caller's line", "[sync_stream]") {
    asio::io_context context(1);
    connection c(context);
    asio::write(c.b, asio::buffer("there", 5));
    sync_stream<tcp::socket&> s(c.a);
    error_code ec;
    char x;
    for (bool deadline : {false, true}) {
        if (deadline)
            s.expires_after(1h);
        CHECK_THROWS_WITH(s.read_some(asio::buffer(&x, 1)), test::has_text("sync_stream.cpp"));
        CHECK_THROWS_AS(s.read_some(asio::buffer(&x, 1), ec), greenback::no_portal);
        CHECK_THROWS_AS(s.write_some(asio::buffer(&x, 1)), greenback::no_portal);
        CHECK_THROWS_WITH(s.write_some(asio::buffer(&x, 1), ec), test::has_text("sync_stream.cpp"));
    }
    s.expires_never();
    run(context, [&] { CHECK(read_some(s, ec) == "there"); });
}

TEST_CASE("a cancellation of the task ends a read, with a deadline and without", "[sync_stream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const deadline = GENERATE(false, true);
    CAPTURE(deadline);
    asio::io_context context(1);
    connection c(context);
    sync_stream<tcp::socket&> s(c.a);
    if (deadline)
        s.expires_after(1h);
    cancellable task;
    task.start(context, how, [&] {
        error_code ec;
        read_some(s, ec);
        CHECK(ec == asio::error::operation_aborted);
        // The task is cancelled now: that is an error like others.
        CHECK(error_of_read(s) == asio::error::operation_aborted);
        CHECK(error_of_write(s) == asio::error::operation_aborted);
        char x;
        CHECK_THROWS_AS(s.read_some(asio::buffer(&x, 1)), test::system_error);
    });
    test::poll_all(context);
    CHECK_FALSE(task.ended);
    task.signal.emit(asio::cancellation_type::terminal);
    test::poll_all(context);
    CHECK(task.ended);
    s.expires_never();
    test::run_all(context);
    asio::write(c.b, asio::buffer("later", 5));
    run(context, [&] {
        error_code ec;
        CHECK(read_some(s, ec) == "later");
    });
}

TEST_CASE("past its deadline every operation of a stream times out, until there is another one", "[sync_stream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    connection c(context);
    run(context, how, [&] {
        sync_stream<tcp::socket&> s(c.a);
        s.expires_after(2ms);
        for (int i = 0; i < 3; ++i) {
            CHECK(error_of_read(s) == asio::error::timed_out);
            CHECK(error_of_write(s) == asio::error::timed_out);
        }
        asio::write(c.b, asio::buffer("x", 1));
        CHECK(error_of_read(s) == asio::error::timed_out); // though something is there
        char x;
        CHECK_THROWS_AS(s.read_some(asio::buffer(&x, 1)), test::system_error);
        error_code ec;
        s.expires_never();
        CHECK(read_some(s, ec) == "x");
        s.expires_after(1ms);
        CHECK(error_of_read(s) == asio::error::timed_out);
        asio::write(c.b, asio::buffer("y", 1));
        s.expires_after(1h);
        CHECK(read_some(s, ec) == "y");
        s.write_some(asio::buffer("z", 1));
    });
    CHECK(test::received(c.b, 1) == "z");
}

TEST_CASE("a write that waits times out, too", "[sync_stream]") {
    asio::io_context context(1);
    connection c(context);
    run(context, [&] {
        sync_stream<tcp::socket&> s(c.a);
        std::vector<char> const much(1 << 20);
        s.expires_after(20ms);
        error_code ec;
        std::size_t sent = 0;
        while (!ec)
            sent += s.write_some(asio::buffer(much), ec);
        CHECK(ec == asio::error::timed_out);
        CHECK(sent > 0);
    });
}

TEST_CASE("a deadline of any duration is right", "[sync_stream]") {
    asio::io_context context(1);
    connection c(context);
    run(context, [&] {
        sync_stream<tcp::socket&> s(c.a);
        error_code ec;
        auto const is_over = [&] {
            asio::write(c.b, asio::buffer("x", 1));
            bool const late = read_some(s, ec).empty();
            CHECK(ec == (late ? error_code(asio::error::timed_out) : error_code()));
            s.expires_never();
            while (late && read_some(s, ec).empty()) {
            }
            return late;
        };
        s.expires_after(0s);
        CHECK(is_over());
        s.expires_after(-1h);
        CHECK(is_over());
        s.expires_after(std::chrono::hours::min());
        CHECK(is_over());
        s.expires_at(std::chrono::steady_clock::time_point::min());
        CHECK(is_over());
        s.expires_after(std::chrono::hours::max());
        CHECK_FALSE(is_over());
        s.expires_after(std::chrono::duration<double>(1e300));
        CHECK_FALSE(is_over());
        s.expires_after(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN()));
        CHECK_FALSE(is_over());
        s.expires_after(std::chrono::duration<double>(3600.5));
        CHECK_FALSE(is_over());
        s.expires_at(std::chrono::steady_clock::time_point::max());
        CHECK_FALSE(is_over());
        s.expires_after(std::chrono::nanoseconds::max());
        CHECK_FALSE(is_over());
    });
}

TEST_CASE("a deadline that is put off, or brought forward, is the one that holds", "[sync_stream]") {
    asio::io_context context(1);
    connection c(context);
    run(context, [&] {
        sync_stream<tcp::socket&> s(c.a);
        error_code ec;
        s.expires_after(1h);
        s.write_some(asio::buffer("x", 1)); // waits for the hour
        s.expires_after(1ms);
        CHECK(error_of_read(s) == asio::error::timed_out);
        auto const begin = std::chrono::steady_clock::now();
        s.expires_after(5ms);
        s.write_some(asio::buffer("x", 1));
        s.expires_after(30ms); // the timer is at 5 ms yet
        CHECK(error_of_read(s) == asio::error::timed_out);
        CHECK(std::chrono::steady_clock::now() - begin >= 30ms);
    });
}

TEST_CASE("a deadline that is not needed any more keeps no event loop waiting", "[sync_stream]") {
    asio::io_context context(1);
    connection c(context);
    std::optional<sync_stream<tcp::socket&>> s(std::in_place, c.a);
    run(context, [&] { // in which run_all would wait for the hour
        s->expires_after(1h);
        s->write_some(asio::buffer("x", 1));
        s->expires_never();
    });
    run(context, [&] {
        s->expires_after(1h);
        s->write_some(asio::buffer("x", 1));
        s.reset();
    });
    run(context, [&] {
        sync_stream<tcp::socket&> one(c.a);
        one.expires_after(1h);
        one.write_some(asio::buffer("x", 1));
        one = sync_stream<tcp::socket&>(c.b);
    });
}

TEST_CASE("a stream takes its deadline along when it is moved", "[sync_stream]") {
    asio::io_context context(1);
    connection c(context);
    run(context, [&] {
        sync_stream s(std::move(c.a));
        s.expires_after(2ms);
        s.write_some(asio::buffer("x", 1));
        sync_stream t(std::move(s));
        CHECK(error_of_read(t) == asio::error::timed_out);
        s = std::move(t);
        CHECK(error_of_read(s) == asio::error::timed_out);
        auto& same = s;
        s = std::move(same);
        CHECK(error_of_read(t) == asio::error::bad_descriptor); // NOLINT: no deadline, and no socket
        s.expires_after(1ms);
        CHECK(error_of_read(s) == asio::error::timed_out);
    });
}

TEST_CASE("what came in the moment of the deadline is not lost", "[sync_stream]") {
    asio::io_context context(1);
    SECTION("from a socket") {
        connection c(context);
        std::string got;
        greenback::spawn(
            context,
            [&] {
                sync_stream<tcp::socket&> s(c.a);
                while (got.size() < 6) {
                    s.expires_after(1ms);
                    error_code ec;
                    std::string const piece = read_some(s, ec);
                    CHECK((ec ? ec == asio::error::timed_out && piece.empty() : !piece.empty()));
                    got += piece;
                }
            },
            rethrow);
        for (char const* piece : {"ab", "cd", "ef"}) {
            test::poll_all(context);
            std::this_thread::sleep_for(2ms);
            asio::write(c.b, asio::buffer(piece, 2)); // now both have happened
        }
        test::run_all(context);
        CHECK(got == "abcdef");
    }
    SECTION("from a stream that has succeeded when it is cancelled") {
        ends_when_cancelled stream{context.get_executor(), {}, 3};
        run(context, [&] {
            sync_stream<ends_when_cancelled&> s(stream);
            s.expires_after(1ms);
            char x[3];
            CHECK(s.read_some(asio::mutable_buffer(x, 3)) == 3);
            error_code ec;
            CHECK(s.read_some(asio::mutable_buffer(x, 3), ec) == 0);
            CHECK(ec == asio::error::timed_out);
        });
        CHECK(stream.seen == std::vector{asio::cancellation_type::terminal});
    }
    SECTION("from a stream that has got a part of it") {
        ends_when_cancelled stream{context.get_executor(), asio::error::operation_aborted, 2};
        run(context, [&] {
            sync_stream<ends_when_cancelled&> s(stream);
            s.expires_after(1ms);
            char x[3];
            error_code ec;
            CHECK(s.read_some(asio::mutable_buffer(x, 3), ec) == 2);
            CHECK(ec == asio::error::timed_out);
        });
    }
}

TEST_CASE("a cancelled task is told from one that was late", "[sync_stream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    ends_when_cancelled stream{context.get_executor(), asio::error::operation_aborted, 0};
    sync_stream<ends_when_cancelled&> s(stream);
    bool const late = GENERATE(false, true);
    CAPTURE(late);
    cancellable task;
    error_code ec;
    s.expires_after(late ? 1ms : std::chrono::milliseconds(1h));
    task.start(context, how, [&] {
        char x;
        s.read_some(asio::mutable_buffer(&x, 1), ec);
        s.expires_never();
    });
    test::poll_all(context);
    CHECK_FALSE(task.ended);
    if (late)
        std::this_thread::sleep_for(3ms);
    task.signal.emit(asio::cancellation_type::terminal); // before the timer's handler has run
    test::run_all(context);
    CHECK(ec == asio::error::operation_aborted);
    CHECK(stream.seen.size() == 1);
}

TEST_CASE("a task's cancellation signal may outlive the event loop, and the stream's deadline", "[sync_stream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const destroyed = GENERATE(false, true);
    CAPTURE(destroyed);
    cancellable task;
    {
        asio::io_context context(1);
        connection c(context);
        if (!destroyed)
            c.b.write_some(asio::buffer("x", 1)); // NOLINT(bugprone-unused-return-value)
        task.start(context, how, [a = std::move(c.a)]() mutable {
            sync_stream s(std::move(a));
            s.expires_after(1h);
            error_code ec;
            std::string const read = read_some(s, ec); // CHECK would keep `abandoned` to itself
            CHECK(read == "x");
        });
        test::poll_all(context);
        CHECK(task.ended != destroyed);
    }
    task.signal.emit(asio::cancellation_type::terminal); // to nobody; AddressSanitizer sees what it looks at
}

TEST_CASE("a task destroyed while a stream waits is unwound", "[sync_stream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const deadline = GENERATE(false, true);
    CAPTURE(deadline);
    bool unwound = false;
    {
        asio::io_context context(1);
        connection c(context);
        asio::co_spawn(context,
                       test::in_portal(how,
                                       [&] {
                                           struct at_exit {
                                               bool& done;
                                               ~at_exit() { done = true; }
                                           } const noted{unwound};
                                           sync_stream s(std::move(c.a));
                                           if (deadline)
                                               s.expires_after(1h);
                                           error_code ec;
                                           try {
                                               read_some(s, ec);
                                           } catch (greenback::abandoned const&) {
                                               // Nor does anything wait from now on.
                                               CHECK_THROWS_AS(read_some(s, ec), greenback::abandoned);
                                               throw;
                                           }
                                           FAIL("not abandoned");
                                       }),
                       rethrow);
        test::poll_all(context);
        CHECK(greenback::stats().live == 1);
    }
    CHECK(unwound);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a stream whose task was destroyed is used by another task", "[sync_stream]") {
    asio::io_context context(1);
    connection c(context);
    sync_stream<tcp::socket&> s(c.a);
    s.expires_after(1h);
    {
        auto strand = asio::make_strand(context); // another executor
        cancellable task;
        asio::co_spawn(strand,
                       test::in_portal(test::made_by::with_portal_run_sync,
                                       [&] {
                                           error_code ec;
                                           read_some(s, ec);
                                       }),
                       asio::bind_cancellation_slot(task.signal.slot(), rethrow));
        test::poll_all(context);
        task.signal.emit(asio::cancellation_type::terminal);
        test::poll_all(context);
    }
    run(context, [&] {
        s.write_some(asio::buffer("x", 1));
        s.expires_after(1ms);
        CHECK(error_of_read(s) == asio::error::timed_out);
    });
}

TEST_CASE("two tasks read and write the same socket at once", "[sync_stream]") {
    asio::io_context context(1);
    connection c(context);
    std::string sent(1 << 22, '\0');
    for (std::size_t i = 0; i < sent.size(); ++i)
        sent[i] = static_cast<char>(i * 7 + i / 251);
    bool const deadline = GENERATE(false, true);
    std::string back(sent.size(), '\0');
    greenback::spawn(
        context,
        [&] {
            sync_stream<tcp::socket&> s(c.a);
            if (deadline)
                s.expires_after(1h);
            asio::write(s, asio::buffer(sent));
        },
        rethrow);
    greenback::spawn(
        context,
        [&] {
            sync_stream<tcp::socket&> s(c.a);
            if (deadline)
                s.expires_after(1h);
            asio::read(s, asio::buffer(back));
        },
        rethrow);
    greenback::spawn(
        context,
        [&] {
            sync_stream<tcp::socket&> s(c.b);
            std::string piece(60000, '\0');
            for (std::size_t n = 0; n < sent.size();) {
                std::size_t const here = s.read_some(asio::buffer(piece));
                asio::write(s, asio::buffer(piece, here));
                n += here;
            }
        },
        rethrow);
    test::run_all(context);
    CHECK(back == sent);
}

TEST_CASE("deadlines hold on many threads", "[sync_stream][threads]") {
    bool const on_strands = GENERATE(true, false);
    CAPTURE(on_strands);
    constexpr int tasks = 8;
    constexpr int rounds = test::sanitized ? 60 : 200;
    asio::thread_pool pool(4);
    std::atomic<int> good = 0;
    // Kept to the end: newer Asios count their references by a fence, which ThreadSanitizer doesn't see.
    std::vector<asio::any_io_executor> executors;
    std::vector<std::unique_ptr<connection<>>> connections;
    std::vector<std::unique_ptr<sync_stream<tcp::socket&>>> streams; // which outlive their tasks
    for (int i = 0; i < tasks; ++i) {
        // The sockets are not on the strand.
        connections.push_back(std::make_unique<connection<>>(pool.get_executor(), pool.get_executor()));
        connection<>& c = *connections.back();
        streams.push_back(std::make_unique<sync_stream<tcp::socket&>>(c.a));
        asio::any_io_executor executor = pool.get_executor();
        if (on_strands)
            executor = asio::make_strand(pool);
        executors.push_back(executor);
        executors.push_back(asio::make_strand(pool));
        auto const echo = [&c] {
            sync_stream<tcp::socket&> s(c.b);
            char x;
            error_code ec;
            while (s.read_some(asio::buffer(&x, 1), ec) == 1)
                asio::write(s, asio::buffer(&x, 1));
        };
        auto const call = [&good, &c, &s = *streams.back()] {
            int answers = 0;
            for (int round = 0; round < rounds; ++round) {
                error_code ec;
                char x = 'x';
                s.expires_after(std::chrono::microseconds(round % 5 == 0 ? 3'600'000'000 : 20 * (round % 7)));
                s.write_some(asio::buffer(&x, 1), ec);
                bool const written = !ec;
                while (written && s.read_some(asio::buffer(&x, 1), ec) == 0) {
                    if (ec != asio::error::timed_out)
                        return;
                    s.expires_after(1h);
                }
                answers += !ec || !written;
            }
            s.expires_after(1h);
            s.write_some(asio::buffer("y", 1));
            c.a.shutdown(tcp::socket::shutdown_send);
            good += answers == rounds;
        };
        greenback::spawn(executor, call, rethrow);
        greenback::spawn(executors.back(), echo, rethrow);
    }
    std::thread destroyer([&] {
        while (good < tasks)
            std::this_thread::sleep_for(1ms);
        streams.clear(); // while the timers wait for the hour
    });
    destroyer.join();
    pool.join();
    CHECK(good == tasks);
}
