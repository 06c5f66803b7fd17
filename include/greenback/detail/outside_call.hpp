// SPDX-License-Identifier: MIT
// A call that another thread makes, while its caller waits as a coroutine does; see on_executor.hpp.
#pragma once

#include <greenback/detail/kept_call.hpp>

#include <condition_variable>
#include <coroutine>
#include <memory>
#include <mutex>
#include <utility>

namespace greenback::detail {

/// The function on its way to the other thread, and what has become of it. Belongs to the caller and to the job
/// together, as either may be gone before the other. The function stays where it is, in the caller's frame.
template <class F> class outside_call {
public:
    using result = typename kept_call<F>::result;

    explicit outside_call(F&& f) noexcept : call_(std::forward<F>(f)) {}
    outside_call(outside_call const&) = delete;

    // ---- the caller's side ---------------------------------------------------------------------------------------

    /// `post(job)` hands the job, which can be moved, called once and destroyed, to an executor. As soon as that has it
    /// the caller's frame may be gone: nothing but `self` is touched.
    /// @returns whether `to_resume` will be resumed, which is then done once, whatever becomes of the job
    /// @throws what `post` does, if the job has been lost by that; then nobody resumes
    template <class Post>
    static bool start(std::shared_ptr<outside_call> self, std::coroutine_handle<> to_resume, Post const& post) {
        self->to_resume_ = to_resume;
        try {
            post(job(self));
        } catch (...) {
            if (!self->has_been_posted())
                throw;
        }
        return self->has_been_posted();
    }

    /// From now on the function either has ended or will never begin.
    void give_up() noexcept {
        std::unique_lock lock(mutex_);
        if (phase_ == phase::posting || phase_ == phase::queued)
            phase_ = phase::given_up;
        has_ended_.wait(lock, [this] { return phase_ != phase::running; });
    }

    /// @pre the wait is over @returns false if the executor has dropped the job
    bool was_called() noexcept {
        std::scoped_lock const lock(mutex_);
        return phase_ == phase::ended;
    }

    /// @pre it was called
    result get() { return call_.get(); }

private:
    enum class phase {
        posting,         ///< the executor is being given the job, and may have it already
        queued,          ///< the executor has it
        running,         ///< the function is being called: the caller must not go
        ended,           ///< it has returned, or thrown
        dropped,         ///< the executor has destroyed the job; the caller is resumed
        dropped_at_once, ///< the same while it was being posted; the caller does not wait at all
        given_up,        ///< the caller has gone
    };

    class job {
    public:
        explicit job(std::shared_ptr<outside_call> call) noexcept : call_(std::move(call)) {}
        job(job&& other) noexcept = default;
        ~job() {
            if (call_)
                call_->drop();
        }
        void operator()() {
            std::shared_ptr<outside_call> const call = std::exchange(call_, nullptr);
            call->run();
        }

    private:
        std::shared_ptr<outside_call> call_; ///< null once called or moved from
    };

    bool has_been_posted() noexcept {
        std::scoped_lock const lock(mutex_);
        if (phase_ == phase::posting)
            phase_ = phase::queued;
        return phase_ != phase::dropped_at_once;
    }

    void run() noexcept {
        if (begin()) {
            call_.run();
            std::scoped_lock const lock(mutex_);
            phase_ = phase::ended;
            has_ended_.notify_all();
        }
        to_resume_.resume(); // if the caller has gone, this only frees what was to be resumed
    }

    bool begin() noexcept {
        std::scoped_lock const lock(mutex_);
        if (phase_ == phase::given_up)
            return false;
        phase_ = phase::running;
        return true;
    }

    void drop() noexcept {
        {
            std::scoped_lock const lock(mutex_);
            if (phase_ == phase::posting) {
                phase_ = phase::dropped_at_once;
                return;
            }
            if (phase_ == phase::queued)
                phase_ = phase::dropped;
        }
        to_resume_.resume();
    }

    std::mutex mutex_; ///< guards `phase_`
    std::condition_variable has_ended_;
    phase phase_ = phase::posting;
    std::coroutine_handle<> to_resume_; ///< written before the job is posted
    kept_call<F> call_;                 ///< made by `run`, and looked at when it has ended
};

} // namespace greenback::detail
