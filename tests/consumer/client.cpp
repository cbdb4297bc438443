// SPDX-License-Identifier: BSD-3-Clause
//
// client.cpp - the example of clients/c as a program in C++.
#include "../../clients/c/example.c"
