// Helpers that make a port of any width a plain number or plain bytes.
//
// Verilator gives a port the narrowest C++ type that holds it; the memory port is 64 or 128 bits of data and 16 to 48
// bits of address, so the same source must work on several types.
#pragma once

#include <cstdint>
#include <cstring>

#include "verilated.h"

inline constexpr unsigned kMaxBusBytes = 16;

inline void put_bytes(QData& port, const uint8_t* bytes) { std::memcpy(&port, bytes, 8); }
inline void get_bytes(const QData& port, uint8_t* bytes) { std::memcpy(bytes, &port, 8); }

template <std::size_t N>
void put_bytes(VlWide<N>& port, const uint8_t* bytes) {
    std::memcpy(&port[0], bytes, 4 * N);
}
template <std::size_t N>
void get_bytes(const VlWide<N>& port, uint8_t* bytes) {
    std::memcpy(bytes, &port[0], 4 * N);
}
