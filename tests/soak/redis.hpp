// SPDX-License-Identifier: MIT
//
// A Redis server that is killed and started anew, and clients of it by hiredis, which knows nothing of any of this.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>

namespace soak {

/// Keeps a server going on a Unix socket in `folder`, and kills it every few seconds, until `over`.
/// @param file the server's program
void keep_redis(std::string const& file, std::filesystem::path const& folder, std::atomic<bool> const& over);

/// Event loops of one thread each, one after the other, with clients of the server, until `over`.
void keep_redis_clients(std::filesystem::path const& folder, std::atomic<bool> const& over);

} // namespace soak
