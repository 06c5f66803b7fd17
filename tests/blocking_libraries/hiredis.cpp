// SPDX-License-Identifier: MIT
//
// hiredis on portals, with a Redis server.
//
// What it makes of a call that fails because its task is cancelled or destroyed (ECANCELED): the command has no reply,
// `err` is REDIS_ERR_IO, `errstr` is "Operation canceled". The connection is of no further use, as after any error.

#include "blocking_libraries/calls.hpp"
#include "blocking_libraries/servers.hpp"

#include <hiredis/hiredis.h>

#include <chrono>
#include <string>

#include <sys/time.h>

using namespace std::chrono_literals;

namespace {

using connection = test::handle<redisContext, redisFree>;
using reply = test::handle<redisReply, freeReplyObject>;

connection connect() {
    connection c(redisConnect("localhost", test::redis_server().port()));
    REQUIRE(c);
    INFO(c->errstr);
    REQUIRE(c->err == 0);
    return c;
}

template <class... Arguments> reply command(connection const& c, char const* format, Arguments... arguments) {
    return reply(static_cast<redisReply*>(redisCommand(c.get(), format, arguments...)));
}

bool absent() {
    if (!test::redis_server().absent())
        return false;
    WARN("skipped: no redis-server here (on Debian: redis-server)");
    return true;
}

} // namespace

TEST_CASE("hiredis: many commands wait at once on one thread", "[blocking_libraries]") {
    if (absent())
        return;
    test::check_that_they_wait_together([] {
        auto const c = connect();
        auto const seconds = std::to_string(double(test::each_waits.count()) / 1000);
        auto const nothing = command(c, "BLPOP none %s", seconds.c_str());
        REQUIRE(nothing);
        CHECK(nothing->type == REDIS_REPLY_NIL);
        auto const echo = command(c, "ECHO %s", "again");
        REQUIRE(echo);
        CHECK(std::string(echo->str) == "again");
    });
}

TEST_CASE("hiredis: what one task waits for, another on the same thread sends", "[blocking_libraries]") {
    if (absent())
        return;
    asio::io_context context(1);
    std::string got;
    greenback::spawn(
        context,
        [&] {
            auto const c = connect();
            auto const r = command(c, "BLPOP a-list 60");
            REQUIRE(r);
            REQUIRE(r->elements == 2);
            got = r->element[1]->str;
        },
        greenback::rethrow);
    greenback::spawn(
        context,
        [&] {
            auto const c = connect();
            CHECK(command(c, "RPUSH a-list %s", "hello"));
        },
        greenback::rethrow);
    test::run_all(context);
    CHECK(got == "hello");
}

TEST_CASE("hiredis: off every portal its calls are the plain ones", "[blocking_libraries]") {
    if (absent())
        return;
    auto const before = greenback::blocking_calls_awaited();
    auto const c = connect();
    auto const nothing = command(c, "BLPOP none 0.05");
    REQUIRE(nothing);
    CHECK(nothing->type == REDIS_REPLY_NIL);
    CHECK(greenback::blocking_calls_awaited() == before);
}

TEST_CASE("hiredis: a command whose task is cancelled", "[blocking_libraries]") {
    if (absent())
        return;
    bool waiting = false;
    test::on_portal_cancelled_when([&] { return waiting; },
                                   [&] {
                                       auto const c = connect();
                                       waiting = true;
                                       CHECK_FALSE(command(c, "BLPOP none 60"));
                                       CHECK(c->err == REDIS_ERR_IO);
                                       CHECK(std::string(c->errstr) == "Operation canceled");
                                   });
}

TEST_CASE("hiredis: a command whose task is destroyed", "[blocking_libraries]") {
    if (absent())
        return;
    bool waiting = false;
    int error = 0;
    std::string text;
    test::on_portal_destroyed_when([&] { return waiting; },
                                   [&] {
                                       auto const c = connect();
                                       waiting = true;
                                       auto const r = command(c, "BLPOP none 60");
                                       error = c->err;
                                       text = c->errstr;
                                   });
    CHECK(error == REDIS_ERR_IO);
    CHECK(text == "Operation canceled");
}

TEST_CASE("hiredis: its own timeout", "[blocking_libraries]") {
    if (absent())
        return;
    test::on_portal([] {
        auto const c = connect();
        REQUIRE(redisSetTimeout(c.get(), timeval{0, 200'000}) == REDIS_OK);
        CHECK_FALSE(command(c, "BLPOP none 60"));
        CHECK(c->err == REDIS_ERR_IO);
        CHECK(std::string(c->errstr) == "Resource temporarily unavailable");
    });
}
