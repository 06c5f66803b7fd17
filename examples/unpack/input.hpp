// SPDX-License-Identifier: MIT
// What the program feeds itself with: a real archive, and what `tar` makes of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

/// FNV-1a, 64 bits.
class checksum {
public:
    void add(std::span<char const> bytes) noexcept {
        for (char const c : bytes)
            hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    std::uint64_t value() const noexcept { return hash_; }

private:
    std::uint64_t hash_ = 0xcbf29ce484222325;
};

/// The checksum of each file, by its path in the archive.
using checksums = std::map<std::string, std::uint64_t>;

/// A folder that is gone at the end of the scope.
class temporary_folder {
public:
    temporary_folder();
    ~temporary_folder();
    temporary_folder(temporary_folder const&) = delete;
    temporary_folder& operator=(temporary_folder const&) = delete;
    std::filesystem::path const& path() const noexcept { return path_; }

private:
    std::filesystem::path path_;
};

struct packed {
    std::vector<char> archive; ///< a .tar.gz
    checksums expected;        ///< of the files that `tar xzf` unpacks from it
    std::uintmax_t size = 0;   ///< of those files, together
};

/// Write files of pseudo-random content, pack them with `tar czf`, unpack that with `tar xzf`. @throws if
/// anything fails
packed make_input();
