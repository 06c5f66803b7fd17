// SPDX-License-Identifier: MIT
//
// What the two programs of the soak are told, and how they end.
#pragma once

#include "soak/counts.hpp"
#include "soak/dice.hpp"
#include "soak/ledger.hpp"
#include "soak/monitor.hpp"

#include "support/sanitizers.hpp"

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <string_view>

namespace soak {

struct options {
    std::chrono::seconds duration{300};
    std::string csv;
};

/// `--seconds <n> --seed <n> --csv <file>`; sets the seed.
inline options read_options(int argc, char** argv) {
    options o;
    seed = std::random_device()();
    for (int i = 1; i + 1 < argc; i += 2) {
        std::string_view const name = argv[i];
        if (name == "--seconds")
            o.duration = std::chrono::seconds(std::strtoul(argv[i + 1], nullptr, 10));
        else if (name == "--seed")
            seed = std::strtoull(argv[i + 1], nullptr, 10);
        else if (name == "--csv")
            o.csv = argv[i + 1];
    }
    if (argc % 2 == 0 || o.duration.count() == 0) {
        std::cerr << "usage: " << argv[0] << " [--seconds <n>] [--seed <n>] [--csv <file>]\n";
        std::exit(2);
    }
    return o;
}

/// A sanitizer keeps memory back, and a short run has not become warm: neither is judged for growth.
inline bool memory_is_judged(options const& o) { return !test::sanitized && o.duration >= std::chrono::seconds(120); }

/// The balance of the ledger; ends the program where it is none.
inline void report() {
    auto const b = balance_so_far();
    std::cout << "Requests: " << b.issued << " = " << b.answered << " answered rightly + " << b.failed
              << " failed by a known error + " << b.issued - b.answered - b.failed << " lost\n";
    write_counts(std::cout, "failed");
    std::cout << "Troubles:\n";
    write_counts(std::cout, "trouble");
    std::cout << "Failures injected:\n";
    write_counts(std::cout, "injected");
    std::cout << "Uses:\n";
    write_counts(std::cout, "kind");
    if (b.open != 0 || b.issued != b.answered + b.failed)
        fault("a request was lost");
    if (b.answered < b.issued / 4)
        fault("hardly any request is answered: the troubles are too many for this to show anything");
}

} // namespace soak
