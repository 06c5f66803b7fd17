// SPDX-License-Identifier: MIT
//
// A place where tasks run: an event loop with one thread or several, a server, and clients. It is stopped and restarted,
// ended in peace, or destroyed with all that is pending, and made anew.
#pragma once

#include "support/asio.hpp"

#include <array>
#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace soak {

using any_socket = asio::generic::stream_protocol::socket; ///< TCP or Unix

/// Where the servers are: those of the sites that are there.
class addresses {
public:
    static constexpr std::size_t most = 4;
    void set(std::size_t site, asio::generic::stream_protocol::endpoint const& endpoint);
    /// Of a site drawn. @throws system_error, connection refused, if it has no server at the moment
    asio::generic::stream_protocol::endpoint some();
    void remove(std::size_t site);

private:
    std::mutex mutex_;
    std::array<std::vector<asio::generic::stream_protocol::endpoint>, most> all_;
};
inline addresses servers;

/// For what computes: on_executor, foreign awaiters.
asio::any_io_executor elsewhere();

struct site_options {
    std::size_t number;
    unsigned threads;
    std::string unix_path; ///< empty: none
};

class site {
public:
    explicit site(site_options const& options);
    site(site const&) = delete;
    /// Destroys what is pending.
    ~site();

    bool ending() const noexcept { return ending_.load(std::memory_order_relaxed); }
    /// Starts a task that is the synchronous function `f`, in a portal of some kind; on a strand of its own where there
    /// are several threads. A failure of `f` must be a known one.
    void start(std::function<void()> f);
    std::size_t tasks() const noexcept { return tasks_.load(); }
    asio::io_context& context() noexcept { return *context_; }

    void run();
    /// Has the loop stop, from outside or from inside, and waits for its threads.
    void stop();
    void restart_and_run();
    /// Requests the cancellation of one task of so many.
    void cancel(unsigned one_of);
    void end() noexcept { ending_ = true; }
    void close_servers();

private:
    struct task {
        asio::any_io_executor executor;
        asio::cancellation_signal signal;
        std::atomic<bool> over{false};
    };
    void listen();
    template <class Acceptor> void serve(std::shared_ptr<Acceptor> acceptor);
    asio::any_io_executor new_executor();

    site_options options_;
    std::mutex mutex_; // of what follows
    std::list<std::shared_ptr<task>> started_;
    std::atomic<bool> ending_{false};
    std::atomic<std::size_t> tasks_{0};
    std::unique_ptr<asio::io_context> context_;
    std::shared_ptr<asio::ip::tcp::acceptor> tcp_;
    std::shared_ptr<asio::local::stream_protocol::acceptor> local_;
    std::vector<std::thread> threads_;
};

/// The life of a place, again and again until `over`.
void keep_site(site_options const& options, std::atomic<bool> const& over);

} // namespace soak
