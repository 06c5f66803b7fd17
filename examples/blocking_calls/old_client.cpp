// SPDX-License-Identifier: MIT
// A client that was written for threads, with sockets of its own: it connects, asks and waits by libc's blocking calls.
// It is not changed. On portals it awaits; and a task that is cancelled learns it from blocking_call.

#include <greenback/blocking_calls.hpp>

#include "../support/line_server.hpp"
#include "../support/run.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <string>

namespace {

// [client]
/// As a library has it: nothing of it knows of Asio.
class old_client {
public:
    explicit old_client(unsigned short port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in server{};
        server.sin_family = AF_INET;
        server.sin_port = htons(port);
        server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = ::connect(fd_, reinterpret_cast<sockaddr const*>(&server), sizeof server) == 0;
    }
    ~old_client() { ::close(fd_); }
    old_client(old_client const&) = delete;

    /// @returns the answer without its line feed; nothing if there was none
    std::string ask(std::string line) {
        line += '\n';
        if (!connected_ || ::send(fd_, line.data(), line.size(), MSG_NOSIGNAL) < 0)
            return "";
        std::string answer;
        char c = 0;
        while (::recv(fd_, &c, 1, 0) == 1 && c != '\n')
            answer += c;
        return c == '\n' ? answer : "";
    }

private:
    int fd_;
    bool connected_;
};
// [/client]

// [plain]
/// On a portal. A task that is cancelled gets the client's own failure: here, no answer.
std::string ask_plainly(unsigned short port, std::string const& question) {
    old_client client(port);     // connect may await
    return client.ask(question); // send and recv may, too
}
// [/plain]

// [blocking_call]
/// The same, and a task that is cancelled gets operation_aborted; one that is destroyed, abandoned.
std::string ask_old_client(unsigned short port, std::string const& question) {
    return greenback::blocking_call([&] {
        old_client client(port);
        return client.ask(question);
    }); // throws here, when `client` has been destroyed
}
// [/blocking_call]

bool timed_out(asio::io_context& loop, unsigned short port) {
    bool late = false;
    // [timeout]
    auto const ask = [port] { return ask_old_client(port, "without an answer"); };
    auto const task = [&]() -> asio::awaitable<void> {
        try {
            co_await greenback::with_timeout(std::chrono::milliseconds(50), ask);
        } catch (greenback::system_error const& e) {
            late = e.code() == asio::error::timed_out;
        }
    };
    // [/timeout]
    run_task(loop, task());
    return late;
}

/// Is the client's socket closed when a loop goes in which a task waits?
bool abandoned(unsigned short port) {
    bool unwound = false;
    {
        asio::io_context gone;
        auto const task = [&] {
            try {
                ask_old_client(port, "without an answer");
            } catch (greenback::abandoned const&) {
                unwound = true;
                throw;
            }
        };
        greenback::spawn(gone, task, greenback::rethrow);
        gone.poll(); // until it waits
    }
    return unwound;
}

} // namespace

int main() {
    constexpr int at_once = 100;
    asio::io_context loop;
    line_server const server(loop, at_once, [](std::string const& question) {
        return question == "without an answer" ? "" : "answer to " + question;
    });
    unsigned short const port = server.endpoint().port();

    int started = 0;
    run_at_once(loop, at_once, [&] { // no answer before the hundredth has asked
        auto const ask = ++started % 2 ? ask_plainly : ask_old_client;
        require(ask(port, "one") == "answer to one", "another answer");
    });
    std::cout << greenback::blocking_calls_awaited() << " calls awaited\n";
    require(greenback::blocking_calls_awaited() >= at_once, "nothing was awaited");
    require(timed_out(loop, port), "no timeout");
    require(abandoned(port), "not abandoned");
}
