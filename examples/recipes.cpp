// SPDX-License-Identifier: MIT
// The programs of docs/recipes.md, in one. Not meant to be read in one go.

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>

#include <greenback/greenback.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace {

using asio::ip::tcp;
using namespace std::chrono_literals;

void require(bool condition, char const* text) {
    if (!condition)
        throw std::runtime_error(text);
}

/// Synchronous code that somebody has written; at its bottom it waits.
int look_up(int key, std::chrono::milliseconds time) {
    greenback::sleep_for(time);
    return key * 10;
}

// ---- A timeout ---------------------------------------------------------------------------------------------

asio::awaitable<int> ask(int key, std::chrono::milliseconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
    co_return key * 10;
}

// [timeout]
int look_up_or_default(int key, std::chrono::milliseconds time) {
    try {
        return greenback::await_for(5ms, ask(key, time));
    } catch (greenback::system_error const& e) {
        if (e.code() != asio::error::timed_out)
            throw;
        return -1; // the time was over; what `ask` waited for was cancelled, and has ended
    }
}
// [/timeout]

asio::awaitable<int> outside() {
    // [timeout_outside]
    int const found = co_await greenback::with_timeout(10s, [] { return look_up(1, 1ms); });
    // [/timeout_outside]
    co_return found;
}

// ---- Several things at once --------------------------------------------------------------------------------

// [all]
std::vector<int> look_up_all(std::vector<int> const& keys) {
    std::vector<asio::awaitable<int>> lookups;
    for (int const key : keys)
        lookups.push_back(greenback::with_portal_run_sync(look_up, key, 1ms)); // a child needs a portal of its own
    return greenback::await_all(std::move(lookups));
}
// [/all]

// [both]
int look_up_both() {
    using namespace asio::experimental::awaitable_operators;
    auto const [one, two] = greenback::await_(greenback::with_portal_run_sync(look_up, 1, 1ms) &&
                                              greenback::with_portal_run_sync(look_up, 2, 1ms));
    return one + two;
}
// [/both]

// ---- Cancelling --------------------------------------------------------------------------------------------

// [cancel]
bool cancel_after(asio::io_context& loop, asio::cancellation_signal& stop) {
    bool stopped = false;
    auto const task = [&] {
        try {
            look_up(1, 1h);
        } catch (greenback::system_error const& e) {
            stopped = e.code() == asio::error::operation_aborted;
        }
    };
    greenback::spawn(loop, task, asio::bind_cancellation_slot(stop.slot(), greenback::rethrow));
    asio::post(loop, [&] { stop.emit(asio::cancellation_type::terminal); });
    loop.run();
    return stopped;
}
// [/cancel]

// ---- A C library that calls back ---------------------------------------------------------------------------

extern "C" int for_each_key(int (*visit)(void* user, int key), void* user) {
    for (int key = 1; key <= 3; ++key)
        if (int const error = visit(user, key))
            return error;
    return 0;
}

// [callback]
int sum_of_all() {
    int sum = 0;
    greenback::c_callback visit(
        [&](int key) {
            sum += look_up(key, 1ms); // awaits
            return 0;
        },
        -1); // what C is told if this throws
    int const error = for_each_key(visit, &visit);
    visit.rethrow(); // the exception, if there was one: it has not passed through C
    require(error == 0, "for_each_key");
    return sum;
}
// [/callback]

// ---- A virtual interface -----------------------------------------------------------------------------------

// [interface]
struct storage { // theirs, and so is what uses it
    virtual ~storage() = default;
    virtual std::string read(std::string const& name) = 0;
};

class remote_storage : public storage { // yours
public:
    explicit remote_storage(tcp::socket& socket) : socket_(socket) {}
    std::string read(std::string const& name) override {
        asio::write(socket_, asio::buffer(name + '\n')); // the synchronous algorithms of Asio
        std::string line;
        std::size_t const n = asio::read_until(socket_, asio::dynamic_buffer(line), '\n');
        return line.substr(0, n - 1);
    }

private:
    greenback::sync_stream<tcp::socket&> socket_;
};
// [/interface]

// ---- An iostream -------------------------------------------------------------------------------------------

// [iostream]
void serve(tcp::socket socket) {
    greenback::basic_iostream io(std::move(socket));
    for (std::string line; std::getline(io.in(), line);)
        io.out() << "<" << line << ">\n"; // sent before the next line is waited for
}
// [/iostream]

bool ask_the_server(asio::io_context& loop) {
    tcp::acceptor acceptor(loop, {asio::ip::address_v4::loopback(), 0});
    std::string answers;
    greenback::spawn(loop, [&] { serve(acceptor.async_accept(greenback::use_portal)); }, greenback::rethrow);
    auto const client = [&] {
        tcp::socket socket(loop);
        socket.async_connect(acceptor.local_endpoint(), greenback::use_portal);
        remote_storage remote(socket);
        storage& interface = remote;
        answers = interface.read("one");
        answers += interface.read("two");
    };
    greenback::spawn(loop, client, greenback::rethrow);
    loop.run();
    loop.restart();
    return answers == "<one><two>";
}

// ---- Blocking code that can't be changed -------------------------------------------------------------------

int hash_slowly(std::string const& text) { // computes, or blocks in a system call; knows nothing of Asio
    std::this_thread::sleep_for(1ms);
    return static_cast<int>(std::hash<std::string>()(text) % 1000);
}

// [blocking]
int hash_of(std::string const& text, asio::thread_pool& pool) {
    return greenback::on_executor(pool.get_executor(), [&] { return hash_slowly(text); });
}
// [/blocking]

} // namespace

int main() {
    asio::io_context loop;
    asio::thread_pool pool(1);
    int done = 0;
    auto const task = [&] {
        require(look_up_or_default(1, 1ms) >= -1, "timeout"); // a busy machine may be late
        require(look_up_or_default(1, 1h) == -1, "timeout");
        require(greenback::await_(outside()) == 10, "timeout outside");
        require(look_up_all({1, 2, 3}) == std::vector{10, 20, 30}, "all");
        require(look_up_both() == 30, "both");
        require(sum_of_all() == 60, "callback");
        require(hash_of("text", pool) == hash_slowly("text"), "blocking");
        ++done;
    };
    greenback::spawn(loop, task, greenback::rethrow);
    loop.run();
    loop.restart();
    asio::cancellation_signal stop;
    done += cancel_after(loop, stop);
    loop.restart();
    done += ask_the_server(loop);
    return done == 3 ? 0 : 1;
}
