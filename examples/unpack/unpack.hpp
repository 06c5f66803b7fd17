// SPDX-License-Identifier: MIT
// The middle: unpacks a .tar.gz with libarchive. Synchronous code that knows nothing of coroutines, nor of
// Asio.
#pragma once

#include <cstddef>
#include <exception>
#include <span>
#include <string>

/// Where the archive's bytes come from. The synchronous program would read a file here.
class source {
public:
    virtual ~source() = default;
    /// Wait for some bytes. @returns how many were put into `buffer`; 0 at the end
    virtual std::size_t read(std::span<char> buffer) = 0;
};

/// What becomes of the archive's contents.
class visitor {
public:
    virtual ~visitor() = default;
    virtual void begin_file(std::string const& path) = 0;
    virtual void data(std::span<char const> bytes) = 0;
};

/// Unpack the archive that `from` delivers, every regular file of it in turn.
/// @throws std::runtime_error if libarchive cannot read it; what `from` and `to` throw, as it is
void unpack(source& from, visitor& to);
