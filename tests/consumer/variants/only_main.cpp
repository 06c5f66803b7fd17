// SPDX-License-Identifier: MIT
int consumer_main();

int main() { return consumer_main(); }
