// The host's end of a serial line: bytes to levels of the board's input pin, and levels of its output pin to bytes, at
// the host's rate whatever the board's is.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

class UartLine {
  public:
    int64_t bit = 333333;  // picoseconds
    // Chances, in 2^-32, that a byte in either direction is lost, or that one of its bits is inverted.
    uint32_t drop = 0, flip = 0;
    std::deque<uint8_t> to_board;
    std::vector<uint8_t> from_board;

    explicit UartLine(uint32_t seed) : random_(seed * 2246822519u | 1u) {}

    void set_rate(int64_t baud) { bit = baud > 0 ? 1000000000000ll / baud : bit; }

    // Level of the board's input pin at `now`.
    bool drive(int64_t now) {
        if (!sending_) {
            if (to_board.empty()) return true;
            uint8_t byte = to_board.front();
            to_board.pop_front();
            if (spoil(byte)) return true;
            sending_ = true;
            frame_ = static_cast<uint16_t>(byte << 1 | 0x200);
            started_ = now;
        }
        const int64_t place = (now - started_) / bit;
        if (place >= 10) {
            sending_ = false;
            return drive(now);
        }
        return frame_ >> place & 1;
    }

    // The board's output pin has this level at `now`.
    void sense(bool level, int64_t now) {
        if (place_ < 0) {
            if (level) return;
            place_ = 0;
            sample_at_ = now + bit / 2;
            return;
        }
        if (now < sample_at_) return;
        if (place_ == 0 && level) {
            place_ = -1;  // a spike
            return;
        }
        if (place_ >= 1 && place_ <= 8) received_ = static_cast<uint8_t>(received_ >> 1 | level << 7);
        if (place_ == 9) {
            uint8_t byte = received_;
            if (level && !spoil(byte)) from_board.push_back(byte);
            place_ = level ? -1 : 10;
            return;
        }
        if (place_ == 10) {  // no stop bit: wait for the line to be idle
            if (level) place_ = -1;
            return;
        }
        ++place_;
        sample_at_ += bit;
    }

    bool busy() const { return sending_ || !to_board.empty(); }

  private:
    uint32_t random_;
    bool sending_ = false;
    uint16_t frame_ = 0x3ff;
    int64_t started_ = 0;
    int place_ = -1;
    int64_t sample_at_ = 0;
    uint8_t received_ = 0;

    uint32_t draw() {
        random_ ^= random_ << 13;
        random_ ^= random_ >> 17;
        random_ ^= random_ << 5;
        return random_;
    }

    // Invert a bit perhaps; true if the byte is lost.
    bool spoil(uint8_t& byte) {
        if (flip && draw() < flip) byte ^= static_cast<uint8_t>(1u << (draw() >> 8 & 7));
        return drop && draw() < drop;
    }
};
