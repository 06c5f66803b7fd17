// SPDX-License-Identifier: MIT
//
// The program of both consumer projects: one task that waits twice from a synchronous function.

#include <greenback/greenback.hpp>

#ifdef GREENBACK_USE_BOOST_ASIO
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
namespace asio = boost::asio;
#else
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#endif

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

// Not assert: this program is built in release configurations too.
void require(bool condition, char const* what) {
    if (!condition) {
        std::fprintf(stderr, "failed: %s\n", what);
        std::exit(1);
    }
}

int wait_twice(asio::any_io_executor executor) {
    require(greenback::has_portal(), "has_portal() in a portal");
    asio::steady_timer timer{executor, std::chrono::milliseconds{1}};
    timer.async_wait(greenback::use_portal);
    timer.expires_after(std::chrono::milliseconds{1});
    greenback::await_(timer.async_wait(asio::use_awaitable));
    return 2;
}

asio::awaitable<void> task(int& waits) {
    waits = co_await greenback::with_portal_run_sync(wait_twice, co_await asio::this_coro::executor);
}

} // namespace

int main() {
    require(!greenback::has_portal(), "no portal in main()");
    int waits = 0;
    asio::io_context context;
    asio::co_spawn(context, task(waits), greenback::rethrow);
    context.run();
    require(waits == 2, "the task has run to its end");
    std::puts("ok");
}
