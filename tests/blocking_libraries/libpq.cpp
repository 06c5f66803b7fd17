// SPDX-License-Identifier: MIT
//
// libpq on portals, with a PostgreSQL server.
//
// What it makes of a call that fails because its task is cancelled or destroyed (ECANCELED): the result is
// PGRES_FATAL_ERROR, the connection's message "select() failed: Operation canceled" ("poll() failed" in later versions).
// PQstatus still is CONNECTION_OK, but the server goes on with the query: the connection is of no further use.

#include "blocking_libraries/calls.hpp"
#include "blocking_libraries/servers.hpp"

#include <libpq-fe.h>

#include <string>

namespace {

using connection = test::handle<PGconn, PQfinish>;
using result = test::handle<PGresult, PQclear>;

connection connect() {
    auto const where = "host=localhost user=postgres dbname=postgres sslmode=disable gssencmode=disable port=" +
                       std::to_string(test::postgresql_server().port());
    connection c(PQconnectdb(where.c_str()));
    INFO(PQerrorMessage(c.get()));
    REQUIRE(PQstatus(c.get()) == CONNECTION_OK);
    return c;
}

bool absent() {
    if (!test::postgresql_server().absent())
        return false;
    WARN("skipped: no PostgreSQL server here (on Debian: postgresql)");
    return true;
}

} // namespace

TEST_CASE("libpq: many queries wait at once on one thread", "[blocking_libraries]") {
    if (absent())
        return;
    test::check_that_they_wait_together([] {
        auto const c = connect();
        auto const query = "select pg_sleep(" + std::to_string(double(test::each_waits.count()) / 1000) + "), 'slept'";
        result const r(PQexec(c.get(), query.c_str()));
        INFO(PQerrorMessage(c.get()));
        REQUIRE(PQresultStatus(r.get()) == PGRES_TUPLES_OK);
        CHECK(std::string(PQgetvalue(r.get(), 0, 1)) == "slept");
    });
}

TEST_CASE("libpq: a query whose task is cancelled", "[blocking_libraries]") {
    if (absent())
        return;
    bool waiting = false;
    test::on_portal_cancelled_when([&] { return waiting; },
                                   [&] {
                                       auto const c = connect();
                                       waiting = true;
                                       result const r(PQexec(c.get(), "select pg_sleep(60)"));
                                       CHECK(PQresultStatus(r.get()) == PGRES_FATAL_ERROR);
                                       CHECK_THAT(PQerrorMessage(c.get()), test::has_text("Operation canceled"));
                                       CHECK(PQstatus(c.get()) == CONNECTION_OK);
                                   });
}

TEST_CASE("libpq: a query whose task is destroyed", "[blocking_libraries]") {
    if (absent())
        return;
    bool waiting = false;
    ExecStatusType status = PGRES_EMPTY_QUERY;
    std::string text;
    test::on_portal_destroyed_when([&] { return waiting; },
                                   [&] {
                                       auto const c = connect();
                                       waiting = true;
                                       result const r(PQexec(c.get(), "select pg_sleep(60)"));
                                       status = PQresultStatus(r.get());
                                       text = PQerrorMessage(c.get());
                                   });
    CHECK(status == PGRES_FATAL_ERROR);
    CHECK_THAT(text, test::has_text("Operation canceled"));
}

TEST_CASE("libpq: a connection whose task is cancelled", "[blocking_libraries]") {
    test::silent_server const server;
    bool waiting = false;
    test::on_portal_cancelled_when([&] { return waiting; },
                                   [&] {
                                       auto const where =
                                           "host=127.0.0.1 user=postgres port=" + std::to_string(server.port());
                                       waiting = true;
                                       connection const c(PQconnectdb(where.c_str()));
                                       CHECK(PQstatus(c.get()) == CONNECTION_BAD);
                                       CHECK_THAT(PQerrorMessage(c.get()), test::has_text("Operation canceled"));
                                   });
}

TEST_CASE("libpq: its own timeout", "[blocking_libraries]") {
    test::on_portal([] {
        test::silent_server const server;
        auto const where = "host=127.0.0.1 user=postgres connect_timeout=2 port=" + std::to_string(server.port());
        connection const c(PQconnectdb(where.c_str()));
        CHECK(PQstatus(c.get()) == CONNECTION_BAD);
        CHECK_THAT(PQerrorMessage(c.get()), test::has_text("timeout expired"));
    });
}
