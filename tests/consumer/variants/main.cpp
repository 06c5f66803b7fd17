// SPDX-License-Identifier: MIT
//
// Portals of each part run functions of each part: they wait, throw, are destroyed while they wait, change threads.
#include "part.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

namespace {

// Not assert: this program is built in release configurations too.
void require(bool condition, char const* what) {
    if (!condition) {
        std::fprintf(stderr, "failed: %s\n", what);
        std::exit(1);
    }
}

using portal = asio::awaitable<int> (*)(function);

int run(portal in, function f) {
    asio::io_context context;
    std::exception_ptr error;
    int result = 0;
    asio::co_spawn(context, in(std::move(f)), [&](std::exception_ptr e, int r) {
        error = e;
        result = r;
    });
    context.run();
    if (error)
        std::rethrow_exception(error);
    return result;
}

void check_exception(portal in, function f) {
    try {
        run(in, std::move(f));
    } catch (problem const& caught) {
        require(caught.what() == std::string("thrown after an await"), "the exception is the one thrown");
        return;
    }
    require(false, "an exception is thrown");
}

void check_destruction(portal in, int (*wait_for_ever)(asio::any_io_executor, int&)) {
    int unwound = 0;
    {
        asio::io_context context;
        asio::co_spawn(context, in([&](asio::any_io_executor e) { return wait_for_ever(e, unwound); }), asio::detached);
        context.poll();
        require(unwound == 0, "it waits");
    }
    require(unwound == 2, "abandoned was caught, and the destructor ran");
}

void check_threads(portal in, int (*move_about)(asio::any_io_executor, int)) {
    constexpr int tasks = 16, times = 200;
    std::atomic<int> done{0}, failed{0};
    asio::thread_pool pool(4);
    for (int i = 0; i != tasks; ++i)
        asio::co_spawn(pool, in([=](asio::any_io_executor e) { return move_about(e, times); }),
                       [&](std::exception_ptr error, int n) { error ? ++failed : done += n; });
    pool.join();
    require(failed == 0 && done == tasks * times, "every task has gone its way from thread to thread");
}

} // namespace

#ifndef MAIN
#define MAIN main
#endif
SHOWN int MAIN() {
    require(!greenback::has_portal(), "no portal in main()");
    for (portal const in : {first::in_portal, first::in_portal_of_task, second::in_portal, second::in_portal_of_task}) {
        require(run(in, first::wait) == 2 && run(in, second::wait) == 2, "both parts wait");
        require(run(in, [&](asio::any_io_executor e) { return first::wait(e) + second::wait(e); }) == 4, "by turns");
        check_exception(in, first::fail);
        check_exception(in, second::fail);
        check_destruction(in, first::wait_for_ever);
        check_destruction(in, second::wait_for_ever);
        check_threads(in, first::move_about);
        check_threads(in, second::move_about);
    }
    bool refused = false;
    try {
        asio::io_context context;
        second::wait(context.get_executor());
    } catch (std::logic_error const&) {
        refused = true;
    }
    require(refused, "no portal outside of a task");
    std::puts("ok");
    return 0;
}
