// An SDRAM chip on its pins, written from data sheets: it does what commands say and reports each that comes too early or
// in a state that does not allow it. Times in picoseconds.
#pragma once

#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <string>
#include <vector>

struct SdramTimes {
    int64_t init = 0, refresh = 0, trcd = 0, trp = 0, tras = 0, tras_longest = 0, trc = 0, trfc = 0, trrd = 0, twr = 0;
    int64_t access = 0, hold = 0, setup = 0, input_hold = 0, fastest = 0;
    int64_t tmrd_cycles = 0, cas = 0, data_bits = 0, row_bits = 0, column_bits = 0, bank_bits = 0;
    int64_t round_trip = 0;  // from the FPGA's clock pad to the chip, and from the chip's data to the FPGA's register
};

class SdramChip {
  public:
    struct Pins {
        uint32_t command = 7, bank = 0, address = 0, mask = 0, data = 0;
        bool enable = false, clock_enable = true, select_n = false;

        bool operator==(const Pins& other) const {
            return command == other.command && bank == other.bank && address == other.address && mask == other.mask &&
                   data == other.data && enable == other.enable;
        }
    };

    std::string violation;  // the first one, empty if there was none

    SdramChip(const SdramTimes& times, uint32_t seed)
        : t_(times), random_(seed * 2654435761u | 1u), banks_(1u << times.bank_bits) {
        words_.assign(1ull << (t_.row_bits + t_.column_bits + t_.bank_bits), 0);
        for (auto& word : words_) word = draw();
    }

    // A bit of the memory, by its byte address, that always reads as `value`.
    void stick(uint64_t byte, unsigned bit, bool value) {
        const unsigned width = t_.data_bits / 8;
        Stuck& stuck = stuck_[byte / width];
        const uint32_t mask = 1u << (8 * (byte % width) + bit);
        (value ? stuck.ones : stuck.zeros) |= mask;
    }

    // The pins have had these values since `time`.
    void settle(const Pins& pins, int64_t time) {
        if (pins == pins_) return;
        if (edge_ > 0 && time - last_edge_ < t_.input_hold) report("an input changed %s after the clock", time - last_edge_);
        pins_ = pins;
        changed_ = time;
    }

    // A rising edge of the chip's clock.
    void clock(int64_t now) {
        if (edge_ > 0 && now - last_edge_ < t_.fastest) report("the clock's period is %s", now - last_edge_);
        ++edge_;
        last_edge_ = now;
        now_ = now;
        if (now - changed_ < t_.setup) report("an input changed %s before the clock", now - changed_);
        if (!pins_.clock_enable || pins_.select_n) return;
        if (pins_.command != kNop) command();
        if (mode_set_ && now - refreshed_any_ > 9 * t_.refresh) report("no refresh for %s", now - refreshed_any_);
        move();
    }

    // What the FPGA finds on the data pins at `time`: data within their window, noise around it.
    uint32_t sample(int64_t time) {
        while (!windows_.empty() && windows_.front().until <= time) windows_.pop_front();
        if (!windows_.empty() && windows_.front().from <= time) return windows_.front().word;
        return draw() & word_mask();
    }

  private:
    enum { kMode, kRefresh, kPrecharge, kActivate, kWrite, kRead, kStop, kNop };
    static constexpr int64_t kNever = -(1ll << 60);

    struct Bank {
        bool open = false;
        uint32_t row = 0;
        int64_t activated = kNever, precharged = 0, written = kNever;
    };
    struct Window {
        int64_t from, until;
        uint32_t word;
    };
    struct Stuck {
        uint32_t ones = 0, zeros = 0;
    };

    SdramTimes t_;
    uint32_t random_;
    std::vector<Bank> banks_;
    std::vector<uint32_t> words_;
    std::map<uint64_t, Stuck> stuck_;
    Pins pins_;
    int64_t changed_ = kNever, last_edge_ = kNever, now_ = 0;
    int64_t edge_ = 0, mode_edge_ = -1000;
    int64_t any_activated_ = kNever, refreshed_ = kNever, refreshed_any_ = 0;
    unsigned refreshes_ = 0, length_ = 1, cas_ = 3;
    bool mode_set_ = false;
    bool burst_ = false, burst_write_ = false;
    unsigned burst_bank_ = 0, burst_left_ = 0;
    uint32_t burst_row_ = 0, burst_column_ = 0;
    int64_t driven_until_ = kNever;
    std::deque<Window> windows_;

    uint32_t draw() {
        random_ ^= random_ << 13;
        random_ ^= random_ >> 17;
        random_ ^= random_ << 5;
        return random_;
    }

    uint32_t word_mask() const { return t_.data_bits == 32 ? 0xffffffffu : (1u << t_.data_bits) - 1; }

    void report(const char* format, int64_t span = 0) {
        if (!violation.empty()) return;
        char nanoseconds[32], text[128], whole[192];
        std::snprintf(nanoseconds, sizeof nanoseconds, "%.2f ns", span / 1e3);
        std::snprintf(text, sizeof text, format, nanoseconds);
        std::snprintf(whole, sizeof whole, "%s at %.3f us", text, now_ / 1e6);
        violation = whole;
    }

    void least(int64_t moment, int64_t wanted, const char* format) {
        if (now_ - moment < wanted) report(format, now_ - moment);
    }

    void command() {
        if (now_ < t_.init) report("a command before the power-up time was over");
        least(refreshed_, t_.trfc, "tRFC is only %s");
        if (edge_ - mode_edge_ < t_.tmrd_cycles) report("tMRD");
        if (!mode_set_ && pins_.command != kPrecharge && pins_.command != kRefresh && pins_.command != kMode)
            report("a command before the mode was set");
        switch (pins_.command) {
            case kActivate: activate(banks_[pins_.bank]); break;
            case kPrecharge:
                for (unsigned bank = 0; bank < banks_.size(); ++bank)
                    if (pins_.address >> 10 & 1 || bank == pins_.bank) precharge(bank);
                break;
            case kRefresh: refresh(); break;
            case kMode: set_mode(); break;
            case kRead: column(false); break;
            case kWrite: column(true); break;
            default: report("a burst was stopped");
        }
    }

    void activate(Bank& bank) {
        if (bank.open) report("a row was opened in a bank with an open row");
        least(bank.precharged, t_.trp, "tRP is only %s");
        least(bank.activated, t_.trc, "tRC is only %s");
        least(any_activated_, t_.trrd, "tRRD is only %s");
        bank.open = true;
        bank.row = pins_.address & ((1u << t_.row_bits) - 1);
        bank.activated = any_activated_ = now_;
    }

    void precharge(unsigned number) {
        Bank& bank = banks_[number];
        if (!bank.open) return;
        least(bank.activated, t_.tras, "tRAS is only %s");
        least(bank.written, t_.twr, "tWR is only %s");
        if (now_ - bank.activated > t_.tras_longest) report("a row was open for %s", now_ - bank.activated);
        if (burst_ && burst_bank_ == number) report("a burst was cut off by a precharge");
        bank.open = false;
        bank.precharged = now_;
    }

    void refresh() {
        for (const Bank& bank : banks_) {
            if (bank.open) report("a refresh with an open row");
            least(bank.precharged, t_.trp, "tRP is only %s before a refresh");
        }
        refreshed_ = refreshed_any_ = now_;
        ++refreshes_;
    }

    void set_mode() {
        for (const Bank& bank : banks_)
            if (bank.open) report("the mode was set with an open row");
        if (refreshes_ < 8) report("the mode was set before eight refreshes");
        length_ = 1u << (pins_.address & 7);
        cas_ = pins_.address >> 4 & 7;
        if (cas_ != t_.cas || length_ > 8 || pins_.address >> 7 || pins_.address >> 3 & 1) report("an unknown mode");
        mode_set_ = true;
        mode_edge_ = edge_;
    }

    void column(bool write) {
        const Bank& bank = banks_[pins_.bank];
        if (!bank.open) report("an access to a closed bank");
        least(bank.activated, t_.trcd, "tRCD is only %s");
        if (pins_.address >> 10 & 1) report("an access with automatic precharge");
        if (burst_) report("a burst was cut off");
        burst_ = true;
        burst_write_ = write;
        burst_bank_ = pins_.bank;
        burst_row_ = bank.row;
        burst_column_ = pins_.address & ((1u << t_.column_bits) - 1);
        burst_left_ = length_;
    }

    void move() {
        if (pins_.enable && now_ < driven_until_) report("controller and chip both drive the data pins");
        if (!burst_) return;
        const uint32_t column = burst_column_ / length_ * length_ + (burst_column_ + length_ - burst_left_) % length_;
        const uint64_t place =
            ((static_cast<uint64_t>(burst_row_) << t_.bank_bits | burst_bank_) << t_.column_bits) | column;
        uint32_t& word = words_[place];
        if (burst_write_) {
            if (!pins_.enable) report("no data are driven during a write");
            for (unsigned byte = 0; byte < t_.data_bits / 8; ++byte)
                if (!(pins_.mask >> byte & 1)) {
                    const uint32_t lane = 0xffu << 8 * byte;
                    word = (word & ~lane) | (pins_.data & lane);
                }
            banks_[burst_bank_].written = now_;
        } else {
            uint32_t value = word & word_mask();
            const auto stuck = stuck_.find(place);
            if (stuck != stuck_.end()) value = (value | stuck->second.ones) & ~stuck->second.zeros;
            const int64_t period = period_;
            const int64_t from = now_ + (cas_ - 1) * period + t_.access;
            const int64_t until = now_ + cas_ * period + t_.hold;
            windows_.push_back({from + t_.round_trip, until + t_.round_trip, value});
            driven_until_ = until;
        }
        if (--burst_left_ == 0) burst_ = false;
    }

  public:
    int64_t period_ = 10000;
};
