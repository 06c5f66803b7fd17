// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"

#include <chrono>
#include <limits>
#include <string>

using greenback::sleep_for;
using greenback::sleep_until;
using test::in_portal;
using test::run_task;
using namespace std::chrono_literals;

namespace {

/// Runs `sleep` in a task that is cancelled a turn later. @returns the error that it throws
template <class Sleep> test::error_code error_if_cancelled(Sleep sleep) {
    asio::io_context context(1);
    asio::cancellation_signal stop;
    test::error_code error;
    auto const task = [&] {
        try {
            sleep();
        } catch (test::system_error const& e) {
            error = e.code();
        }
    };
    greenback::spawn(context, task, asio::bind_cancellation_slot(stop.slot(), greenback::rethrow));
    test::poll_all(context);
    stop.emit(asio::cancellation_type::terminal);
    test::run_all(context);
    return error;
}

} // namespace

TEST_CASE("sleep_for and sleep_until let time pass, and other tasks run", "[sleep]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    bool other = false;
    test::spawn(context, in_portal(how, [&] {
                    auto const start = std::chrono::steady_clock::now();
                    sleep_for(2ms);
                    CHECK(std::chrono::steady_clock::now() - start >= 2ms);
                    CHECK(other);
                    sleep_until(start + 5ms);
                    CHECK(std::chrono::steady_clock::now() - start >= 5ms);
                    auto const wall = std::chrono::system_clock::now();
                    sleep_until(wall + 2ms);
                    CHECK(std::chrono::system_clock::now() >= wall + 2ms);
                }));
    asio::post(context, [&] { other = true; });
    test::run_all(context);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("sleep rounds up, and takes durations of any kind", "[sleep]") {
    run_task(greenback::with_portal_run_sync([] {
        auto const start = std::chrono::steady_clock::now();
        sleep_for(std::chrono::duration<double, std::milli>(1.5));
        CHECK(std::chrono::steady_clock::now() - start >= 1500us);
        sleep_for(std::chrono::duration<long, std::pico>(1));
        sleep_until(std::chrono::time_point<std::chrono::steady_clock, std::chrono::duration<double>>(
            std::chrono::steady_clock::now().time_since_epoch()));
        sleep_until(std::chrono::time_point_cast<std::chrono::hours>(std::chrono::system_clock::now()));
    }));
}

TEST_CASE("a sleep of nothing or less is one turn of the event loop", "[sleep]") {
    asio::io_context context(1);
    int turns = 0, others = 0;
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    auto const turn = [&](auto sleep) {
                        asio::post(context, [&] { ++others; });
                        sleep();
                        CHECK(others == ++turns);
                    };
                    turn([] { sleep_for(0s); });
                    turn([] { sleep_for(-1s); });
                    turn([] { sleep_for(std::chrono::hours::min()); });
                    turn([] { sleep_for(std::chrono::duration<double>(-1e300)); });
                    turn([] { sleep_for(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())); });
                    turn([] { sleep_until(std::chrono::steady_clock::time_point::min()); });
                    turn([] { sleep_until(std::chrono::steady_clock::now() - 1h); });
                    using seconds = std::chrono::duration<double>;
                    turn([] {
                        sleep_until(std::chrono::time_point<std::chrono::steady_clock, seconds>(
                            seconds(std::numeric_limits<double>::quiet_NaN())));
                    });
                }));
    test::run_all(context);
    CHECK(turns == 8);
}

TEST_CASE("a sleep without end waits until it is cancelled", "[sleep]") {
    CHECK(error_if_cancelled([] { sleep_for(std::chrono::hours::max()); }) == asio::error::operation_aborted);
    CHECK(error_if_cancelled([] { sleep_for(std::chrono::duration<double>(1e300)); }) ==
          asio::error::operation_aborted);
    CHECK(error_if_cancelled([] {
              sleep_for(std::chrono::duration<double>(std::numeric_limits<double>::infinity()));
          }) == asio::error::operation_aborted);
    CHECK(error_if_cancelled([] { sleep_until(std::chrono::steady_clock::time_point::max()); }) ==
          asio::error::operation_aborted);
    using seconds = std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds>;
    CHECK(error_if_cancelled([] { sleep_until(seconds::max()); }) == asio::error::operation_aborted);
}

TEST_CASE("a task that is cancelled already does not sleep", "[sleep]") {
    CHECK(error_if_cancelled([] {
              try {
                  sleep_for(1h);
              } catch (test::system_error const&) {
              }
              sleep_for(0s);
          }) == asio::error::operation_aborted);
}

TEST_CASE("a task that is destroyed while it sleeps unwinds", "[sleep]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool gone = false;
    {
        asio::io_context context(1);
        asio::co_spawn(context,
                       in_portal(how,
                                 [&] {
                                     try {
                                         sleep_for(1h);
                                     } catch (greenback::abandoned const&) {
                                         gone = true;
                                     }
                                 }),
                       asio::detached);
        test::poll_all(context);
    }
    CHECK(gone);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("sleep without a portal says so, at the caller's line", "[sleep]") {
    auto const text = [](auto f) -> std::string {
        try {
            f();
        } catch (greenback::no_portal const& e) {
            return e.what();
        }
        return "";
    };
    std::string const a = text([] { sleep_for(0s); });
    CHECK_THAT(a, test::has_text("sleep.cpp:" + std::to_string(__LINE__ - 1)));
    std::string const b = text([] { sleep_until(std::chrono::steady_clock::now()); });
    CHECK_THAT(b, test::has_text("sleep.cpp:" + std::to_string(__LINE__ - 1)));
}

TEST_CASE("sleep in a task of another executor type", "[sleep]") {
    using executor = asio::io_context::executor_type;
    asio::io_context context(1);
    bool done = false;
    run_task(context, context.get_executor(), greenback::with_portal_run_sync<executor>([&] {
                 sleep_for(1ms);
                 done = true;
             }));
    CHECK(done);
}
