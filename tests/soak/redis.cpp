// SPDX-License-Identifier: MIT
#include "soak/redis.hpp"

#include "soak/counts.hpp"
#include "soak/dice.hpp"
#include "soak/kinds.hpp"
#include "soak/ledger.hpp"

#include "blocking_libraries/servers.hpp"

#include <greenback/blocking_calls.hpp>

#include <array>
#include <list>
#include <memory>
#include <optional>
#include <thread>

#include <hiredis/hiredis.h>

namespace soak {
namespace {

using namespace std::chrono_literals;

template <auto Release> struct releases {
    template <class T> void operator()(T* handle) const noexcept { Release(handle); }
};
using connection = std::unique_ptr<redisContext, releases<redisFree>>;
using reply = std::unique_ptr<redisReply, releases<freeReplyObject>>;

std::filesystem::path socket_in(std::filesystem::path const& folder) { return folder / "redis.socket"; }

// ---- a client -------------------------------------------------------------------------------------------------------

/// What hiredis says when its server is killed, its connection lost, its own time over.
[[noreturn]] void fail(redisContext const& c) {
    std::string_view const text = c.errstr;
    if (c.err == REDIS_ERR_EOF)
        throw server_failed{"failed: hiredis: the server closed the connection"};
    if (c.err == REDIS_ERR_IO || c.err == REDIS_ERR_OTHER)
        for (auto const& [said, name] :
             {std::pair<std::string_view, std::string_view>{"Connection reset by peer",
                                                            "failed: hiredis: connection reset"},
              {"Broken pipe", "failed: hiredis: broken pipe"},
              {"Connection refused", "failed: hiredis: connection refused"},
              {"No such file or directory", "failed: hiredis: no such Unix socket"},
              {"Resource temporarily unavailable", "failed: hiredis: its own timeout"},
              {"Connection timed out", "failed: hiredis: its own timeout"},
              {"Cannot allocate memory", "failed: hiredis: the kernel has no memory (epoll)"},
              {"No space left on device", "failed: hiredis: no space (epoll)"}})
            if (text == said)
                throw server_failed{name};
    throw wrong_answer{"hiredis: error " + std::to_string(c.err) + ", " + c.errstr};
}

connection connect(std::filesystem::path const& folder) {
    auto c = greenback::blocking_call([&] { return connection(redisConnectUnix(socket_in(folder).c_str())); });
    if (!c)
        throw std::bad_alloc();
    if (c->err != 0)
        fail(*c);
    if (one_in(2))
        redisSetTimeout(c.get(), timeval{0, 20'000 + suseconds_t(below(400'000))});
    return c;
}

template <class... Arguments> reply command(connection const& c, char const* format, Arguments... arguments) {
    auto r = greenback::blocking_call(
        [&] { return reply(static_cast<redisReply*>(redisCommand(c.get(), format, arguments...))); });
    if (!r)
        fail(*c);
    if (r->type == REDIS_REPLY_ERROR)
        throw wrong_answer{std::string("redis: ") + r->str};
    return r;
}

std::string text_of(reply const& r) { return r->str ? std::string(r->str, r->len) : std::string(); }

void echo(connection const& c, std::uint64_t n) {
    auto const sent = std::to_string(n) + std::string(below(5000), 'x');
    if (text_of(command(c, "ECHO %s", sent.c_str())) != sent)
        throw wrong_answer{"of ECHO"};
}

void set_and_get(connection const& c, std::uint64_t n) {
    auto const value = std::to_string(n);
    command(c, "SET key%s %s EX 60", value.c_str(), value.c_str());
    auto const got = command(c, "GET key%s", value.c_str());
    if (got->type == REDIS_REPLY_STRING && text_of(got) != value)
        throw wrong_answer{"of GET"};
    if (got->type != REDIS_REPLY_STRING)
        throw wrong_answer{"of GET: nothing"};
}

void wait_in_vain(connection const& c, std::uint64_t) {
    if (command(c, "BLPOP none 0.%s", std::to_string(1 + below(3)).c_str())->type != REDIS_REPLY_NIL)
        throw wrong_answer{"of BLPOP"};
}

void pipeline(connection const& c, std::uint64_t n) {
    unsigned const count = 1 + below(20);
    for (unsigned i = 0; i != count; ++i)
        redisAppendCommand(c.get(), "ECHO %s", std::to_string(n + i).c_str());
    for (unsigned i = 0; i != count; ++i) {
        auto const r = greenback::blocking_call([&] {
            void* got = nullptr;
            return redisGetReply(c.get(), &got) == REDIS_OK ? reply(static_cast<redisReply*>(got)) : reply();
        });
        if (!r)
            fail(*c);
        if (text_of(r) != std::to_string(n + i))
            throw wrong_answer{"of a pipeline"};
    }
}

void sleep_as_a_library_does(connection const&, std::uint64_t) {
    greenback::blocking_call([] { std::this_thread::sleep_for(milliseconds_between(0, 3)); });
}

void client(std::filesystem::path const& folder) {
    for (;;) { // until cancelled, or destroyed
        connection c;
        bool usable = true;
        for (unsigned i = 1 + below(20); i != 0 && usable; --i) {
            static constexpr void (*ways[])(connection const&, std::uint64_t) = {
                echo, echo, echo, set_and_get, set_and_get, wait_in_vain, pipeline, sleep_as_a_library_does};
            usable = false; // after an error a connection can only be closed
            ask([&](std::uint64_t n) {
                if (!c)
                    c = connect(folder);
                ways[below(std::size(ways))](c, n);
                usable = true;
            });
            greenback::sleep_for(milliseconds_between(2, 40));
        }
    }
}

// ---- a loop with clients --------------------------------------------------------------------------------------------

struct task {
    asio::cancellation_signal signal;
    bool over = false;
};

/// Cancels one now and then, and starts another in its place.
void renew(asio::io_context& loop, std::list<task>& tasks, std::filesystem::path const& folder) {
    constexpr std::size_t clients = 12;
    tasks.remove_if([](task const& t) { return t.over; });
    for (task& t : tasks)
        if (!t.over && one_in(40)) {
            count("trouble: a cancellation by a signal");
            t.signal.emit(asio::cancellation_type::terminal);
        }
    while (tasks.size() < clients) {
        task& t = tasks.emplace_back();
        auto const over = [&t](std::exception_ptr const& error) {
            t.over = true;
            if (error && known_failure(error).empty())
                fault("a task has ended by " + describe(error));
        };
        asio::co_spawn(loop, in_some_portal([folder] { client(folder); }),
                       asio::bind_cancellation_slot(t.signal.slot(), over));
    }
}

} // namespace

void keep_redis_clients(std::filesystem::path const& folder, std::atomic<bool> const& over) {
    while (!over) {
        std::list<task> tasks; // outlive the loop
        asio::io_context loop(1);
        for (unsigned rounds = 20 + below(60); rounds != 0 && !over; --rounds) {
            renew(loop, tasks, folder);
            loop.run_for(milliseconds_between(50, 150));
            if (one_in(10)) {
                count("trouble: a loop stopped and restarted");
                asio::post(loop, [&] { loop.stop(); });
                loop.run();
                std::this_thread::sleep_for(milliseconds_between(0, 100));
                loop.restart();
            }
        }
        if (one_in(2)) {
            count("trouble: a loop ended in peace");
            ask([&](std::uint64_t) { // so that the watchdog sees if they don't end
                for (task& t : tasks)
                    if (!t.over)
                        t.signal.emit(asio::cancellation_type::terminal);
                loop.run();
            });
            for (task const& t : tasks)
                if (!t.over)
                    fault("a loop has no work left, and a task has not ended");
        } else {
            count("trouble: a loop destroyed with all its tasks");
        }
    }
}

// ---- the server -----------------------------------------------------------------------------------------------------

void keep_redis(std::string const& file, std::filesystem::path const& folder, std::atomic<bool> const& over) {
    while (!over) {
        std::filesystem::remove(socket_in(folder));
        test::child_process server({file, "--port", "0", "--unixsocket", socket_in(folder).string(), "--save", "",
                                    "--appendonly", "no", "--dir", folder.string()},
                                   folder, SIGKILL);
        for (auto left = 1000 + below(4000); left > 10 && !over; left -= 10)
            std::this_thread::sleep_for(10ms);
        if (server.has_ended())
            fault("redis-server ends by itself: see " + (folder / "log").string());
        count("trouble: the Redis server killed");
    }
}

} // namespace soak
