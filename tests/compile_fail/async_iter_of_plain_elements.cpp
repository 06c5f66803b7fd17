// error: greenback::async_iter takes a function that returns an awaitable of std::optional<T>, a channel
// SPDX-License-Identifier: MIT

#include <greenback/async_iter.hpp>

using namespace greenback;

asio::awaitable<int> without_an_end();

int main() {
    for (int i : async_iter(without_an_end))
        (void)i;
}
