// SPDX-License-Identifier: MIT
// getaddrinfo: glibc waits for name servers inside, so a thread of ours makes the call.
#include "lookup.hpp"

#include "await_ready.hpp"
#include "calls.hpp"
#include "error_number.hpp"
#include "plain_calls.hpp"

#include <arpa/inet.h>

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#else
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>
#endif

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {
namespace {

constexpr unsigned thread_count = 4;

/// Made when it is first needed, and never ended: a lookup may take as long as it likes, and the program end meanwhile.
std::atomic<asio::thread_pool*> threads{nullptr};
asio::thread_pool& lookup_threads() {
    asio::thread_pool* there = threads.load(std::memory_order_acquire);
    if (!there) { // without a lock, which a child of fork() could find locked
        auto made = std::make_unique<asio::thread_pool>(thread_count);
        if (threads.compare_exchange_strong(there, made.get()))
            there = made.release();
    }
    return *there;
}

/// One call, with copies of what it was called with: the caller may be gone before it ends.
class lookup {
public:
    lookup(char const* host, char const* service, addrinfo const* hints)
        : host_(host), service_(service ? std::optional<std::string>(service) : std::nullopt),
          hints_(hints ? std::optional<addrinfo>(*hints) : std::nullopt) {}
    lookup(lookup const&) = delete;
    ~lookup() {
        if (found_)
            ::freeaddrinfo(found_);
    }

    /// On a thread of ours.
    void run() {
        addrinfo* found = nullptr;
        int const answer = plain::getaddrinfo(host_.c_str(), service_ ? service_->c_str() : nullptr,
                                              hints_ ? &*hints_ : nullptr, &found);
        int const e = error_number();
        std::scoped_lock const lock(mutex_);
        answer_ = answer;
        error_ = e;
        found_ = answer == 0 ? found : nullptr;
        is_done_ = true;
        if (waiting_)
            room_->wake(*waiting_);
    }

    /// For a wait that has entered its room. If this is done already, it is over at once.
    void wake_when_done(wait& w, std::shared_ptr<waiting_room> room) {
        std::scoped_lock const lock(mutex_);
        room_ = std::move(room);
        waiting_ = &w;
        if (is_done_)
            room_->wake(w);
    }
    /// The wait is over, and about to go.
    void forget_wait() noexcept {
        std::scoped_lock const lock(mutex_);
        waiting_ = nullptr;
    }

    int take(addrinfo** result) noexcept {
        std::scoped_lock const lock(mutex_);
        *result = std::exchange(found_, nullptr);
        set_error_number(error_);
        return answer_;
    }

private:
    std::string const host_;
    std::optional<std::string> const service_;
    std::optional<addrinfo> const hints_;
    std::mutex mutex_; ///< guards the rest. A room's mutex may be taken with it held, not the other way round
    std::shared_ptr<waiting_room> room_;
    wait* waiting_ = nullptr;
    bool is_done_ = false;
    int answer_ = 0;
    int error_ = 0;
    addrinfo* found_ = nullptr;
};

/// Is it an address already, which nobody need be asked about?
bool is_numeric(char const* host) noexcept {
    unsigned char address[sizeof(in6_addr)];
    return ::inet_pton(AF_INET, host, address) == 1 || ::inet_pton(AF_INET6, host, address) == 1;
}

} // namespace

void forget_lookup_threads() noexcept { threads.store(nullptr, std::memory_order_relaxed); }

namespace on_portal {

int getaddrinfo(caller const& by, char const* host, char const* service, addrinfo const* hints,
                addrinfo** result) noexcept {
    if (!host || (hints && (hints->ai_flags & AI_NUMERICHOST)) || is_numeric(host))
        return plain::getaddrinfo(host, service, hints, result);
    std::shared_ptr<lookup> call;
    int const why_not = await_in_room(by, deadline(), [&](wait& w) {
        try {
            call = std::make_shared<lookup>(host, service, hints);
            asio::post(lookup_threads(), [call] { call->run(); });
        } catch (...) {
            return ENOMEM;
        }
        int const answer = w.run(by.call(), {}, nullptr, [&](auto const& room) { call->wake_when_done(w, room); });
        call->forget_wait();
        return answer;
    });
    if (why_not == 0)
        return call->take(result);
    if (why_not == ENOMEM)
        return EAI_MEMORY;
    set_error_number(why_not);
    return EAI_SYSTEM;
}

} // namespace on_portal
} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
