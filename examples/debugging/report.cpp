// SPDX-License-Identifier: MIT
// For docs/debugging.md: a task that computes where it should let others run. Perf, callgrind and gdb find it.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <cstdio>
#include <string>

std::string page(1'000, 'x');

[[gnu::noinline]] unsigned checksum(std::string const& text) {
    unsigned sum = 0;
    for (unsigned char c : text)
        sum = (sum ^ c) * 16777619U;
    return sum;
}

/// Much the same each time: it could have been kept.
[[gnu::noinline]] unsigned write_report(int pages) {
    unsigned sum = 0;
    for (int i = 0; i < pages; ++i)
        sum += checksum(page);
    return sum;
}

[[gnu::noinline]] unsigned answer(int pages) {
    greenback::await_(asio::post(asio::use_awaitable)); // stands for the question, which comes from a socket
    return write_report(pages) + 1;
}

int main(int argc, char**) {
    int const pages = argc == 1 ? 20'000 : 300'000;
    asio::io_context loop;
    greenback::spawn(
        loop, [=] { return answer(pages); },
        [](std::exception_ptr error, unsigned sum) {
            greenback::rethrow(error);
            std::printf("%u\n", sum);
        });
    loop.run();
}
