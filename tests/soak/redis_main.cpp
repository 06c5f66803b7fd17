// SPDX-License-Identifier: MIT
//
// The soak of blocking calls that await: a program of its own, since linking greenback::blocking_calls changes what such a
// call means in all of it.

#include "soak/faults.hpp"
#include "soak/options.hpp"
#include "soak/redis.hpp"

#include "blocking_libraries/servers.hpp"

#include <greenback/blocking_calls.hpp>

#include <csignal>
#include <thread>

namespace {

void run(soak::options const& o, std::string const& file) {
    test::temporary_folder const folder;
    std::atomic<bool> over{false};
    std::atomic<bool> server_over{false};
    soak::monitor samples(o.csv);
    soak::make_failures(true);
    // The clients end first: the last of them need nobody to answer, but its death would be one more failure.
    std::thread server([&] { soak::keep_redis(file, folder.path(), server_over); });
    std::thread clients([&] { soak::keep_redis_clients(folder.path(), over); });
    std::thread more_clients([&] { soak::keep_redis_clients(folder.path(), over); });
    std::this_thread::sleep_for(o.duration);
    over = true;
    clients.join();
    more_clients.join();
    server_over = true;
    server.join();
    soak::make_failures(false);
    samples.end();
    samples.judge(soak::memory_is_judged(o));
}

} // namespace

int main(int argc, char** argv) {
    using namespace soak;
    auto const o = read_options(argc, argv);
    auto const file = test::program("redis-server");
    if (file.empty()) {
        std::cout << "skipped: no redis-server here (on Debian: redis-server)\n";
        return 0;
    }
    greenback::set_log_handler([](char const*) noexcept { count("trouble: the library logged a shortage"); });
    std::signal(SIGPIPE, SIG_IGN); // hiredis writes to a server that may be gone
    std::cout << "soak of blocking calls: " << o.duration.count() << " s, seed " << seed << std::endl;
    process_state before;
    read_process_state(before);
    run(o, file);
    expect_nothing_left(before);
    report();
    std::cout << "    waits of blocking calls: " << greenback::blocking_calls_awaited() << '\n';
    if (greenback::blocking_calls_awaited() == 0)
        fault("no blocking call has awaited");
    std::cout << "soak of blocking calls: nothing lost, nothing left" << std::endl;
}
