// SPDX-License-Identifier: MIT
//
// The soak: every kind of use under load and under trouble, for a long time. docs/soak.md says what it does.

#include "soak/faults.hpp"
#include "soak/options.hpp"
#include "soak/site.hpp"

#include "blocking_libraries/servers.hpp" // the temporary folder

#include <greenback/greenback.hpp>

#include <memory>
#include <thread>
#include <vector>

namespace soak {
namespace {

std::unique_ptr<asio::thread_pool> pool;

void run(options const& o) {
    test::temporary_folder const folder;
    std::atomic<bool> over{false};
    pool = std::make_unique<asio::thread_pool>(1);
    monitor samples(o.csv);
    make_failures(true);
    {
        std::vector<site_options> const sites = {
            {0, 3, ""}, {1, 1, ""}, {2, 1, (folder.path() / "socket").string()}, {3, 2, ""}};
        std::vector<std::thread> keepers;
        keepers.reserve(sites.size());
        for (auto const& options : sites)
            keepers.emplace_back([&] { keep_site(options, over); });
        std::this_thread::sleep_for(o.duration);
        over = true;
        for (auto& t : keepers)
            t.join();
    }
    make_failures(false);
    pool->join();
    samples.end();
    samples.judge(memory_is_judged(o));
    pool.reset();
}

} // namespace

asio::any_io_executor elsewhere() { return pool->get_executor(); }

} // namespace soak

int main(int argc, char** argv) {
    using namespace soak;
    auto const o = read_options(argc, argv);
    greenback::set_log_handler([](char const*) noexcept { count("trouble: the library logged a shortage"); });
    greenback::report_stack_overflow();
    std::cout << "soak: " << o.duration.count() << " s, seed " << seed << std::endl;
    process_state before;
    read_process_state(before);
    run(o);
    expect_nothing_left(before);
    report();
    std::cout << "soak: nothing lost, nothing left" << std::endl;
}
