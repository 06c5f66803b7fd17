// SPDX-License-Identifier: MIT
// The middle of the guide's programs: synchronous code, the same in all of them.
#pragma once

#include <string>
#include <vector>

// [middle]
struct order {
    std::string customer;
    std::vector<std::string> items;
};

/// Where prices come from.
class price_source {
public:
    virtual ~price_source() = default;
    virtual int price(std::string const& item) = 0;
};

/// What the customer has to pay, as a line of text.
std::string invoice(order const& of, price_source& prices);
// [/middle]

inline std::vector<order> const orders = {
    {"Ada", {"tea", "milk"}},
    {"Ben", {"bread", "butter"}},
    {"Cleo", {"tea", "honey"}},
};
