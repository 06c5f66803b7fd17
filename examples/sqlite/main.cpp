// SPDX-License-Identifier: MIT
// An SQL function that waits: fetch(n) asks a server over TCP. 100 queries wait at once on one thread.

#include "../support/line_server.hpp"
#include "../support/run.hpp"

#include <asio/experimental/awaitable_operators.hpp>
#include <greenback/exception_trap.hpp>

#include <cstdio>
#include <memory>
#include <sqlite3.h>

namespace {

counter fetching;

// [function]
/// One connection, for one task at a time.
struct database {
    asio::ip::tcp::endpoint server;
    sqlite3* handle = nullptr;
    greenback::exception_trap trap;

    explicit database(asio::ip::tcp::endpoint address);
    ~database() { sqlite3_close_v2(handle); }
    sqlite3_int64 query(char const* sql);
    sqlite3_int64 fetch(sqlite3_int64 n) {
        inside const counted(fetching);
        std::string const answer = ask(server, std::to_string(n)); // awaits
        if (answer == "negative")
            throw std::domain_error(answer);
        return std::stoll(answer);
    }
};

/// fetch(n), for SQL.
extern "C" void sql_fetch(sqlite3_context* context, int, sqlite3_value** arguments) {
    auto& db = *static_cast<database*>(sqlite3_user_data(context));
    sqlite3_int64 result = 0;
    auto const call = [&] { return result = db.fetch(sqlite3_value_int64(arguments[0])), true; };
    if (db.trap.run(call, false)) // what is thrown stays in the trap
        sqlite3_result_int64(context, result);
    else
        sqlite3_result_error(context, "fetch has failed", -1); // ends the statement
}
// [/function]

// [open]
database::database(asio::ip::tcp::endpoint address) : server(address) {
    // NOMUTEX: the task may go on on another thread than the one that has locked the connection's mutex.
    int const flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    require(sqlite3_open_v2(":memory:", &handle, flags, nullptr) == SQLITE_OK, "cannot open");
    // DIRECTONLY: not for a view or a trigger that somebody has put into the file.
    sqlite3_create_function(handle, "fetch", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, this, sql_fetch, nullptr, nullptr);
}
// [/open]

// [query]
/// The first column of the first row. Synchronous: called on a portal.
sqlite3_int64 database::query(char const* sql) {
    sqlite3_stmt* s = nullptr;
    int status = sqlite3_prepare_v2(handle, sql, -1, &s, nullptr);
    std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> const statement(s, sqlite3_finalize);
    if (status == SQLITE_OK)
        status = sqlite3_step(s);
    trap.rethrow(); // before the status, which is a consequence of it
    if (status != SQLITE_ROW)
        throw std::runtime_error(sqlite3_errmsg(handle));
    return sqlite3_column_int64(s, 0);
}
// [/query]

std::string square(std::string const& n) {
    return n == "0" ? "" : n == "-1" ? "negative" : std::to_string(std::stoll(n) * std::stoll(n)); // "": no answer
}

asio::awaitable<void> run_out_of_time(database& db) {
    using namespace asio::experimental::awaitable_operators;
    // [timeout]
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(50));
    auto const result = co_await (greenback::with_portal_run_sync(&database::query, &db, "SELECT fetch(0)") ||
                                  timer.async_wait(asio::use_awaitable)); // 0: the query's, 1: the timer's
    // [/timeout]
    require(result.index() == 1 && fetching.now == 0, "the query did not end with the time");
}

} // namespace

int main() try {
    asio::io_context loop;
    line_server server(loop, 100, square);
    run_at_once(loop, 100, [&] {
        database db(server.endpoint());
        require(db.query("WITH n(i) AS (VALUES (1), (2), (3)) SELECT sum(fetch(i)) FROM n") == 14, "wrong sum");
    });
    require(fetching.most == 100, "the queries have waited for each other");
    database db(server.endpoint());
    run_at_once(loop, 1, [&] {
        // Itself, not an error of SQLite's.
        require(throws<std::domain_error>([&] { db.query("SELECT fetch(-1)"); }), "no exception");
    });
    run_task(loop, run_out_of_time(db));
    { // The task is destroyed with its loop while SQLite is in the middle of the statement.
        asio::io_context doomed;
        greenback::spawn(doomed, [&] { db.query("SELECT fetch(0)"); }, greenback::rethrow);
        while (fetching.now == 0)
            doomed.run_one();
    }
    require(fetching.now == 0 && !sqlite3_next_stmt(db.handle, nullptr), "the statement has not been unwound");
    run_at_once(loop, 1, [&] { require(db.query("SELECT fetch(5)") == 25, "the connection is of no use any more"); });
    std::puts("100 queries at once");
} catch (std::exception const& e) {
    std::fprintf(stderr, "sqlite: %s\n", e.what());
    return 1;
}
