// SPDX-License-Identifier: MIT
#include "soak/client.hpp"
#include "soak/counts.hpp"
#include "soak/dice.hpp"
#include "soak/kinds.hpp"
#include "soak/ledger.hpp"
#include "soak/server.hpp"

#include <coroutine>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace soak {
namespace {

using greenback::await_;

void wait_a_little() { greenback::sleep_for(std::chrono::milliseconds(below(4))); }

/// Any C++20 awaiter: its answer comes from another thread.
struct foreign {
    std::uint64_t number;
    bool await_ready() const noexcept { return one_in(8); }
    void await_suspend(std::coroutine_handle<> h) const {
        asio::post(elsewhere(), [h] { h.resume(); });
    }
    std::uint64_t await_resume() const noexcept { return number; }
};

void await_a_foreign_awaiter(std::uint64_t n) {
    if (await_(foreign{n}) != n)
        throw wrong_answer{"of a foreign awaiter"};
}

void compute_elsewhere(std::uint64_t n) {
    auto const text = greenback::on_executor(elsewhere(), [n] { return payload(n, 1000); });
    if (text != payload(n, 1000))
        throw wrong_answer{"of on_executor"};
}

// ---- exceptions -----------------------------------------------------------------------------------------------------

/// Synchronous code, portals and coroutines in turn; the exception comes from the bottom, and passes destructors that
/// await on its way.
asio::awaitable<void> layer(std::uint64_t n, unsigned depth);
void synchronous_layer(std::uint64_t n, unsigned depth) {
    struct goodbye {
        ~goodbye() {
            if (greenback::has_portal()) {
                try {
                    await_(asio::post(asio::use_awaitable));
                } catch (...) { // NOLINT(bugprone-empty-catch): cancelled, or destroyed
                }
            }
        }
    } const at_the_end;
    if (depth == 0)
        throw thrown_on_purpose{n};
    try {
        await_(layer(n, depth - 1));
    } catch (thrown_on_purpose const& e) {
        wait_a_little(); // in a catch block
        if (e.number != n)
            throw wrong_answer{"an exception is another one after an await"};
        throw;
    }
}
asio::awaitable<void> layer(std::uint64_t n, unsigned depth) {
    co_await asio::post(asio::use_awaitable);
    auto const f = [n, depth] { synchronous_layer(n, depth); };
    co_await in_some_portal(f);
}
void throw_through_layers(std::uint64_t n) {
    count("trouble: an exception through layers");
    synchronous_layer(n, 1 + below(4));
}

// ---- tasks that are destroyed while they wait -------------------------------------------------------------------------

/// On a loop of their own, which is destroyed when they have come to wait. Each must be unwound.
void abandon_tasks(std::uint64_t n) {
    std::size_t unwound = 0;
    std::size_t started = 0;
    auto const wait = [&] {
        struct note {
            std::size_t& n;
            ~note() { ++n; }
        } const at_the_end{unwound};
        ++started;
        if (one_in(2))
            greenback::sleep_for(std::chrono::hours(1));
        else
            await_(in_some_portal([] { greenback::sleep_for(std::chrono::hours(1)); }));
    };
    // A loop within a loop: off this portal's stack, where nothing can be taken for its code.
    greenback::on_task_stack([&] {
        asio::io_context loop(1);
        for (unsigned i = 1 + below(3); i != 0; --i)
            asio::co_spawn(loop, in_some_portal(wait), asio::detached);
        loop.run_for(std::chrono::milliseconds(1));
        count("trouble: tasks destroyed while they wait");
    });
    if (unwound != started)
        throw wrong_answer{"request " + std::to_string(n) + ": a destroyed task was not unwound"};
}

// ---- want of memory, of stacks, of descriptors ------------------------------------------------------------------------

/// Synchronous code with containers, among which the failure may come anywhere.
void want_memory(std::uint64_t n) {
    for (unsigned i = 0; i != 5; ++i) {
        std::map<std::string, std::string> m;
        {
            memory_window const window(100);
            for (std::uint64_t k = 0; k != 20; ++k)
                m[payload(n + k, 40)] = payload(n, 100);
        }
        wait_a_little();
        for (auto const& [key, value] : m)
            if (value != payload(n, 100))
                throw wrong_answer{"memory has changed during an await"};
    }
}

asio::awaitable<std::uint64_t> number(std::uint64_t n) { co_return n; }

/// Portals, coroutines and streams, whose making may fail: then they are not there, and nothing else has changed.
void want_memory_for_portals(std::uint64_t n) {
    for (unsigned i = 0; i != 5; ++i) {
        auto task = [n] {
            memory_window const window(4);
            return one_in(2) ? greenback::with_portal_run_sync([n] { return n; }) : number(n);
        }();
        if (await_(std::move(task)) != n)
            throw wrong_answer{"of a task that was made while memory was wanting"};
    }
}

void want_stacks(std::uint64_t n) {
    auto const f = [n] {
        wait_a_little();
        return n;
    };
    if (await_(greenback::with_portal_run_sync(std::allocator_arg, failing_stack(), f)) != n)
        throw wrong_answer{"of a portal on a stack of its own"};
    // A task of its own, so that the stack is really needed.
    std::vector<asio::awaitable<std::uint64_t>> tasks;
    for (unsigned i = 0; i != 4; ++i)
        tasks.push_back(greenback::with_portal_run_sync(std::allocator_arg, failing_stack(), f));
    for (auto const result : greenback::await_all(std::move(tasks)))
        if (result != n)
            throw wrong_answer{"of a portal on a stack of its own, among several"};
}

void want_descriptors(std::uint64_t) {
    descriptor_shortage const none;
    any_socket socket(await_(asio::this_coro::executor));
    socket.open(asio::ip::tcp::v4());
    throw wrong_answer{"a descriptor although there are none"};
}

// ---- children -------------------------------------------------------------------------------------------------------

/// A task of its own, that this one waits for; it ends in time, late, or by an exception.
void wait_for_a_child(std::uint64_t n) {
    auto const child = [n] {
        wait_a_little();
        if (one_in(8))
            throw thrown_on_purpose{n};
        return n;
    };
    if (await_(greenback::with_timeout(milliseconds_between(1, 8), child)) != n)
        throw wrong_answer{"of a child"};
}

} // namespace

void local_work(site& home) {
    static constexpr void (*ways[])(std::uint64_t) = {
        await_a_foreign_awaiter, compute_elsewhere, throw_through_layers, abandon_tasks,   want_memory,
        want_memory_for_portals, want_stacks,       wait_for_a_child,     want_descriptors};
    if (one_in(40)) { // an exception that leaves run()
        auto const thrower = [] {
            wait_a_little();
            throw thrown_on_purpose{0};
        };
        greenback::spawn(home.context(), thrower, greenback::rethrow);
        return;
    }
    auto const way = below(std::size(ways));
    ask(ways[way == std::size(ways) - 1 && !one_in(5) ? 0 : way]); // the last one concerns everybody: more seldom
}

} // namespace soak
