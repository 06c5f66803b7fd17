// SPDX-License-Identifier: MIT
// For docs/debugging.md: a task that computes where it should let others run. Perf, callgrind and gdb find it.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <cstdio>
#include <string>

unsigned volatile sum = 0; // volatile: or the compiler would compute the same once

[[gnu::noinline]] void add_checksum(std::string const& text) {
    for (char c : text)
        sum = (sum ^ static_cast<unsigned char>(c)) * 16777619U;
}

/// Much the same each time: it could have been kept.
[[gnu::noinline]] void write_report(int pages) {
    std::string const page(1'000, 'x');
    for (int i = 0; i < pages; ++i)
        add_checksum(page);
}

[[gnu::noinline]] void answer(int pages) {
    greenback::await_(asio::post(asio::use_awaitable)); // stands for the question, which comes from a socket
    write_report(pages);
    std::printf("%x\n", sum);
}

int main(int argc, char** argv) {
    int const pages = argc == 2 ? std::stoi(argv[1]) : 1'000;
    asio::io_context loop;
    greenback::spawn(loop, [=] { answer(pages); }, greenback::rethrow);
    loop.run();
}
