// A thin simulator around the verilated NPU: clock, memory, register access and a watchdog, steered by lines of text.
//
//   simulator MEMORY_FILE BASE BYTES [+NAME=VALUE...]
//
// MEMORY_FILE is mapped shared, so that the host sees and changes the same bytes. Commands come from standard input;
// each is answered by one line that begins with "ok" or "error" (and, for wait, an outcome), after any "progress" lines:
//
//   set NAME VALUE           read_latency, write_latency, stall, seed, error_low, error_high, error_response,
//                            error_read_beat, error_write_beat, silent, silent_from (see AxiMemory) -> ok
//   write OFFSET VALUE       register access                        -> ok
//   read OFFSET                                                     -> ok VALUE
//   profile FILE             record trace outputs in the next run   -> ok
//   waves FIRST LAST FILE    record waves in the next run           -> ok
//   watch FILE               two bytes for each of the memory's: see AxiMemory::watched -> ok
//   watched                  cycle of the run's first wrong write to a watched byte -> ok N | ok never
//   reset CYCLES             reset the NPU and the memory port      -> ok
//   load, dump               nothing here: the memory is shared     -> ok
//   mark                     cycle 0 of a run begins here           -> ok
//   wait LIMIT WATCHDOG PROGRESS                   -> irq N | limit N | hang N | violation N TEXT | check N
//   coverage FILE            write what all runs have covered; only if built for it -> ok
//   quit
//
// A failing check of the hardware prints a line of its own and ends the simulation: "check N" is the last answer.
// verilog/tensaw_testbench.v understands the same lines, but for watch, coverage, reset and the faults in the third
// line, and takes the same cycles for each.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "Vtensaw.h"
#include "axi_memory.h"
#include "profile.h"
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif
#include "waves.h"

namespace {

constexpr unsigned kResetCycles = 8;
constexpr unsigned kRegisterTimeout = 10000;  // cycles that a register access may take

class Simulator {
  public:
    Simulator(int argc, char** argv, uint8_t* memory, uint64_t base, uint64_t size)
        : memory_(memory, base, size, sizeof(top_.m_axi_rdata)) {
        context_.commandArgs(argc, argv);
        context_.traceEverOn(true);
        reset(kResetCycles);
    }

    ~Simulator() {
        waves_.close();
        top_.final();
    }

    bool command(const std::string& line) {
        std::istringstream words(line);
        std::string name;
        words >> name;
        if (name == "quit") return false;
        if (name == "set")
            set(words);
        else if (name == "write")
            write(words);
        else if (name == "read")
            read(words);
        else if (name == "profile")
            ok(static_cast<bool>(words >> profile_.path));
        else if (name == "waves")
            arm_waves(words);
        else if (name == "watch")
            watch(words);
        else if (name == "watched")
            tell_watched();
        else if (name == "coverage")
            write_coverage(words);
        else if (name == "mark")
            mark();
        else if (name == "reset")
            reset(words);
        else if (name == "wait")
            wait(words);
        else
            ok(name == "load" || name == "dump");
        return true;
    }

  private:
    VerilatedContext context_;
    Vtensaw top_{&context_};
    AxiMemory<Vtensaw> memory_;
    Profile<Vtensaw> profile_;
    Waves<Vtensaw> waves_;
    std::string waves_path_;
    uint64_t waves_first_ = 0, waves_last_ = 0;
    bool in_reset_ = false;
    uint64_t time_ = 0;   // cycles since power-up
    uint64_t cycle_ = 0;  // cycles since the mark
    uint64_t quiet_ = 0;  // cycles without any progress
    uint64_t marked_ = 0;  // time of the mark

    static void ok(bool good) { std::cout << (good ? "ok" : "error bad command") << std::endl; }

    void tick() {
        if (!in_reset_) {
            memory_.before_edge(top_, time_);
            profile_.changed = false;
            profile_.sample(top_, cycle_);
            quiet_ = memory_.handshake || profile_.changed ? 0 : quiet_ + 1;
        }
        memory_.drive(top_);
        top_.clk = 1;
        top_.eval();
        waves_.sample(cycle_, false);
        top_.clk = 0;
        top_.eval();
        waves_.sample(cycle_, true);
        ++time_;
        ++cycle_;
    }

    // What the NPU does in these cycles nobody sees, so that both sides begin anew together.
    void reset(unsigned cycles) {
        in_reset_ = true;
        memory_.reset();
        top_.rst = 1;
        for (unsigned count = 0; count < cycles; ++count) tick();
        top_.rst = 0;
        tick();
        in_reset_ = false;
    }

    void reset(std::istringstream& words) {
        unsigned cycles = 0;
        words >> cycles;
        if (cycles) reset(cycles);
        ok(cycles != 0);
    }

    void set(std::istringstream& words) {
        std::string name;
        uint64_t value = 0;
        words >> name >> value;
        bool good = !words.fail();
        if (name == "read_latency")
            memory_.read_latency = value;
        else if (name == "write_latency")
            memory_.write_latency = value;
        else if (name == "stall")
            memory_.stall = value;
        else if (name == "seed")
            memory_.seed = value;
        else if (name == "error_low")
            memory_.error_low = value;
        else if (name == "error_high")
            memory_.error_high = value;
        else if (name == "error_response")
            memory_.error_response = value;
        else if (name == "error_read_beat")
            memory_.error_read_beat = value;
        else if (name == "error_write_beat")
            memory_.error_write_beat = value;
        else if (name == "silent")
            memory_.silent = value;
        else if (name == "silent_from")
            memory_.silent_from = value;
        else
            good = false;
        ok(good);
    }

    void write(std::istringstream& words) {
        uint32_t offset = 0, value = 0;
        words >> offset >> value;
        top_.s_axi_awaddr = offset;
        top_.s_axi_awvalid = 1;
        top_.s_axi_wdata = value;
        top_.s_axi_wvalid = 1;
        top_.s_axi_bready = 1;
        tick();
        for (unsigned count = 0; count < kRegisterTimeout; ++count) {
            const bool response = top_.s_axi_bvalid;
            if (top_.s_axi_awready) top_.s_axi_awvalid = 0;
            if (top_.s_axi_wready) top_.s_axi_wvalid = 0;
            if (response) top_.s_axi_bready = 0;
            tick();
            if (response) return ok(true);
        }
        std::cout << "error no answer to a register write" << std::endl;
    }

    void read(std::istringstream& words) {
        uint32_t offset = 0;
        words >> offset;
        top_.s_axi_araddr = offset;
        top_.s_axi_arvalid = 1;
        top_.s_axi_rready = 1;
        tick();
        for (unsigned count = 0; count < kRegisterTimeout; ++count) {
            const bool answer = top_.s_axi_rvalid;
            const uint32_t value = top_.s_axi_rdata;
            if (top_.s_axi_arready) top_.s_axi_arvalid = 0;
            if (answer) top_.s_axi_rready = 0;
            tick();
            if (answer) {
                std::cout << "ok " << value << std::endl;
                return;
            }
        }
        std::cout << "error no answer to a register read" << std::endl;
    }

    void arm_waves(std::istringstream& words) {
        ok(static_cast<bool>(words >> waves_first_ >> waves_last_ >> waves_path_));
    }

    void watch(std::istringstream& words) {
        std::string path;
        words >> path;
        std::ifstream file(path, std::ios::binary | std::ios::ate);
        memory_.watched.resize(file ? static_cast<std::size_t>(file.tellg()) / 2 : 0);
        file.seekg(0);
        file.read(reinterpret_cast<char*>(memory_.watched.data()), memory_.watched.size() * 2);
        ok(static_cast<bool>(file));
    }

    void write_coverage(std::istringstream& words) {
        std::string path;
        words >> path;
#if VM_COVERAGE
        context_.coveragep()->write(path);
        ok(true);
#else
        std::cout << "error this simulator was not built for coverage" << std::endl;
#endif
    }

    void tell_watched() {
        if (memory_.first_wrong == memory_.kNever)
            std::cout << "ok never" << std::endl;
        else
            std::cout << "ok " << memory_.first_wrong - marked_ << std::endl;
    }

    void mark() {
        cycle_ = 0;
        quiet_ = 0;
        marked_ = time_;
        memory_.start_run(time_);
        profile_.clear();
        if (!waves_path_.empty()) {
            waves_.arm(top_, waves_path_, waves_first_, waves_last_);
            waves_path_.clear();
            if (!waves_.open()) {
                std::cout << "error the wave file cannot be written" << std::endl;
                return;
            }
        }
        ok(true);
    }

    void wait(std::istringstream& words) {
        uint64_t limit = 0, watchdog = 0, progress = 0;
        words >> limit >> watchdog >> progress;
        quiet_ = 0;
        uint64_t next = cycle_ + progress;
        std::ostringstream outcome;
        for (;;) {
            if (!memory_.violation.empty()) {
                outcome << "violation " << cycle_ << ' ' << memory_.violation;
                memory_.violation.clear();
                break;
            }
            if (context_.gotFinish()) {
                outcome << "check " << cycle_;
                break;
            }
            if (top_.irq) {
                outcome << "irq " << cycle_;
                break;
            }
            if (cycle_ >= limit) {
                outcome << "limit " << cycle_;
                break;
            }
            if (quiet_ >= watchdog) {
                outcome << "hang " << cycle_;
                break;
            }
            if (cycle_ >= next) {
                std::cout << "progress " << cycle_ << std::endl;
                next += progress;
            }
            tick();
        }
        waves_.close();
        if (!profile_.write(cycle_)) {
            std::cout << "error the profile cannot be written" << std::endl;
            return;
        }
        std::cout << outcome.str() << std::endl;
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        std::cerr << "usage: simulator MEMORY_FILE BASE BYTES" << std::endl;
        return 2;
    }
    const uint64_t base = std::strtoull(argv[2], nullptr, 0), size = std::strtoull(argv[3], nullptr, 0);
    const int file = open(argv[1], O_RDWR);
    void* memory = file < 0 ? MAP_FAILED : mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) {
        std::cerr << "the memory file " << argv[1] << " cannot be mapped" << std::endl;
        return 2;
    }
    Simulator simulator(argc, argv, static_cast<uint8_t*>(memory), base, size);
    std::cout << "ok" << std::endl;
    std::string line;
    while (std::getline(std::cin, line) && simulator.command(line)) {
    }
    return 0;
}
