// SPDX-License-Identifier: MIT
// A C parser calls back for every word. The callback awaits, and may fail.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <iostream>
#include <stdexcept>
#include <string>

// The C library: gives each word to the callback, and stops when that returns something other than 0.
extern "C" int c_words(char const* text, int (*callback)(char const* word, std::size_t size, void* user), void* user) {
    for (char const* end = text; *text != 0; text = *end == ' ' ? end + 1 : end) {
        for (end = text; *end != 0 && *end != ' ';)
            ++end;
        if (int const answer = callback(text, static_cast<std::size_t>(end - text), user))
            return answer;
    }
    return 0;
}

namespace {

// [exception_trap]
struct upload {
    asio::steady_timer pace;
    std::string sent;
    greenback::exception_trap trap;

    void send(std::string const& word) {
        if (word == "bad")
            throw std::invalid_argument("a bad word");
        pace.expires_after(std::chrono::milliseconds(1));
        pace.async_wait(greenback::use_portal); // stands for a write to a socket
        sent += word + "; ";
    }
};

extern "C" int send_word(char const* word, std::size_t size, void* user) {
    auto& self = *static_cast<upload*>(user);
    return self.trap.run([&] { return self.send(std::string(word, size)), 0; }, -1); // nothing leaves this function
}

std::string send_words(char const* text) {
    upload u{asio::steady_timer(greenback::await_(asio::this_coro::executor)), {}, {}};
    c_words(text, send_word, &u);
    u.trap.rethrow(); // right behind the C call: an invalid_argument, a cancellation, or that the task is abandoned
    return u.sent;
}
// [/exception_trap]

} // namespace

int main() {
    std::string sent, error;
    asio::io_context loop;
    auto const task = [&] {
        sent = send_words("one two three");
        try {
            send_words("one bad three");
        } catch (std::invalid_argument const& e) {
            error = e.what();
        }
    };
    greenback::spawn(loop, task, greenback::rethrow);
    loop.run();
    std::cout << sent << error << std::endl;
    return sent == "one; two; three; " && error == "a bad word" ? 0 : 1;
}
