// SPDX-License-Identifier: MIT
//
// What a client does: conversations with servers drawn, each request in one of many ways.
#pragma once

#include "soak/site.hpp"

namespace soak {

/// Until its site ends, or it is cancelled. In synchronous code on a portal.
void client(site& home);

/// Work without a server: what the helpers do, exceptions through layers, tasks destroyed while they wait, want of memory
/// and of stacks. Each is a request of the ledger too.
void local_work(site& home);

} // namespace soak
