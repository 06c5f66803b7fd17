// error: greenback::sync_stream<S> wants an asynchronous stream S
// SPDX-License-Identifier: MIT

#include <greenback/sync_stream.hpp>

greenback::sync_stream<int> stream(1);
