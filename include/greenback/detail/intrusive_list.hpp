// SPDX-License-Identifier: MIT
// A list that allocates nothing and takes out from the middle. Its elements have the links, `next` and `previous`, and
// are not to move while they are in it.
#pragma once

namespace greenback::detail {

template <class T> class intrusive_list {
public:
    bool empty() const noexcept { return !first_; }
    T* first() const noexcept { return first_; }
    constexpr T* const* first_place() const noexcept { return &first_; } ///< for debuggers

    void add(T& element) noexcept {
        element.next = first_;
        element.previous = nullptr;
        if (first_)
            first_->previous = &element;
        first_ = &element;
    }

    void remove(T& element) noexcept {
        (element.previous ? element.previous->next : first_) = element.next;
        if (element.next)
            element.next->previous = element.previous;
    }

private:
    T* first_ = nullptr;
};

} // namespace greenback::detail
