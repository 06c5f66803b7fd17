// SPDX-License-Identifier: MIT
// await_, use_portal and has_portal, as docs/reference/ quotes them. Fails if a result is wrong.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <chrono>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using asio::local::stream_protocol;

void require(bool condition, char const* text) {
    if (!condition)
        throw std::runtime_error(text);
}

// ---- await_ --------------------------------------------------------------------------------------------------------

// A coroutine, which was there before.
asio::awaitable<int> price_of(std::string item) {
    asio::steady_timer shop(co_await asio::this_coro::executor, 1ms);
    co_await shop.async_wait(asio::use_awaitable);
    if (item.empty())
        throw std::invalid_argument("nothing has no price");
    co_return static_cast<int>(item.size());
}

// [await]
int total(std::vector<std::string> const& basket) {
    int sum = 0;
    for (std::string const& item : basket)
        sum += greenback::await_(price_of(item)); // co_await price_of(item), in a function that is no coroutine
    return sum;
}
// [/await]

// [await_throws]
bool is_sold(std::string const& item) {
    try {
        greenback::await_(price_of(item));
        return true;
    } catch (std::invalid_argument const&) { // thrown in the coroutine
        return false;
    }
}
// [/await_throws]

// ---- use_portal ----------------------------------------------------------------------------------------------------

// [use_portal]
std::string read_line(stream_protocol::socket& socket, std::string& buffer) {
    std::size_t const n = asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n', greenback::use_portal);
    std::string line = buffer.substr(0, n - 1);
    buffer.erase(0, n);
    return line;
}
// [/use_portal]

std::string read_rest(stream_protocol::socket& socket, std::string buffer) {
    // [adapted]
    greenback::error_code error;
    asio::async_read(socket, asio::dynamic_buffer(buffer), asio::redirect_error(greenback::use_portal, error));
    if (error != asio::error::eof) // the end is what is waited for, and no exception
        throw greenback::system_error(error);
    // [/adapted]
    return buffer;
}

// [default]
using blocking_socket = greenback::use_portal_t::as_default_on_t<stream_protocol::socket>;

void greet(blocking_socket& socket) {
    asio::async_write(socket, asio::buffer("hello\n"sv)); // no token: use_portal
    asio::async_write(socket, asio::buffer("bye"sv));
}
// [/default]

void talk(stream_protocol::socket& here, blocking_socket& there) {
    greet(there);
    there.close();
    std::string buffer;
    require(read_line(here, buffer) == "hello", "read_line");
    require(read_rest(here, buffer) == "bye", "read_rest");
}

// ---- has_portal ----------------------------------------------------------------------------------------------------

// [has_portal]
/// For a library that is used in tasks, and by a command line tool that has none.
void pause_between_attempts() {
    if (greenback::has_portal())
        greenback::sleep_for(1ms); // other tasks run meanwhile
    else
        std::this_thread::sleep_for(1ms);
}
// [/has_portal]

void shop() {
    require(total({"tea", "milk"}) == 7, "total");
    require(is_sold("tea") && !is_sold(""), "is_sold");
    require(greenback::has_portal(), "has_portal");
    pause_between_attempts();
    bool in_a_handler = true;
    auto const executor = greenback::await_(asio::this_coro::executor);
    asio::post(executor, [&] { in_a_handler = greenback::has_portal(); });
    greenback::sleep_for(0ms); // one turn of the loop: the handler has run
    require(!in_a_handler, "has_portal in a completion handler");
}

} // namespace

int main() try {
    asio::io_context loop;
    int tasks = 0;
    greenback::spawn(loop, [&] { shop(), ++tasks; }, greenback::rethrow);
    stream_protocol::socket here(loop);
    blocking_socket there(loop);
    asio::local::connect_pair(here, there);
    greenback::spawn(loop, [&] { talk(here, there), ++tasks; }, greenback::rethrow);
    loop.run();
    require(!greenback::has_portal(), "has_portal in main");
    pause_between_attempts();
    require(tasks == 2, "not everything has run");
} catch (std::exception const& e) {
    std::fprintf(stderr, "awaiting: %s\n", e.what());
    return 1;
}
