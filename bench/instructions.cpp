// SPDX-License-Identifier: MIT
// Runs one operation a given number of times, for bench/instructions.sh to count the instructions of.
//
//     bench_instructions                      the names of the operations
//     bench_instructions --configuration      what the counts depend on
//     bench_instructions <operation> <times>

#if defined(GREENBACK_BENCH_COUNT_HELPERS)
#include "support/helper_operations.hpp"
#include "support/stream_operations.hpp"
#else
#include "support/operations.hpp"
#endif

#include <boost/version.hpp>
#include <gnu/libc-version.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

class times {
public:
    explicit times(long n) : n_(n) {}

    struct pass {};
    struct sentinel {};
    struct iterator {
        long left;
        pass operator*() const { return {}; }
        iterator& operator++() {
            --left;
            return *this;
        }
        bool operator!=(sentinel) const { return left != 0; }
    };
    iterator begin() const { return {n_}; }
    sentinel end() const { return {}; }

private:
    long n_;
};

struct operation {
    std::string_view name;
    void (*run)(times&);
};

#define ROW(name) {#name, &bench::name<times>},
constexpr operation operations[] = {
#if defined(GREENBACK_BENCH_COUNT_HELPERS)
    GREENBACK_BENCH_HELPERS(ROW) GREENBACK_BENCH_STREAMS(ROW)
#elif defined(GREENBACK_BENCH_COUNT_ON_BOOST_ASIO)
    GREENBACK_BENCH_ON_BOOST_ASIO(ROW)
#elif defined(GREENBACK_BENCH_BESIDE_SPAWN)
    GREENBACK_BENCH_SPAWN(ROW)
#else
    GREENBACK_BENCH_AWAIT(ROW)
#endif
};

void print_configuration() {
#if defined(GREENBACK_USE_BOOST_ASIO)
    char const* const asio_name = "Boost.Asio";
    int const asio_version = BOOST_ASIO_VERSION;
#else
    char const* const asio_name = "Asio";
    int const asio_version = ASIO_VERSION;
#endif
#if defined(__clang__)
    char const* const compiler = "clang " __clang_version__;
#else
    char const* const compiler = "g++ " __VERSION__;
#endif
    std::printf("%s, %s, %s %d.%d.%d, Boost %d.%d, glibc %s\n", compiler, GREENBACK_BENCH_FLAGS, asio_name,
                asio_version / 100000, asio_version / 100 % 1000, asio_version % 100, BOOST_VERSION / 100000,
                BOOST_VERSION / 100 % 1000, gnu_get_libc_version());
}

} // namespace

int main(int argc, char** argv) {
    std::string_view const what = argc > 1 ? argv[1] : "";
    if (what == "--configuration") {
        print_configuration();
        return 0;
    }
    if (what.empty()) {
        for (operation const& o : operations)
            std::printf("%.*s\n", int(o.name.size()), o.name.data());
        return 0;
    }
    long const n = argc > 2 ? std::atol(argv[2]) : 0;
    for (operation const& o : operations) {
        if (o.name == what && n > 0) {
            times loop(n);
            o.run(loop);
            return 0;
        }
    }
    std::fprintf(stderr, "usage: %s [<operation> <times> | --configuration]\n", argv[0]);
    return 2;
}
