// SPDX-License-Identifier: MIT
//
// Compiled with -D_FORTIFY_SOURCE=2, which makes of calls with buffers of a known size others, such as __read_chk.
#include "blocking_calls/support.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"

#include <poll.h>

using namespace test;

namespace {

/// A number that the compiler does not know.
std::size_t opaque(std::size_t n) {
    asm volatile("" : "+r"(n));
    return n;
}

} // namespace

TEST_CASE("fortified calls await") {
    socket_pair s;
    awaits_since const awaits;
    together(
        [&] {
            char data[4];
            CHECK(::read(s.a, data, opaque(4)) == 1);
            CHECK(::recv(s.a, data, opaque(4), 0) == 1);
            CHECK(::recvfrom(s.a, data, opaque(4), 0, nullptr, nullptr) == 1);
            pollfd p[2] = {{s.a, POLLIN, 0}, {-1, 0, 0}};
            CHECK(::poll(p, opaque(2), -1) == 1);
            CHECK(::recv(s.a, data, opaque(4), 0) == 1);
            timespec const t{1000, 0};
            CHECK(::ppoll(p, opaque(1), &t, nullptr) == 1);
        },
        [&] {
            for (int i = 0; i != 5; ++i) {
                CHECK(::usleep(1000) == 0);
                CHECK(::write(s.b, "x", 1) == 1);
            }
        });
    CHECK(awaits.count() > 5); // the writer's five, and some of the reader's
}

TEST_CASE("an overflow ends a fortified program as ever") {
    int const call = GENERATE(range(0, 5));
    CAPTURE(call);
    outcome const child = in_child([=] {
        together([=] {
            socket_pair s;
            char data[4];
            pollfd p[2] = {};
            timespec const none{};
            ssize_t n = 0;
            switch (call) {
            case 0: n = ::read(s.a, data, opaque(5)); break;
            case 1: n = ::recv(s.a, data, opaque(5), 0); break;
            case 2: n = ::recvfrom(s.a, data, opaque(5), 0, nullptr, nullptr); break;
            case 3: n = ::poll(p, opaque(3), 0); break;
            case 4: n = ::ppoll(p, opaque(3), &none, nullptr); break;
            }
            (void)n;
        });
        return 1;
    });
    CHECK(child.died_of(SIGABRT));
    CHECK_THAT(child.said, has_text("buffer overflow detected"));
}
