// SPDX-License-Identifier: MIT
// A session checks a password, which takes a processor long on purpose. Meanwhile the event loop serves the others.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <cstdint>
#include <iostream>
#include <string>

namespace {

// Stands for argon2, bcrypt …: slow, and knows nothing of Asio.
std::uint64_t slow_hash(std::string const& text) {
    std::uint64_t hash = 14695981039346656037U;
    for (int round = 0; round != 100000; ++round)
        for (char const c : text)
            hash = (hash ^ static_cast<std::uint64_t>(c)) * 1099511628211U;
    return hash;
}

// [on_executor]
bool log_in(asio::thread_pool& pool, std::string const& password, std::uint64_t expected) {
    // Nothing is copied: when on_executor is left, the function has ended, or it will never begin.
    std::uint64_t const hash = greenback::on_executor(pool, [&] { return slow_hash(password); });
    return hash == expected;
}
// [/on_executor]

} // namespace

int main() {
    std::uint64_t const expected = slow_hash("secret");
    asio::thread_pool pool(2); // for what would hold the loop up
    asio::io_context loop;
    int accepted = 0, refused = 0;
    for (char const* password : {"secret", "guess", "secret"})
        greenback::spawn(
            loop, [&, password] { ++(log_in(pool, password, expected) ? accepted : refused); }, greenback::rethrow);
    loop.run();
    std::cout << accepted << " accepted, " << refused << " refused" << std::endl;
    return accepted == 2 && refused == 1 ? 0 : 1;
}
