// A memory behind the NPU's AXI4 manager port, with the timing that both simulators share.
//
// Cycle t ends with clock edge t. Values on the wires in cycle t are sampled at that edge, and what the memory drives
// afterwards is seen in cycle t + 1. verilog/axi_memory.v is the same model, step for step: change both together.
//
//   read     a burst whose address is taken at edge t has its first beat valid in cycle t + read_latency or, behind
//            earlier bursts, in the cycle after their last beat; then one beat a cycle, bursts in order, no gaps
//   write    address and data are taken independently; the response of a burst is valid write_latency cycles after the
//            edge at which both its address and its last beat were known
//   stalls   each channel is held back in a cycle with probability stall / 65536, drawn from a xorshift generator
//   errors   beats inside [error_low, error_high) are answered with error_response, and nothing is written there
//
// Faults that only this one knows: an error at a beat of a run by its number, and channels that stop for good.
//
// What the manager may not do is reported once, as text, in `violation`.
#pragma once

#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "ports.h"

template <class Top>
class AxiMemory {
  public:
    uint64_t read_latency = 32;
    uint64_t write_latency = 8;
    uint32_t stall = 0;
    uint32_t seed = 0;
    uint64_t error_low = 0;
    uint64_t error_high = 0;
    uint32_t error_response = 2;
    uint64_t error_read_beat = 0;   // so-manieth read beat of a run, from 1, that is answered with error_response
    uint64_t error_write_beat = 0;  // the same of write beats: nothing is written, and its burst is answered so
    uint32_t silent = 0;            // channels (AR, AW, W, R, B from bit 0) that stop...
    uint64_t silent_from = 0;       // ...in this cycle of a run
    std::string violation;
    bool handshake = false;  // a transfer happened at the last edge
    static constexpr uint64_t kNever = ~0ull;
    std::vector<uint16_t> watched;  // for each byte of the memory 0, or 256 + the value that it should be given
    uint64_t first_wrong = kNever;  // cycle in which a watched byte was first given another value

    AxiMemory(uint8_t* memory, uint64_t base, uint64_t size, unsigned bus_bytes)
        : memory_(memory), base_(base), size_(size), bus_bytes_(bus_bytes) {}

    // Begin a run. The stall generator starts anew, so that it depends on its seed only and not on the runs before it.
    void start_run(uint64_t cycle) {
        random_ = (seed + 1) * 2654435761u | 1u;
        started_ = cycle;
        read_beats_ = write_beats_ = 0;
        first_wrong = kNever;
    }

    // Forget all transfers, as after a reset of the whole system.
    void reset() {
        reads_.clear();
        writes_.clear();
        beats_.clear();
        responses_.clear();
        ar_ready_ = aw_ready_ = w_ready_ = r_valid_ = b_valid_ = false;
        r_beat_ = w_beat_ = w_response_ = r_response_ = 0;
        held_ar_ = held_aw_ = held_w_ = {};
    }

    // Sample the wires at the end of cycle `cycle` and decide what to drive in the next one.
    void before_edge(const Top& top, uint64_t cycle) {
        check_stable(top);
        const bool ar = top.m_axi_arvalid && ar_ready_;
        const bool aw = top.m_axi_awvalid && aw_ready_;
        const bool w = top.m_axi_wvalid && w_ready_;
        const bool r = r_valid_ && top.m_axi_rready;
        const bool b = b_valid_ && top.m_axi_bready;
        handshake = ar || aw || w || r || b;
        if (ar) {
            const Burst burst{static_cast<uint64_t>(top.m_axi_araddr), top.m_axi_arlen + 1u, top.m_axi_arid,
                              cycle + read_latency};
            if (check_burst("read", burst, top.m_axi_arsize, top.m_axi_arburst)) reads_.push_back(burst);
        }
        if (aw) {
            const Burst burst{static_cast<uint64_t>(top.m_axi_awaddr), top.m_axi_awlen + 1u, top.m_axi_awid, 0};
            if (check_burst("write", burst, top.m_axi_awsize, top.m_axi_awburst)) writes_.push_back(burst);
        }
        if (w) {
            Beat beat;
            get_bytes(top.m_axi_wdata, beat.bytes);
            beat.strobes = top.m_axi_wstrb;
            beat.last = top.m_axi_wlast;
            beats_.push_back(beat);
        }
        commit_beats(cycle);
        if (r) {
            r_valid_ = false;
            if (++r_beat_ == reads_.front().beats) {
                reads_.pop_front();
                r_beat_ = 0;
            }
        }
        if (b) {
            b_valid_ = false;
            responses_.pop_front();
        }
        bool hold[5] = {};
        if (stall)
            for (bool& held : hold) held = draw();
        if (silent && cycle - started_ >= silent_from)
            for (unsigned channel = 0; channel < 5; ++channel) hold[channel] |= silent >> channel & 1;
        ar_ready_ = reads_.size() < kBursts && !hold[0];
        aw_ready_ = writes_.size() + responses_.size() < kBursts && !hold[1];
        w_ready_ = beats_.size() < kBeats && !hold[2];
        if (!r_valid_ && !reads_.empty() && reads_.front().ready <= cycle + 1 && !hold[3]) present_read();
        if (!b_valid_ && !responses_.empty() && responses_.front().ready <= cycle + 1 && !hold[4]) b_valid_ = true;
    }

    // Give the values of the next cycle to the registers before the NPU's inputs.
    void drive(Top& top) {
        top.m_axi_arready = ar_ready_;
        top.m_axi_awready = aw_ready_;
        top.m_axi_wready = w_ready_;
        top.m_axi_rvalid = r_valid_;
        top.m_axi_rid = r_valid_ ? reads_.front().id : 0;
        top.m_axi_rlast = r_valid_ && r_beat_ + 1 == reads_.front().beats;
        top.m_axi_rresp = r_valid_ ? r_response_ : 0;
        put_bytes(top.m_axi_rdata, r_data_);
        top.m_axi_bvalid = b_valid_;
        top.m_axi_bid = b_valid_ ? responses_.front().id : 0;
        top.m_axi_bresp = b_valid_ ? responses_.front().response : 0;
    }

  private:
    static constexpr std::size_t kBursts = 64;  // bursts of each direction that the memory holds
    static constexpr std::size_t kBeats = 256;  // write beats that wait for their address

    struct Burst {
        uint64_t address;
        uint32_t beats;
        uint32_t id;
        uint64_t ready;  // earliest cycle of the first read beat
    };
    struct Beat {
        uint8_t bytes[kMaxBusBytes];
        uint32_t strobes;
        bool last;
    };
    struct Response {
        uint32_t id;
        uint32_t response;
        uint64_t ready;
    };
    // What a manager's channel showed while it was not taken: it must show the same in the next cycle.
    struct Held {
        bool waiting = false;
        uint64_t address = 0;
        uint32_t control = 0;
        uint8_t bytes[kMaxBusBytes] = {};

        bool operator==(const Held& other) const {
            return address == other.address && control == other.control &&
                   std::memcmp(bytes, other.bytes, sizeof bytes) == 0;
        }
    };

    uint8_t* memory_;
    uint64_t base_;
    uint64_t size_;
    unsigned bus_bytes_;
    uint32_t random_ = 1;
    uint64_t started_ = 0, read_beats_ = 0, write_beats_ = 0;
    std::deque<Burst> reads_, writes_;
    std::deque<Beat> beats_;
    std::deque<Response> responses_;
    bool ar_ready_ = false, aw_ready_ = false, w_ready_ = false, r_valid_ = false, b_valid_ = false;
    uint32_t r_beat_ = 0, w_beat_ = 0, w_response_ = 0, r_response_ = 0;
    uint8_t r_data_[kMaxBusBytes] = {};
    Held held_ar_, held_aw_, held_w_;

    bool draw() {
        random_ ^= random_ << 13;
        random_ ^= random_ >> 17;
        random_ ^= random_ << 5;
        return (random_ & 0xffff) < stall;
    }

    __attribute__((format(printf, 2, 3))) void report(const char* format, ...) {
        if (!violation.empty()) return;
        char text[256];
        va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        violation = text;
    }

    uint64_t beat_address(const Burst& burst, uint32_t beat) const {
        return burst.address / bus_bytes_ * bus_bytes_ + static_cast<uint64_t>(beat) * bus_bytes_;
    }

    bool in_error_range(uint64_t address) const {
        return address + bus_bytes_ > error_low && address < error_high;
    }

    bool check_burst(const char* kind, const Burst& burst, uint32_t size, uint32_t type) {
        const uint64_t first = beat_address(burst, 0), last = beat_address(burst, burst.beats) - 1;
        if (1u << size != bus_bytes_)
            report("%s burst at 0x%" PRIx64 " has beats of %u bytes on a bus of %u", kind, burst.address, 1u << size,
                   bus_bytes_);
        else if (type != 1)
            report("%s burst at 0x%" PRIx64 " is not of type INCR", kind, burst.address);
        else if (first >> 12 != last >> 12)
            report("%s burst at 0x%" PRIx64 " of %u beats crosses a 4 KiB boundary", kind, burst.address, burst.beats);
        else if (first < base_ || last >= base_ + size_)
            report("%s burst at 0x%" PRIx64 " of %u beats lies outside the memory", kind, burst.address, burst.beats);
        else
            return true;
        return false;
    }

    void check_held(Held& held, const Held& now, bool valid, bool ready, const char* channel) {
        if (held.waiting && !valid)
            report("%s was withdrawn before it was taken", channel);
        else if (held.waiting && !(held == now))
            report("the payload of %s changed before it was taken", channel);
        held = now;
        held.waiting = valid && !ready;
    }

    void check_stable(const Top& top) {
        // A channel that neither waits nor waited needs no look at its payload.
        if (held_ar_.waiting || (top.m_axi_arvalid && !ar_ready_)) {
            Held now;
            now.address = top.m_axi_araddr;
            now.control = top.m_axi_arlen | top.m_axi_arsize << 8 | top.m_axi_arburst << 11 | top.m_axi_arid << 13;
            check_held(held_ar_, now, top.m_axi_arvalid, ar_ready_, "m_axi_arvalid");
        }
        if (held_aw_.waiting || (top.m_axi_awvalid && !aw_ready_)) {
            Held now;
            now.address = top.m_axi_awaddr;
            now.control = top.m_axi_awlen | top.m_axi_awsize << 8 | top.m_axi_awburst << 11 | top.m_axi_awid << 13;
            check_held(held_aw_, now, top.m_axi_awvalid, aw_ready_, "m_axi_awvalid");
        }
        if (held_w_.waiting || (top.m_axi_wvalid && !w_ready_)) {
            Held now;
            now.control = top.m_axi_wstrb | top.m_axi_wlast << 16;
            get_bytes(top.m_axi_wdata, now.bytes);
            check_held(held_w_, now, top.m_axi_wvalid, w_ready_, "m_axi_wvalid");
        }
    }

    void commit_beats(uint64_t cycle) {
        while (!writes_.empty() && !beats_.empty()) {
            const Burst burst = writes_.front();
            const Beat beat = beats_.front();
            beats_.pop_front();
            const uint64_t address = beat_address(burst, w_beat_);
            const bool last = w_beat_ + 1 == burst.beats;
            if (beat.last != last)
                report("m_axi_wlast is %d in beat %u of a write burst of %u beats at 0x%" PRIx64, beat.last,
                       w_beat_ + 1, burst.beats, burst.address);
            if (++write_beats_ == error_write_beat || in_error_range(address)) {
                w_response_ = error_response;
            } else {
                for (unsigned byte = 0; byte < bus_bytes_; ++byte)
                    if (beat.strobes >> byte & 1) {
                        memory_[address - base_ + byte] = beat.bytes[byte];
                        if (!watched.empty() && first_wrong == kNever) watch(address - base_ + byte, cycle);
                    }
            }
            ++w_beat_;
            if (last) {
                responses_.push_back({burst.id, w_response_, cycle + write_latency});
                writes_.pop_front();
                w_beat_ = w_response_ = 0;
            }
        }
    }

    void watch(uint64_t byte, uint64_t cycle) {
        if (watched[byte] && watched[byte] != 256u + memory_[byte]) first_wrong = cycle;
    }

    void present_read() {
        const uint64_t address = beat_address(reads_.front(), r_beat_);
        r_valid_ = true;
        if (++read_beats_ == error_read_beat || in_error_range(address)) {
            r_response_ = error_response;
            std::memset(r_data_, 0, bus_bytes_);
        } else {
            r_response_ = 0;
            std::memcpy(r_data_, memory_ + (address - base_), bus_bytes_);
        }
    }
};
