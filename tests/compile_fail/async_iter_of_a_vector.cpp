// error: greenback::async_iter takes a function that returns an awaitable of std::optional<T>, a channel
// SPDX-License-Identifier: MIT

#include <greenback/async_iter.hpp>

#include <vector>

int main() {
    std::vector<int> numbers;
    for (int i : greenback::async_iter(numbers))
        (void)i;
}
