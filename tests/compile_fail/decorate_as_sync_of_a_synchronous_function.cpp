// error: greenback::await_ takes what co_await takes
// SPDX-License-Identifier: MIT

#include <greenback/decorate_as_sync.hpp>

int main() {
    auto const plain = greenback::decorate_as_sync([](auto f) { return [f] { return f(); }; })([] { return 1; });
    plain();
}
