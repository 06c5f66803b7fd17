// SPDX-License-Identifier: MIT
// A generator of somebody else's, Boost.Coroutine2, whose body waits: it asks a server page by page for what a plain
// loop goes through. 20 such loops at once on one thread.

#include "../support/line_server.hpp"
#include "../support/run.hpp"

#include <boost/coroutine2/coroutine.hpp>
#include <boost/coroutine2/protected_fixedsize_stack.hpp>

#include <cstdio>
#include <sstream>

namespace {

counter asking; ///< generators between asking for a page and the last number of it

// [generator]
using numbers = boost::coroutines2::coroutine<int>;

/// What the server has, page by page: a page is asked for when the loop has come to its end.
numbers::pull_type all_numbers(asio::ip::tcp::endpoint server) {
    boost::coroutines2::protected_fixedsize_stack stack(256 * 1024); // await_ runs on it
    return numbers::pull_type(stack, [server](numbers::push_type& yield) {
        for (int page = 1;; ++page) {
            inside const counted(asking);
            std::string const answer = ask(server, std::to_string(page)); // awaits, on the generator's stack
            if (answer == "end")
                return;
            if (answer == "broken")
                throw std::domain_error(answer);
            std::istringstream text(answer);
            for (int n; text >> n;)
                yield(n);
        }
    });
}

/// Synchronous: called on a portal.
int sum(asio::ip::tcp::endpoint server) {
    int result = 0;
    for (int n : all_numbers(server))
        result += n;
    return result;
}
// [/generator]

/// Synchronous: waits itself while the generator waits for being asked for the next number.
void look_at_each(asio::ip::tcp::endpoint server, bool& looking) {
    for (int n : all_numbers(server)) {
        looking = n > 1;
        auto const executor = greenback::await_(asio::this_coro::executor);
        asio::steady_timer(executor, std::chrono::milliseconds(n)).async_wait(greenback::use_portal);
    }
}

std::string page(std::string const& number) { return number == "1" ? "1 2 3" : number == "2" ? "4 3600000" : "end"; }
std::string broken(std::string const& number) { return number == "1" ? "1 2 3" : "broken"; }
std::string silent(std::string const&) { return ""; } // no answer

/// Destroys a loop, and with it the task that runs `f`, once `waits`.
void destroy_task(asio::io_context& loop, std::function<void()> const& f, std::function<bool()> const& waits) {
    {
        asio::io_context doomed;
        greenback::spawn(doomed, f, greenback::rethrow);
        for (loop.restart(); !waits(); loop.poll())
            doomed.poll();
    }
    require(asking.now == 0 && greenback::stats().live == 0, "the generator has not been unwound");
}

} // namespace

int main() try {
    asio::io_context loop;
    line_server server(loop, 20, page), breaks(loop, 1, broken), waits(loop, 1, silent);
    run_at_once(loop, 20, [&] { require(sum(server.endpoint()) == 3600010, "wrong sum"); });
    require(asking.most == 20, "the loops have waited for each other");

    run_at_once(loop, 1, [&] { // an exception in the generator arrives in the loop
        require(throws<std::domain_error>([&] { sum(breaks.endpoint()); }), "no exception");
    });
    run_at_once(loop, 1, [&] { // left early: Boost unwinds the generator
        for (int n : all_numbers(server.endpoint()))
            if (n == 2)
                break;
        require(asking.now == 0, "the generator has not been unwound");
    });
    // The generator waits; then the loop that uses it does, for an hour.
    destroy_task(loop, [&] { sum(waits.endpoint()); }, [&] { return asking.now == 1; });
    bool looking = false;
    destroy_task(loop, [&] { look_at_each(server.endpoint(), looking); }, [&] { return looking; });
    std::puts("20 generators at once");
} catch (std::exception const& e) {
    std::fprintf(stderr, "generator: %s\n", e.what());
    return 1;
}
