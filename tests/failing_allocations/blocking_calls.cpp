// SPDX-License-Identifier: MIT
//
// Blocking calls that await, where there is no memory: they fail with ENOMEM, as the kernel's own would.

#include "failing_allocations/harness.hpp"

#include <greenback/blocking_calls.hpp>

#include <array>
#include <cerrno>
#include <new>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace failing;
namespace gb = greenback;

namespace {

/// What a call has returned. @throws std::bad_alloc if it has failed for want of memory
long checked(long result) {
    if (result < 0 && errno == ENOMEM)
        throw std::bad_alloc();
    expect(result >= 0, "a call has failed, and not for want of memory");
    return result;
}

struct connected_pair {
    std::array<int, 2> ends{-1, -1};

    connected_pair() { checked(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data())); }
    connected_pair(connected_pair const&) = delete;
    ~connected_pair() {
        ::close(ends[0]);
        ::close(ends[1]);
    }
};

} // namespace

TEST_CASE("recv, send, poll and usleep", "[failing_allocations]") {
    check_program("blocking calls", [] {
        connected_pair pair;
        event_loop context;
        char got = 0;
        gb::spawn(
            context,
            [&] {
                pollfd p{pair.ends[0], POLLIN, 0};
                checked(::poll(&p, 1, -1));
                checked(::recv(pair.ends[0], &got, 1, 0));
                // The same descriptor, once more: what is known of it is kept.
                checked(::recv(pair.ends[0], &got, 1, 0));
            },
            gb::rethrow);
        gb::spawn(
            context,
            [&] {
                // Whatever becomes of this task, the other one is not to wait for ever.
                struct hang_up {
                    int end;
                    ~hang_up() { ::shutdown(end, SHUT_WR); }
                } const afterwards{pair.ends[1]};
                checked(::usleep(1000));
                checked(::send(pair.ends[1], "a", 1, 0));
                checked(::usleep(1000));
                checked(::send(pair.ends[1], "b", 1, 0));
            },
            gb::rethrow);
        drain(context);
        expect(got == 'b', "text");
    });
}

TEST_CASE("three tasks wait for the same event", "[failing_allocations]") {
    check_program("one event", [] {
        connected_pair pair;
        event_loop context;
        int seen = 0;
        for (int i = 0; i != 3; ++i)
            gb::spawn(
                context,
                [&] {
                    pollfd p{pair.ends[0], POLLIN, 0};
                    checked(::poll(&p, 1, -1));
                    ++seen;
                },
                gb::rethrow);
        asio::post(context, [&] { ::shutdown(pair.ends[1], SHUT_WR); });
        drain(context);
        expect(seen == 3, "not all tasks have seen it");
    });
}
