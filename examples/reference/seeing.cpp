// SPDX-License-Identifier: MIT
// Seeing the portals of a process, as docs/reference/ quotes it. Fails if something else is seen.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <chrono>
#include <cstdio>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>

#include <csignal>

namespace {

using namespace std::chrono_literals;

void require(bool condition, char const* text) {
    if (!condition)
        throw std::runtime_error(text);
}

void wait_for_mail() { greenback::sleep_for(1h); }

// [label]
void mail_session() {
    greenback::label_portal("mail session"); // for whoever looks at it from outside
    wait_for_mail();
}
// [/label]

// [dump]
/// For an administrator's page, say.
std::string what_waits() {
    std::ostringstream text;
    greenback::dump_portals(text);
    return text.str();
}
// [/dump]

// [for_each]
std::map<std::string, int> waiting_by_name() {
    std::map<std::string, int> result;
    auto const visit = [](greenback::portal_info const& p, void* argument) {
        if (p.state == greenback::portal_state::suspended)
            ++(*static_cast<std::map<std::string, int>*>(argument))[p.label ? p.label : "no name"];
    };
    greenback::for_each_portal(visit, &result);
    return result;
}
// [/for_each]

// [stats]
/// At the end of a test.
bool nothing_is_left() { return greenback::stats().live == 0; }
// [/stats]

} // namespace

int main() try {
    // [dump_on]
    greenback::dump_portals_on(SIGUSR1); // kill -USR1: all portals, on stderr
    // [/dump_on]
    {
        asio::io_context loop;
        greenback::spawn(loop, mail_session, greenback::rethrow);
        greenback::spawn(loop, mail_session, greenback::rethrow);
        greenback::spawn(loop, wait_for_mail, greenback::rethrow);
        loop.poll();
        require(waiting_by_name() == std::map<std::string, int>{{"mail session", 2}, {"no name", 1}},
                "for_each_portal");
        require(what_waits().find("\"mail session\": suspended") != std::string::npos, "dump_portals");
        greenback::portal_stats const now = greenback::stats();
        require(now.live == 3 && now.suspended == 3, "stats");
    }
    require(nothing_is_left(), "a portal lives");
} catch (std::exception const& e) {
    std::fprintf(stderr, "seeing: %s\n", e.what());
    return 1;
}
