// SPDX-License-Identifier: MIT
//
// MariaDB's C client on portals, with a MariaDB server.
//
// What it makes of a call that fails because its task is cancelled or destroyed (ECANCELED): the query fails with
// CR_SERVER_LOST (2013), "Lost connection to server during query", as it does when its own timeout passes. The connection
// is of no further use.

#include "blocking_libraries/calls.hpp"
#include "blocking_libraries/servers.hpp"

#include <errmsg.h>
#include <mysql.h>

#include <cerrno>
#include <string>

namespace {

using connection = test::handle<MYSQL, mysql_close>;
using result = test::handle<MYSQL_RES, mysql_free_result>;

/// @param read_timeout in seconds; 0: none
connection connect(unsigned read_timeout = 0) {
    connection c(mysql_init(nullptr));
    REQUIRE(c);
    if (read_timeout != 0)
        mysql_options(c.get(), MYSQL_OPT_READ_TIMEOUT, &read_timeout);
    auto const port = static_cast<unsigned>(test::mariadb_server().port());
    auto* const connected = mysql_real_connect(c.get(), "127.0.0.1", "root", "", nullptr, port, nullptr, 0);
    INFO(mysql_error(c.get()));
    REQUIRE(connected == c.get());
    return c;
}

bool absent() {
    // Once, before there are several connections.
    static bool const ready = mysql_library_init(0, nullptr, nullptr) == 0;
    REQUIRE(ready);
    if (!test::mariadb_server().absent())
        return false;
    WARN("skipped: no mariadbd here (on Debian: mariadb-server-core)");
    return true;
}

} // namespace

TEST_CASE("MariaDB's client: many queries wait at once on one thread", "[blocking_libraries]") {
    if (absent())
        return;
    test::check_that_they_wait_together([] {
        auto const c = connect();
        auto const query = "select sleep(" + std::to_string(double(test::each_waits.count()) / 1000) + "), 'slept'";
        REQUIRE(mysql_query(c.get(), query.c_str()) == 0);
        result const r(mysql_store_result(c.get()));
        REQUIRE(r);
        MYSQL_ROW const row = mysql_fetch_row(r.get());
        REQUIRE(row);
        CHECK(std::string(row[1]) == "slept");
    });
}

TEST_CASE("MariaDB's client: a query whose task is cancelled", "[blocking_libraries]") {
    if (absent())
        return;
    bool waiting = false;
    test::on_portal_cancelled_when([&] { return waiting; },
                                   [&] {
                                       auto const c = connect();
                                       waiting = true;
                                       CHECK(mysql_query(c.get(), "select sleep(60)") != 0);
                                       CHECK(mysql_errno(c.get()) == CR_SERVER_LOST);
                                       CHECK_THAT(mysql_error(c.get()), test::has_text("Lost connection to server"));
                                   });
}

TEST_CASE("MariaDB's client: a query whose task is destroyed", "[blocking_libraries]") {
    if (absent())
        return;
    bool waiting = false;
    unsigned error = 0;
    test::on_portal_destroyed_when([&] { return waiting; },
                                   [&] {
                                       auto const c = connect();
                                       waiting = true;
                                       mysql_query(c.get(), "select sleep(60)");
                                       error = mysql_errno(c.get());
                                   });
    CHECK(error == CR_SERVER_LOST);
}

TEST_CASE("MariaDB's client: a connection whose task is cancelled", "[blocking_libraries]") {
    test::silent_server const server;
    bool waiting = false;
    test::on_portal_cancelled_when(
        [&] { return waiting; },
        [&] {
            connection const c(mysql_init(nullptr));
            waiting = true;
            auto const port = static_cast<unsigned>(server.port());
            CHECK(mysql_real_connect(c.get(), "127.0.0.1", "root", "", nullptr, port, nullptr, 0) == nullptr);
            CHECK(mysql_errno(c.get()) == CR_SERVER_LOST);
            CHECK_THAT(mysql_error(c.get()), test::has_text("system error: " + std::to_string(ECANCELED)));
        });
}

TEST_CASE("MariaDB's client: its own timeout", "[blocking_libraries]") {
    if (absent())
        return;
    test::on_portal([] {
        auto const c = connect(1);
        CHECK(mysql_query(c.get(), "select sleep(60)") != 0);
        CHECK(mysql_errno(c.get()) == CR_SERVER_LOST);
    });
}
