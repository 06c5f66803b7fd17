// SPDX-License-Identifier: MIT
// A parser that recurses once for each level of nesting, in a portal with the stack of a portal.

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <iostream>
#include <string>
#include <string_view>

// How deep are the brackets nested?
int depth_of(std::string_view text, std::size_t& at) {
    char scratch[512]; // what a real parser has for each level
    scratch[0] = text[at];
    if (at == text.size() || scratch[0] != '[')
        return 0;
    return 1 + depth_of(text, ++at);
}

// [use]
int parse(std::string const& text) {
    std::size_t at = 0;
    if (text.size() < 100) // shallow: here
        return depth_of(text, at);
    return greenback::on_task_stack([&] { return depth_of(text, at); }); // where megabytes are
}
// [/use]

int main() {
    asio::io_context loop;
    int deep = 0;
    auto const task = [&] {
        std::string text;
        for (int arrived = 0; arrived != 4; ++arrived) { // in pieces, each of which is awaited
            asio::post(loop, greenback::use_portal);
            text += std::string(1000, '[');
        }
        deep = parse(text); // two megabytes of stack: four times what the portal has
    };
    greenback::spawn(loop, task, greenback::rethrow);
    loop.run();
    std::cout << deep << " levels\n";
    return deep == 4000 ? 0 : 1;
}
