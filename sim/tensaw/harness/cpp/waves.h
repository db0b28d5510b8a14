// Waveforms of a window of cycles. Built in only when asked for (-DTENSAW_WAVES_VCD or -DTENSAW_WAVES_FST): the calls
// that record values slow a simulation down even while nothing is written.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#if defined(TENSAW_WAVES_FST)
#include "verilated_fst_c.h"
using WaveFile = VerilatedFstC;
#elif defined(TENSAW_WAVES_VCD)
#include "verilated_vcd_c.h"
using WaveFile = VerilatedVcdC;
#endif

template <class Top>
class Waves {
  public:
    // Record cycles first to last (counted from the mark) into a file; time is 10 ns a cycle.
    void arm(Top& top, const std::string& path, uint64_t first, uint64_t last) {
        first_ = first;
        last_ = last;
#if defined(TENSAW_WAVES_FST) || defined(TENSAW_WAVES_VCD)
        if (!file_) {
            file_ = std::make_unique<WaveFile>();
            top.trace(file_.get(), 99);
            file_->set_time_unit("ns");
            file_->set_time_resolution("ns");
        }
        file_->open(path.c_str());
        open_ = file_->isOpen();
#else
        (void)top;
        (void)path;
#endif
    }

    bool open() const { return open_; }

    void sample(uint64_t cycle, bool low_half) {
#if defined(TENSAW_WAVES_FST) || defined(TENSAW_WAVES_VCD)
        if (!open_ || cycle < first_) return;
        if (cycle > last_) return close();
        file_->dump(10 * cycle + (low_half ? 5 : 0));
#else
        (void)cycle;
        (void)low_half;
#endif
    }

    void close() {
#if defined(TENSAW_WAVES_FST) || defined(TENSAW_WAVES_VCD)
        if (open_) file_->close();
#endif
        open_ = false;
    }

  private:
    bool open_ = false;
    uint64_t first_ = 0, last_ = 0;
#if defined(TENSAW_WAVES_FST) || defined(TENSAW_WAVES_VCD)
    std::unique_ptr<WaveFile> file_;
#endif
};
