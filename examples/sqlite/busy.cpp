// SPDX-License-Identifier: MIT
// Two connections to one file, on one thread: while one writes and waits, the other waits for the lock. SQLite's own
// way of waiting for it, sqlite3_busy_timeout, would block the thread, and with it the one that holds the lock.

#include "../support/run.hpp"

#include <greenback/c_callback.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sqlite3.h>
#include <string>
#include <unistd.h>

namespace {

using connection = std::unique_ptr<sqlite3, int (*)(sqlite3*)>;

connection open(std::string const& path) {
    sqlite3* handle = nullptr;
    int const flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    require(sqlite3_open_v2(path.c_str(), &handle, flags, nullptr) == SQLITE_OK, "cannot open the file");
    return connection(handle, sqlite3_close_v2);
}

void sleep(std::chrono::milliseconds time) {
    asio::steady_timer(greenback::await_(asio::this_coro::executor), time).async_wait(greenback::use_portal);
}

// [busy]
/// Awaits where the file is locked by another connection, a second at most.
void execute(sqlite3* db, char const* sql) {
    greenback::c_callback busy(
        [](int tries) {
            sleep(std::chrono::milliseconds(1)); // awaits
            return tries < 1000;                 // and try again
        },
        0);
    sqlite3_busy_handler(db, busy, &busy);
    int const status = sqlite3_exec(db, sql, nullptr, nullptr, nullptr);
    sqlite3_busy_handler(db, nullptr, nullptr);
    busy.rethrow();
    if (status != SQLITE_OK)
        throw std::runtime_error(sqlite3_errmsg(db));
}
// [/busy]

} // namespace

int main() try {
    std::string path = "/tmp/greenback-sqlite-XXXXXX";
    ::close(::mkstemp(path.data()));
    std::shared_ptr<void> const removed(nullptr, [&](void*) { std::remove(path.c_str()); });
    connection const a = open(path), b = open(path);

    std::string order;
    asio::io_context loop;
    greenback::spawn(
        loop,
        [&] {
            execute(a.get(), "CREATE TABLE t (x); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
            order += "locked ";
            sleep(std::chrono::milliseconds(30));
            order += "unlocked ";
            execute(a.get(), "COMMIT");
        },
        greenback::rethrow);
    greenback::spawn(
        loop,
        [&] {
            execute(b.get(), "INSERT INTO t VALUES (2)");
            order += "written";
        },
        greenback::rethrow);
    loop.run();
    require(order == "locked unlocked written", order.c_str());
    std::puts(order.c_str());
} catch (std::exception const& e) {
    std::fprintf(stderr, "sqlite_busy: %s\n", e.what());
    return 1;
}
