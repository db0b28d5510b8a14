// The two functions of LZ4 that Verilator's FST writer calls, so that waves need no library to be installed.
//
// The block format is LZ4's: sequences of [token][literals][offset][match length], the last five bytes always literals.
// Matches are found with a table of the last position of each four-byte hash.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    constexpr int kLeast = 4, kTail = 12, kBits = 14;
    const auto* in = reinterpret_cast<const uint8_t*>(source);
    auto* out = reinterpret_cast<uint8_t*>(target);
    if (capacity < LZ4_compressBound(size)) return 0;
    const auto length = [&out](int rest) {  // what does not fit into the token's four bits
        for (; rest >= 255; rest -= 255) *out++ = 255;
        *out++ = static_cast<uint8_t>(rest);
    };
    const auto sequence = [&](int from, int literals, int offset, int match) {
        *out++ = static_cast<uint8_t>((literals < 15 ? literals : 15) << 4 |
                                      (offset ? (match - kLeast < 15 ? match - kLeast : 15) : 0));
        if (literals >= 15) length(literals - 15);
        std::memcpy(out, in + from, literals);
        out += literals;
        if (!offset) return;
        *out++ = static_cast<uint8_t>(offset);
        *out++ = static_cast<uint8_t>(offset >> 8);
        if (match - kLeast >= 15) length(match - kLeast - 15);
    };
    std::vector<int> last(1 << kBits, -1);
    int start = 0, position = 0;
    while (position + kTail < size) {
        uint32_t word;
        std::memcpy(&word, in + position, 4);
        int& entry = last[word * 2654435761u >> (32 - kBits)];
        const int candidate = entry;
        entry = position;
        if (candidate < 0 || position - candidate > 65535 || std::memcmp(in + candidate, in + position, 4) != 0) {
            ++position;
            continue;
        }
        int match = kLeast;
        while (position + match < size - 5 && in[candidate + match] == in[position + match]) ++match;
        sequence(start, position - start, position - candidate, match);
        position += match;
        start = position;
    }
    sequence(start, size - start, 0, 0);
    return static_cast<int>(out - reinterpret_cast<uint8_t*>(target));
}
