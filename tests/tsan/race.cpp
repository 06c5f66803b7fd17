// SPDX-License-Identifier: MIT
//
// A race between two portals, which ThreadSanitizer has to report with their names. They run one after the other, but
// only an atomic with relaxed order says so: hence it is reported each time.

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <atomic>
#include <thread>

namespace {

int shared = 0;
std::atomic<bool> first_is_over{false};

void first() {
    shared = 1;
    first_is_over.store(true, std::memory_order_relaxed);
}

void second() {
    greenback::label_portal("the portal that is late");
    while (!first_is_over.load(std::memory_order_relaxed))
        std::this_thread::yield();
    shared = 2;
}

} // namespace

int main() {
    asio::io_context here(1);
    asio::io_context there(1);
    greenback::spawn(here, [] { greenback::label_portal("one that was there before"); }, greenback::rethrow);
    here.run();
    here.restart();
    greenback::spawn(here, first, greenback::rethrow);
    greenback::spawn(there, second, greenback::rethrow);
    std::thread other([&] { there.run(); });
    here.run();
    other.join();
    return shared == 2 ? 0 : 1; // a variable that nobody reads would not be written, either
}
