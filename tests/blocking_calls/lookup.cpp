// SPDX-License-Identifier: MIT
//
// getaddrinfo.
#include "blocking_calls/support.hpp"
#include "support/catch.hpp"

#include <string>
#include <thread>

#include <netdb.h>
#include <netinet/in.h>

using namespace test;

namespace {

/// The port of what is found, or getaddrinfo's error as a negative number.
int port_of(char const* host, char const* service, int flags = 0) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* found = nullptr;
    if (int const error = ::getaddrinfo(host, service, &hints, &found))
        return error < 0 ? error : -error;
    auto const* const address = reinterpret_cast<sockaddr_in const*>(found->ai_addr); // the same place in IPv6's
    int const port = ntohs(address->sin_port);
    ::freeaddrinfo(found);
    return port;
}

} // namespace

TEST_CASE("getaddrinfo of a name waits for a thread that looks it up") {
    awaits_since const awaits;
    bool other_has_run = false;
    together([&] { CHECK(port_of("localhost", "4321") == 4321); }, [&] { other_has_run = true; });
    CHECK(other_has_run);
    CHECK(awaits.count() == 1);
}

TEST_CASE("getaddrinfo of a number does not wait") {
    awaits_since const awaits;
    together([] {
        CHECK(port_of("127.0.0.1", "4321") == 4321);
        CHECK(port_of("::1", "4321") == 4321);
        CHECK(port_of(nullptr, "4321", AI_PASSIVE) == 4321);
        CHECK(port_of("localhost", "4321", AI_NUMERICHOST) == EAI_NONAME);
    });
    CHECK(awaits.count() == 0);
}

TEST_CASE("getaddrinfo without hints or service") {
    together([] {
        addrinfo* found = nullptr;
        CHECK(::getaddrinfo("localhost", nullptr, nullptr, &found) == 0);
        CHECK(found != nullptr);
        if (found)
            ::freeaddrinfo(found);
    });
}

TEST_CASE("getaddrinfo's errors are those of the plain call") {
    int off_portal = 0, on = 0;
    off_portal = port_of("localhost", "no such service");
    CHECK(off_portal < 0);
    together([&] { on = port_of("localhost", "no such service"); });
    CHECK(on == off_portal);
}

TEST_CASE("many names at once") {
    asio::io_context context(1);
    int found = 0;
    for (int i = 0; i != 100; ++i)
        spawn(context, on_portal([&, i] { found += port_of("localhost", std::to_string(i + 1).c_str()) == i + 1; }));
    run_all(context);
    CHECK(found == 100);
}

TEST_CASE("a lookup whose context is gone ends unseen") {
    for (int i = 0; i != 20; ++i) {
        asio::io_context context(1);
        for (int j = 0; j != 8; ++j)
            spawn(context, on_portal([&] { port_of("localhost", "80"); }));
        poll_all(context); // and away
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}
