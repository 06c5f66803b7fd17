// SPDX-License-Identifier: MIT
#include "soak/client.hpp"
#include "soak/counts.hpp"
#include "soak/dice.hpp"
#include "soak/ledger.hpp"
#include "soak/site.hpp"

#include <optional>

namespace soak {
namespace {

constexpr std::size_t clients = 10;

void sleep_between(unsigned from, unsigned to) { std::this_thread::sleep_for(milliseconds_between(from, to)); }

/// All tasks end by themselves, or because they are asked to. A request as well, so that the watchdog sees if they don't.
void end_in_peace(site& s) {
    count("trouble: a loop ended in peace");
    ask([&](std::uint64_t) {
        s.end();
        s.close_servers();
        while (s.tasks() != 0) {
            s.cancel(1);
            sleep_between(5, 20);
        }
    });
}

void one_life(site_options const& options, std::atomic<bool> const& over) {
    std::optional<site> here;
    while (!here) {
        try {
            here.emplace(options);
        } catch (test::system_error const&) { // no descriptors for a moment
            count("trouble: a loop could not be made");
            sleep_between(1, 10);
        }
    }
    here->run();
    for (std::size_t i = 0; i != clients; ++i)
        here->start([&s = *here] { client(s); });
    for (unsigned rounds = 20 + below(60); rounds != 0 && !over; --rounds) {
        sleep_between(50, 150);
        if (one_in(10)) {
            count("trouble: a loop stopped and restarted");
            here->stop();
            sleep_between(0, 100);
            here->restart_and_run();
        }
        here->cancel(one_in(4) ? 8 : 1'000'000);
        if (one_in(5))
            here->start([&s = *here] { client(s); }); // in the place of those that were cancelled
    }
    if (over || one_in(2))
        end_in_peace(*here);
    else
        count("trouble: a loop destroyed with all its tasks");
}

} // namespace

void keep_site(site_options const& options, std::atomic<bool> const& over) {
    while (!over)
        one_life(options, over);
}

} // namespace soak
