// SPDX-License-Identifier: MIT
// Many suspended portals: the memory that they hold, all included, the time to make them, to resume and end them, to make
// them once more, and to destroy them. Beside them coroutines, and pages alone: see support/suspended.hpp.
//
//     bench_memory [<count>] [portals|coroutines|pages]...
//
// What is named alone runs alone; otherwise they take turns: see support/taking_turns.hpp.

#include "support/taking_turns.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

int main(int argc, char** argv) {
    using namespace bench::suspended;
    long count = 1'000'000;
    std::vector<char const*> chosen;
    for (std::string_view argument : std::span(argv + 1, argv + argc)) {
        auto const kind = std::find(kinds.begin(), kinds.end(), argument);
        if (kind != kinds.end())
            chosen.push_back(*kind);
        else if (std::from_chars(argument.data(), argument.data() + argument.size(), count).ec != std::errc() ||
                 count <= 0) {
            std::fprintf(stderr, "usage: %s [<count>] [portals|coroutines|pages]...\n", argv[0]);
            return 2;
        }
    }
    if (chosen.empty())
        chosen.assign(kinds.begin(), kinds.end());

    turns all(chosen, count);
    bool const done = all.perform_batches(step::make) && all.perform(step::look) && all.perform(step::end) &&
                      all.perform_batches(step::make_again) && all.perform(step::destroy);
    return done ? 0 : 1;
}
