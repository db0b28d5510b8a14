// The two functions of zlib that Verilator's FST writer calls, so that waves need no library to be installed.
//
// The data are stored, not compressed, in a well-formed zlib stream; the writer then keeps what is smaller.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>

using uLong = unsigned long;
using uLongf = unsigned long;
using Bytef = unsigned char;
inline constexpr int Z_OK = 0, Z_BUF_ERROR = -5;

inline uLong compressBound(uLong size) { return size + 5 * (size / 65535 + 1) + 6; }

inline int compress2(Bytef* target, uLongf* target_size, const Bytef* source, uLong size, int) {
    if (*target_size < compressBound(size)) return Z_BUF_ERROR;
    Bytef* out = target;
    *out++ = 0x78;
    *out++ = 0x01;
    uint32_t a = 1, b = 0;  // Adler-32
    uLong done = 0;
    do {
        const uLong piece = size - done < 65535 ? size - done : 65535;
        *out++ = done + piece == size;
        for (const uLong value : {piece, ~piece}) {
            *out++ = static_cast<Bytef>(value);
            *out++ = static_cast<Bytef>(value >> 8);
        }
        std::memcpy(out, source + done, piece);
        out += piece;
        for (uLong index = done; index < done + piece; ++index) {
            a = (a + source[index]) % 65521;
            b = (b + a) % 65521;
        }
        done += piece;
    } while (done < size);
    for (const uint32_t half : {b, a}) {
        *out++ = static_cast<Bytef>(half >> 8);
        *out++ = static_cast<Bytef>(half);
    }
    *target_size = static_cast<uLongf>(out - target);
    return Z_OK;
}
