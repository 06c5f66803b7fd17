// SPDX-License-Identifier: MIT
// The names of a program's functions, out of its file. The loader knows only those that shared objects may need; the
// file has all of them, unless it was stripped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace greenback::detail {

/// The functions of one ELF file. Nothing in it is trusted: a file that makes no sense has no functions.
class symbol_table {
public:
    /// @throws std::bad_alloc; where the file can't be read, there is none
    explicit symbol_table(char const* path);

    /// The function at this address, as the file counts; null: there is none. Valid as long as this.
    char const* function_at(std::uintptr_t address) const noexcept;

private:
    struct function {
        std::uintptr_t begin;
        std::size_t size;
        char const* name;
    };

    void read();
    /// `count` things of type T; null: the file doesn't have them.
    template <class T> T const* part(std::size_t offset, std::size_t count = 1) const noexcept;

    struct mapping {
        void* begin = nullptr; // null: none
        std::size_t size = 0;

        explicit mapping(char const* path) noexcept;
        mapping(mapping const&) = delete;
        mapping& operator=(mapping const&) = delete;
        ~mapping();
    };

    mapping file_;
    std::vector<function> functions_; // by address
};

} // namespace greenback::detail
