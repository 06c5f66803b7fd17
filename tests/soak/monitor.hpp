// SPDX-License-Identifier: MIT
//
// A sample a second: memory, descriptors, portals, the ledger. And a verdict at the end.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace soak {

/// Of this process.
struct process_state {
    double resident_mib = 0;
    std::size_t descriptors = 0;
    std::size_t threads = 0;
};
/// @returns what could be had; a moment without descriptors gives none
bool read_process_state(process_state& state);

class monitor {
public:
    /// @param csv "" for none
    explicit monitor(std::string const& csv);
    monitor(monitor const&) = delete;
    ~monitor();

    /// Ends the sampling.
    void end();
    /// Have memory and descriptors stayed flat? Says so, or ends the program. @param judged false: it only says
    void judge(bool judged) const;

private:
    struct sample {
        double resident_mib;
        double descriptors;
    };
    void take();
    void loop();

    std::ofstream csv_;
    std::vector<sample> samples_;
    std::atomic<bool> over_{false};
    std::thread thread_;
    std::uint64_t seconds_ = 0;
};

/// Waits until no portal is live, no thread but `threads` and no descriptor but `descriptors` is left; ends the program if
/// that does not come about.
void expect_nothing_left(process_state const& before);

} // namespace soak
