// What the NPU's trace outputs say: when each unit was busy with which tag, and how the array spent its cycles.
//
// Written as text, one line for each item, cycles counted from the mark:
//   event UNIT TAG START END        the unit was busy with the tag in cycles START to END - 1
//   state TAG STATE CYCLES          cycles that the array, at work on the tag, was in the state; 3 is: input is missing
//                                   (it waits for rows of LOAD, or for tokens while LOAD is busy), 7: other tokens are
// verilog/tensaw_testbench.v writes the same lines.
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

template <class Top>
class Profile {
  public:
    std::string path;      // where to write; nothing is recorded while it is empty
    bool changed = false;  // a trace output changed in the last cycle, or the array took a position

    void clear() {
        for (Unit& unit : units_) unit = {};
        events_.clear();
        states_.clear();
    }

    void sample(const Top& top, uint64_t cycle) {
#ifdef TENSAW_TRACE
        changed = top.trace_array_state == 1 || top.trace_array_state != last_state_;
        last_state_ = top.trace_array_state;
        update(0, top.trace_weight_busy, top.trace_weight_tag, cycle);
        update(1, top.trace_load_busy, top.trace_load_tag, cycle);
        update(2, top.trace_array_busy || last_state_ != 0, top.trace_array_tag, cycle);
        update(3, top.trace_output_busy, top.trace_output_tag, cycle);
        update(4, top.trace_store_busy, top.trace_store_tag, cycle);
        if (units_[2].busy && !path.empty()) {
            const std::size_t index = units_[2].tag * 8u + shown(last_state_);
            if (states_.size() <= index) states_.resize((index / 8 + 1) * 8);
            ++states_[index];
        }
#else
        (void)top;
        (void)cycle;
#endif
    }

    // Close what is still open and write everything. Returns false if the file cannot be written.
    bool write(uint64_t cycle) {
        if (path.empty()) return true;
        for (unsigned index = 0; index < 5; ++index) update(index, false, 0, cycle);
        std::FILE* file = std::fopen(path.c_str(), "w");
        if (!file) return false;
        static const char* const names[5] = {"weight", "load", "array", "output", "store"};
        for (const Event& event : events_)
            std::fprintf(file, "event %s %u %" PRIu64 " %" PRIu64 "\n", names[event.unit], event.tag, event.start,
                         event.end);
        for (std::size_t index = 0; index < states_.size(); ++index)
            if (states_[index])
                std::fprintf(file, "state %zu %zu %" PRIu64 "\n", index / 8, index % 8, states_[index]);
        return std::fclose(file) == 0;
    }

  private:
    unsigned shown(unsigned state) const {
        if (state == 7) return 3;
        return state == 3 && !units_[1].busy ? 7 : state;
    }

    struct Unit {
        bool busy = false;
        uint16_t tag = 0;
        uint64_t since = 0;
    };
    struct Event {
        unsigned unit;
        uint16_t tag;
        uint64_t start, end;
    };

    Unit units_[5];
    unsigned last_state_ = 0;
    std::vector<Event> events_;
    std::vector<uint64_t> states_;

    void update(unsigned index, bool busy, uint16_t tag, uint64_t cycle) {
        Unit& unit = units_[index];
        if (busy == unit.busy && (!busy || tag == unit.tag)) return;
        changed = true;
        if (unit.busy && !path.empty()) events_.push_back({index, unit.tag, unit.since, cycle});
        unit = {busy, tag, cycle};
    }
};
