// SPDX-License-Identifier: MIT
//
// connect and accept.
#include "blocking_calls/support.hpp"
#include "support/catch.hpp"

#include <cstring>
#include <string>

#include <netinet/in.h>
#include <poll.h>
#include <sys/un.h>

using namespace test;

namespace {

struct tcp_socket {
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tcp_socket() = default;
    tcp_socket(tcp_socket const&) = delete;
    ~tcp_socket() { ::close(fd); }
};

/// On a port of the loopback interface that the system chooses.
struct tcp_listener : tcp_socket {
    sockaddr_in at{};

    explicit tcp_listener(int backlog = 16) {
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        if (::bind(fd, address(), size) != 0 || ::listen(fd, backlog) != 0 || ::getsockname(fd, address(), &size) != 0)
            throw std::runtime_error("listen");
    }
    sockaddr* address() { return reinterpret_cast<sockaddr*>(&at); }
    int connect(int from) { return ::connect(from, address(), sizeof at); }
};

} // namespace

TEST_CASE("accept waits for a connection; none of the descriptors is O_NONBLOCK afterwards") {
    bool const accept4 = GENERATE(false, true);
    tcp_listener listener;
    awaits_since const awaits;
    std::string order;
    together(
        [&] {
            sockaddr_in from{};
            socklen_t size = sizeof from;
            auto* const a = reinterpret_cast<sockaddr*>(&from);
            int const fd = accept4 ? ::accept4(listener.fd, a, &size, SOCK_CLOEXEC) : ::accept(listener.fd, a, &size);
            order += 'a';
            CHECK(fd >= 0);
            CHECK(from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
            CHECK(!is_nonblocking(fd));
            CHECK(((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0) == accept4);
            ::close(fd);
        },
        [&] {
            order += 'c';
            tcp_socket s;
            CHECK(listener.connect(s.fd) == 0);
            CHECK(!is_nonblocking(s.fd));
            CHECK(!is_nonblocking(listener.fd));
            char c;
            CHECK(::read(s.fd, &c, 1) == 0); // until the other side is closed
        });
    CHECK(order == "ca");
    CHECK(awaits.count() > 0);
}

TEST_CASE("accept4's flags are honoured") {
    tcp_listener listener;
    together(
        [&] {
            int const fd = ::accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK);
            CHECK(is_nonblocking(fd));
            ::close(fd);
        },
        [&] {
            tcp_socket s;
            CHECK(listener.connect(s.fd) == 0);
        });
}

TEST_CASE("two portals accept from one listener") {
    tcp_listener listener;
    int accepted = 0;
    auto const acceptor = [&] {
        int const fd = ::accept(listener.fd, nullptr, nullptr);
        CHECK(fd >= 0);
        ++accepted;
        ::close(fd);
    };
    together(acceptor, acceptor, [&] {
        for (int i = 0; i != 2; ++i) {
            tcp_socket s;
            CHECK(listener.connect(s.fd) == 0);
            CHECK(::usleep(1000) == 0);
        }
    });
    CHECK(accepted == 2);
}

TEST_CASE("a listener that is O_NONBLOCK is not waited for") {
    tcp_listener listener;
    REQUIRE(::fcntl(listener.fd, F_SETFL, O_NONBLOCK) == 0);
    together([&] {
        CHECK(failed_with(::accept(listener.fd, nullptr, nullptr), EAGAIN));
        CHECK(is_nonblocking(listener.fd));
        tcp_socket s;
        CHECK(::fcntl(s.fd, F_SETFL, O_NONBLOCK) == 0);
        CHECK(failed_with(listener.connect(s.fd), EINPROGRESS));
        CHECK(is_nonblocking(s.fd));
    });
}

TEST_CASE("SO_RCVTIMEO ends accept's wait") {
    tcp_listener listener;
    set_timeout(listener.fd, SO_RCVTIMEO, 20);
    together([&] {
        CHECK(failed_with(::accept(listener.fd, nullptr, nullptr), EAGAIN));
        CHECK(failed_with(::accept4(listener.fd, nullptr, nullptr, 0), EAGAIN));
    });
}

TEST_CASE("a connection that is refused") {
    sockaddr_in nobody{};
    {
        tcp_listener listener;
        nobody = listener.at;
    }
    together([&] {
        tcp_socket s;
        CHECK(failed_with(::connect(s.fd, reinterpret_cast<sockaddr*>(&nobody), sizeof nobody), ECONNREFUSED));
        CHECK(!is_nonblocking(s.fd));
    });
}

TEST_CASE("SO_SNDTIMEO ends connect's wait") {
    tcp_listener listener(0);
    // Connections that nobody accepts, until no more fit into the queue: then the system does not answer.
    together([&] {
        tcp_socket full[8];
        int in_progress = 0;
        for (tcp_socket& s : full) {
            set_timeout(s.fd, SO_SNDTIMEO, 100);
            in_progress += failed_with(listener.connect(s.fd), EINPROGRESS);
            CHECK(!is_nonblocking(s.fd));
        }
        CHECK(in_progress > 0);
    });
}

TEST_CASE("a Unix socket whose queue is full is waited for") {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    int const listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto* const address = reinterpret_cast<sockaddr*>(&at);
    REQUIRE(::bind(listener, address, sizeof(sa_family_t)) == 0); // a name in the abstract namespace
    socklen_t size = sizeof at;
    REQUIRE(::getsockname(listener, address, &size) == 0);
    REQUIRE(::listen(listener, 0) == 0);
    int connected = 0;
    auto const client = [&] {
        int const fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(::connect(fd, address, size) == 0);
        CHECK(!is_nonblocking(fd));
        ++connected;
        ::close(fd);
    };
    together(client, client, client, client, [&] {
        CHECK(connected < 4);
        int const late = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        set_timeout(late, SO_SNDTIMEO, 20);
        CHECK(failed_with(::connect(late, address, size), EAGAIN));
        ::close(late);
        for (int i = 0; i != 4; ++i) {
            int const fd = ::accept(listener, nullptr, nullptr);
            CHECK(fd >= 0);
            ::close(fd);
        }
    });
    CHECK(connected == 4);
    ::close(listener);
}

TEST_CASE("a connection that is given up while it is being made fails") {
    tcp_listener listener(0);
    tcp_socket full[4], s; // then the system does not answer
    for (tcp_socket const& f : full) {
        ::fcntl(f.fd, F_SETFL, O_NONBLOCK);
        listener.connect(f.fd);
    }
    together([&] { CHECK(failed_with(listener.connect(s.fd), ECONNRESET)); },
             [&] {
                 ::usleep(20'000);
                 ::shutdown(s.fd, SHUT_RDWR);
             });
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    CHECK(failed_with(::getpeername(s.fd, reinterpret_cast<sockaddr*>(&peer), &size), ENOTCONN));
}

TEST_CASE("connections that are wrong fail as ever") {
    tcp_listener listener;
    together([&] {
        tcp_socket s;
        CHECK(listener.connect(s.fd) == 0);
        CHECK(failed_with(listener.connect(s.fd), EISCONN));
        CHECK(failed_with(listener.connect(-1), EBADF));
        pipe_ends p;
        CHECK(failed_with(listener.connect(p.a), ENOTSOCK));
        CHECK(failed_with(::accept(p.a, nullptr, nullptr), ENOTSOCK));
        CHECK(failed_with(::accept(-1, nullptr, nullptr), EBADF));
        CHECK(failed_with(::accept(s.fd, nullptr, nullptr), EINVAL)); // does not listen
    });
}

TEST_CASE("connect of a datagram socket") {
    awaits_since const awaits;
    together([&] {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to.sin_port = htons(9);
        int const fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
        ::close(fd);
    });
    CHECK(awaits.count() == 0);
}

TEST_CASE("many clients of one server, all on one thread") {
    constexpr int clients = 50;
    tcp_listener listener(clients);
    asio::io_context context(1);
    int answered = 0;
    spawn(context, on_portal([&] {
              for (int i = 0; i != clients; ++i) {
                  int const fd = ::accept(listener.fd, nullptr, nullptr);
                  spawn(context, on_portal([fd] {
                            char c;
                            while (::read(fd, &c, 1) == 1 && ::write(fd, &c, 1) == 1) {
                            }
                            ::close(fd);
                        }));
              }
          }));
    for (int i = 0; i != clients; ++i) {
        spawn(context, on_portal([&, i] {
                  tcp_socket s;
                  if (listener.connect(s.fd) != 0)
                      throw std::runtime_error("connect");
                  for (int turn = 0; turn != 10; ++turn) {
                      char const sent = static_cast<char>(i + turn);
                      char got = 0;
                      if (::write(s.fd, &sent, 1) != 1 || ::read(s.fd, &got, 1) != 1 || got != sent)
                          throw std::runtime_error("a wrong answer");
                  }
                  ++answered;
              }));
    }
    run_all(context);
    CHECK(answered == clients);
}
