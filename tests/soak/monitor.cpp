// SPDX-License-Identifier: MIT
#include "soak/monitor.hpp"

#include "soak/counts.hpp"
#include "soak/ledger.hpp"

#include "support/sanitizers.hpp"

#include <greenback/diagnostics.hpp>
#include <greenback/dump_portals.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string_view>

#include <unistd.h>

namespace soak {
namespace {

/// No request may be older, in the ledger's ticks.
constexpr std::uint64_t oldest_allowed = 60;
/// What may be between the medians of the first third and of the last, whichever is more.
constexpr double growth_allowed = 0.10;
constexpr double mib_allowed = 8;
constexpr double descriptors_allowed = 16;

template <class F> double median_of(std::size_t from, std::size_t to, F const& value) {
    std::vector<double> values;
    for (std::size_t i = from; i != to; ++i)
        values.push_back(value(i));
    auto const middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

std::size_t entries(char const* folder) {
    std::error_code none;
    std::filesystem::directory_iterator i(folder, none);
    if (none)
        return 0;
    return static_cast<std::size_t>(std::distance(i, std::filesystem::directory_iterator()));
}

} // namespace

bool read_process_state(process_state& state) {
    auto const descriptors = entries("/proc/self/fd");
    auto const threads = entries("/proc/self/task");
    std::ifstream file("/proc/self/statm");
    std::size_t total = 0;
    std::size_t resident = 0;
    if (descriptors == 0 || threads == 0 || !(file >> total >> resident))
        return false;
    state.resident_mib = static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1024 * 1024);
    state.descriptors = descriptors - 1; // that of the folder itself
    state.threads = threads;
    return true;
}

monitor::monitor(std::string const& csv) {
    if (!csv.empty()) {
        csv_.open(csv);
        if (!csv_)
            fault("cannot write " + csv);
        csv_ << "second,resident_mib,descriptors,threads,live,suspended,stacks_cached,issued,answered,failed,open\n";
    }
    thread_ = std::thread([this] { loop(); });
}

monitor::~monitor() { end(); }

void monitor::end() {
    over_ = true;
    if (thread_.joinable())
        thread_.join();
}

void monitor::loop() {
    using namespace std::chrono_literals;
    auto next = std::chrono::steady_clock::now();
    while (!over_) {
        // If this thread is late all others may have been: no more than a second passes for the ledger.
        next = std::max(next + 1s, std::chrono::steady_clock::now());
        while (!over_ && std::chrono::steady_clock::now() < next)
            std::this_thread::sleep_for(50ms);
        if (over_)
            return;
        tick();
        take();
    }
}

void monitor::take() {
    ++seconds_;
    process_state state;
    for (int i = 0; !read_process_state(state); ++i) { // a moment without descriptors
        if (i == 10'000)
            fault("/proc/self cannot be read");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    auto const portals = greenback::stats();
    auto const requests = balance_so_far();
    samples_.push_back({state.resident_mib, static_cast<double>(state.descriptors)});
    if (csv_.is_open())
        csv_ << seconds_ << ',' << state.resident_mib << ',' << state.descriptors << ',' << state.threads << ','
             << portals.live << ',' << portals.suspended << ',' << portals.stacks_cached << ',' << requests.issued
             << ',' << requests.answered << ',' << requests.failed << ',' << requests.open << std::endl;
    if (seconds_ % 60 == 0)
        std::cout << "    " << seconds_ / 60 << " min: " << requests.issued << " requests, " << state.resident_mib
                  << " MiB resident, " << state.descriptors << " descriptors, " << portals.live << " portals"
                  << std::endl;
    if (oldest_age() > oldest_allowed) {
        greenback::dump_portals(std::cerr);
        fault("a request has neither been answered nor failed for a minute");
    }
}

void monitor::judge(bool judged) const {
    std::size_t const warm = samples_.size() / 10;
    std::size_t const third = (samples_.size() - warm) / 3;
    if (third < 3) {
        std::cout << "Too short to compare memory.\n";
        return;
    }
    auto const compare = [&](char const* what, char const* unit, double least, auto const& value) {
        double const first = median_of(warm, warm + third, value);
        double const last = median_of(samples_.size() - third, samples_.size(), value);
        bool const flat = last - first <= std::max(first * growth_allowed, least);
        std::ostringstream line;
        line.precision(3);
        line << what << ", median of the first third and of the last: " << first << unit << ", " << last << unit;
        std::cout << line.str() << (flat ? "" : judged ? "" : " (not judged)") << '\n';
        if (!flat && judged)
            fault(line.str() + ": it grows");
    };
    compare("Resident memory", " MiB", mib_allowed, [&](std::size_t i) { return samples_[i].resident_mib; });
    compare("Open descriptors", "", descriptors_allowed, [&](std::size_t i) { return samples_[i].descriptors; });
}

void expect_nothing_left(process_state const& before) {
    process_state now;
    for (int i = 0; i != 6000; ++i) { // a thread that was joined is in /proc a moment longer
        auto const portals = greenback::stats();
        if (read_process_state(now) && portals.live == 0 && portals.suspended == 0 &&
            now.descriptors <= before.descriptors && now.threads <= before.threads)
            return;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    greenback::dump_portals(std::cerr);
    fault("left at the end: " + std::to_string(greenback::stats().live) + " portals, " +
          std::to_string(now.descriptors) + " descriptors (at first " + std::to_string(before.descriptors) + "), " +
          std::to_string(now.threads) + " threads (at first " + std::to_string(before.threads) + ")");
}

} // namespace soak
