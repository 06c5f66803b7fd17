// SPDX-License-Identifier: MIT
// What one of them costs when there are 1, 3, 10, … of them suspended, up to a million: portals beside coroutines and beside
// pages that are touched once. See support/suspended.hpp and support/taking_turns.hpp. Small numbers are measured several
// times, each time in new processes.
//
//     bench_many [<most>]

#include "support/taking_turns.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>
#include <system_error>

int main(int argc, char** argv) {
    using namespace bench::suspended;
    long most = 1'000'000;
    std::string_view const argument = argc > 1 ? argv[1] : "1000000";
    auto const [end, error] = std::from_chars(argument.data(), argument.data() + argument.size(), most);
    if (error != std::errc() || end != argument.data() + argument.size() || most <= 0 || argc > 2) {
        std::fprintf(stderr, "usage: %s [<most>]\n", argv[0]);
        return 2;
    }
    for (long power = 1; power <= most; power *= 10) {
        for (long const count : {power, 3 * power}) {
            for (long repetition = std::clamp(100'000 / count, 1L, 15L); repetition != 0 && count <= most;
                 --repetition) {
                std::printf("== %ld\n", count);
                std::fflush(stdout); // before there are processes that have it, too
                turns all(kinds, count);
                if (!all.perform_batches(step::make) || !all.perform(step::look) || !all.perform(step::end))
                    return 1;
            }
        }
    }
}
