// SPDX-License-Identifier: MIT
#include "soak/site.hpp"

#include "soak/counts.hpp"
#include "soak/dice.hpp"
#include "soak/kinds.hpp"
#include "soak/ledger.hpp"
#include "soak/server.hpp"

#include <exception>
#include <utility>

#include <unistd.h>

namespace soak {

// ---- where the servers are ------------------------------------------------------------------------------------------

void addresses::set(std::size_t site, asio::generic::stream_protocol::endpoint const& endpoint) {
    std::scoped_lock const lock(mutex_);
    all_[site].push_back(endpoint);
}

asio::generic::stream_protocol::endpoint addresses::some() {
    std::scoped_lock const lock(mutex_);
    auto const& of_site = all_[below(most)];
    if (of_site.empty())
        throw test::system_error(asio::error::connection_refused);
    return of_site[below(static_cast<unsigned>(of_site.size()))];
}

void addresses::remove(std::size_t site) {
    std::scoped_lock const lock(mutex_);
    all_[site].clear();
}

// ---- a site ---------------------------------------------------------------------------------------------------------

site::site(site_options const& options)
    : options_(options), context_(std::make_unique<asio::io_context>(static_cast<int>(options.threads))) {
    listen();
}

site::~site() {
    servers.remove(options_.number);
    stop();
    tasks_are_being_destroyed const destroying;
    context_->stop();
    tcp_.reset();
    local_.reset();
    // A strand must not outlive its context.
    for (auto const& t : started_)
        t->executor = asio::any_io_executor();
    context_.reset();
}

void site::listen() {
    using asio::ip::tcp;
    tcp_ = std::make_shared<tcp::acceptor>(asio::any_io_executor(asio::make_strand(*context_)),
                                           tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    tcp_->set_option(asio::socket_base::enable_connection_aborted(true));
    servers.set(options_.number, tcp_->local_endpoint());
    serve(tcp_);
    if (options_.unix_path.empty())
        return;
    ::unlink(options_.unix_path.c_str());
    local_ = std::make_shared<asio::local::stream_protocol::acceptor>(
        asio::any_io_executor(asio::make_strand(*context_)), options_.unix_path);
    servers.set(options_.number, asio::local::stream_protocol::endpoint(options_.unix_path));
    serve(local_);
}

/// Accepts in synchronous code, a task of its own. It is not among those that are cancelled at random, and ends when its
/// acceptor is closed.
template <class Acceptor> void site::serve(std::shared_ptr<Acceptor> acceptor) {
    auto const accept_all = [this, acceptor] {
        while (acceptor->is_open()) {
            try {
                any_socket peer = acceptor->async_accept(new_executor(), greenback::use_portal);
                auto const shared = std::make_shared<any_socket>(std::move(peer));
                start([this, shared] { session(*this, std::move(*shared)); });
            } catch (greenback::abandoned const&) {
                throw;
            } catch (...) {
                auto const known = known_failure(std::current_exception());
                if (known.empty())
                    fault("accept: " + describe(std::current_exception()));
                count("trouble: an accept failed");
                if (acceptor->is_open())
                    greenback::sleep_for(std::chrono::milliseconds(2));
            }
        }
    };
    ++tasks_;
    greenback::spawn(acceptor->get_executor(), accept_all, [this, acceptor](std::exception_ptr const& error) {
        --tasks_;
        if (!error)
            return;
        // It is an ordinary task, whose portal may have found no stack.
        if (known_failure(error).empty())
            fault("a server has ended by " + describe(error));
        count("trouble: a server was started again");
        if (acceptor->is_open())
            serve(acceptor);
    });
}

void site::close_servers() {
    servers.remove(options_.number);
    auto const close = [](auto const& acceptor) {
        if (acceptor)
            asio::post(acceptor->get_executor(), [acceptor] {
                test::error_code ignored;
                acceptor->close(ignored); // NOLINT(bugprone-unused-return-value)
            });
    };
    close(tcp_);
    close(local_);
}

asio::any_io_executor site::new_executor() {
    if (options_.threads == 1)
        return context_->get_executor();
    return asio::make_strand(*context_);
}

void site::start(std::function<void()> f) {
    auto const t = std::make_shared<task>();
    t->executor = new_executor();
    ++tasks_;
    auto const over = [this, t](std::exception_ptr const& error) {
        t->over = true;
        --tasks_;
        if (!error)
            return;
        auto const known = known_failure(error);
        if (known.empty())
            fault("a task has ended by " + describe(error));
        count("trouble: a task ended by an exception");
    };
    {
        std::scoped_lock const lock(mutex_);
        started_.push_back(t);
    }
    auto token = asio::bind_cancellation_slot(t->signal.slot(), over);
    if (one_in(8)) {
        count("kind: spawn");
        greenback::spawn(t->executor, std::move(f), std::move(token));
    } else {
        asio::co_spawn(t->executor, in_some_portal(std::move(f)), std::move(token));
    }
}

void site::cancel(unsigned one_of) {
    std::scoped_lock const lock(mutex_);
    // A signal outlives its task by one round: what is destroyed last of a task may still refer to it.
    static thread_local std::vector<std::shared_ptr<task>> kept;
    kept.clear();
    for (auto i = started_.begin(); i != started_.end();) {
        if ((*i)->over) {
            (*i)->executor = asio::any_io_executor(); // it must not outlive the context
            kept.push_back(std::move(*i));
            i = started_.erase(i);
            continue;
        }
        if (one_in(one_of)) {
            count("trouble: a cancellation by a signal");
            asio::post((*i)->executor, [t = *i] {
                if (!t->over)
                    t->signal.emit(asio::cancellation_type::terminal);
            });
        }
        ++i;
    }
}

void site::run() {
    for (unsigned i = 0; i != options_.threads; ++i)
        threads_.emplace_back([this] {
            for (;;) { // an exception on purpose leaves run(), which is then called again, as Asio wants it
                try {
                    context_->run();
                    return;
                } catch (...) {
                    auto const known = known_failure(std::current_exception());
                    if (known.empty())
                        fault("out of run(): " + describe(std::current_exception()));
                    count("trouble: an exception left run()");
                }
            }
        });
}

void site::stop() {
    if (one_in(2))
        context_->stop();
    else
        asio::post(*context_, [this] { context_->stop(); });
    for (auto& t : threads_)
        t.join();
    threads_.clear();
}

void site::restart_and_run() {
    context_->restart();
    run();
}

} // namespace soak
