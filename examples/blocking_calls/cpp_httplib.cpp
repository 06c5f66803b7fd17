// SPDX-License-Identifier: MIT
// cpp-httplib's client as it is: 100 requests at once on one thread. The server beside them, on the same thread,
// answers none of them before all 100 have come.

#include "../support/run.hpp"
#include "page_server.hpp"

#include <httplib.h>
#include <iostream>
#include <string>

namespace {

constexpr int at_once = 100;

// [httplib]
/// Ordinary code with cpp-httplib. Get returns when the answer is there.
std::string get(int port, std::string const& path) {
    httplib::Client client("127.0.0.1", port);
    client.set_read_timeout(30);
    httplib::Result const result = client.Get(path);
    if (!result)
        throw std::runtime_error(httplib::to_string(result.error()));
    return result->body;
}
// [/httplib]

} // namespace

int main() try {
    asio::io_context loop;
    page_server pages(loop, at_once);

    int started = 0, right = 0;
    run_at_once(loop, at_once, [&] {
        std::string const path = "/" + std::to_string(++started);
        require(get(pages.port(), path) == "This is " + path, "not the page that was asked for");
        ++right;
    });
    std::cout << right << " requests at once on one thread\n";
    require(right == at_once, "not all requests are answered");
} catch (std::exception const& e) {
    std::cerr << "cpp_httplib: " << e.what() << '\n';
    return 1;
}
