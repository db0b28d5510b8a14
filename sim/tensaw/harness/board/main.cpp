// The virtual board: a board's top in Verilator, its serial pins bridged to a pseudo-terminal, an SDRAM chip on its pins.
//
//   simulator NAME=VALUE...   the names are those of `setting` below
//
// Prints "port NAME" whenever there is a new pseudo-terminal. Lines on standard input:
//
//   drop N, flip N            chance, in 2^-32, that a byte of the line is lost, or that a bit of it is inverted
//   stick BYTE BIT VALUE      a bit of the SDRAM that always reads as VALUE
//   unplug, plug              close the pseudo-terminal; open a new one
//   status                    answered by "status CYCLES SECONDS LIGHTS"
//   quit
//
// Ends with code 3 and a line "violation TEXT" when the board breaks a rule of the SDRAM chip.
#include <poll.h>

#include <chrono>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>

#include "Vboard.h"
#include "Vboard___024root.h"
#include "pty.h"
#include "sdram_chip.h"
#include "uart_line.h"
#include "verilated.h"

// Where every pad is one for both directions, what the board drives has a name of its own.
#ifdef TWO_WAY_PADS
#define PIN_OUT(name) (top_.name##__out)
#else
#define PIN_OUT(name) (top_.name)
#endif

namespace {

constexpr int kChunk = 1024;         // cycles between looks at the host
constexpr int kIdleChunks = 200;     // after so many without any work the simulator naps between chunks
constexpr std::size_t kQueue = 256;  // bytes that the host may be ahead of the line

struct Settings {
    int64_t oscillator = 25'000'000, baud = 3'000'000, seed = 1, drop = 0, flip = 0;
    SdramTimes sdram;

    int64_t* find(const std::string& name) {
        const std::map<std::string, int64_t*> names = {
            {"oscillator", &oscillator}, {"baud", &baud}, {"seed", &seed}, {"drop", &drop}, {"flip", &flip},
            {"init", &sdram.init}, {"refresh", &sdram.refresh}, {"trcd", &sdram.trcd}, {"trp", &sdram.trp},
            {"tras", &sdram.tras}, {"tras_longest", &sdram.tras_longest}, {"trc", &sdram.trc}, {"trfc", &sdram.trfc},
            {"trrd", &sdram.trrd}, {"twr", &sdram.twr}, {"access", &sdram.access}, {"hold", &sdram.hold},
            {"setup", &sdram.setup}, {"input_hold", &sdram.input_hold}, {"fastest", &sdram.fastest},
            {"tmrd_cycles", &sdram.tmrd_cycles}, {"cas", &sdram.cas}, {"data_bits", &sdram.data_bits},
            {"row_bits", &sdram.row_bits}, {"column_bits", &sdram.column_bits}, {"bank_bits", &sdram.bank_bits},
            {"round_trip", &sdram.round_trip},
        };
        const auto found = names.find(name);
        return found == names.end() ? nullptr : found->second;
    }
};

class VirtualBoard {
  public:
    VirtualBoard(const Settings& settings, VerilatedContext& context)
        : settings_(settings), top_{&context}, line_(static_cast<uint32_t>(settings.seed)) {
        line_.drop = static_cast<uint32_t>(settings.drop);
        line_.flip = static_cast<uint32_t>(settings.flip);
        line_.set_rate(settings.baud);
        top_.uart_rx = 1;
        top_.eval();
        auto& root = *top_.rootp;
        const double hertz = static_cast<double>(settings.oscillator) * root.tensaw_board__DOT__pll__DOT__multiply /
                             root.tensaw_board__DOT__pll__DOT__divide;
        period_ = static_cast<int64_t>(1e12 / hertz + 0.5);
        shift_ = period_ * root.tensaw_board__DOT__pll__DOT__shift / root.tensaw_board__DOT__pll__DOT__eighths;
        half_input_ = 500'000'000'000ll / settings.oscillator;
#ifdef SDRAM
        chip_ = std::make_unique<SdramChip>(settings.sdram, static_cast<uint32_t>(settings.seed));
        chip_->period_ = period_;
#endif
    }

    bool plug() {
        if (!pty_.open()) return false;
        line_.to_board.clear();
        std::cout << "port " << pty_.name() << std::endl;
        return true;
    }

    int run() {
        const auto started = std::chrono::steady_clock::now();
        int idle = 0;
        while (true) {
            for (int count = 0; count < kChunk; ++count) cycle();
            if (chip_ && !chip_->violation.empty()) {
                std::cout << "violation " << chip_->violation << std::endl;
                return 3;
            }
            const bool heard = pty_.read(line_.to_board, kQueue);
            if (heard) {
                const int64_t rate = pty_.rate();
                if (rate > 0) line_.set_rate(rate);
            }
            const bool said = !line_.from_board.empty();
            pty_.write(line_.from_board);
            idle = heard || said || line_.busy() || worked_ ? 0 : idle + 1;
            worked_ = false;
            if (!steer(idle > kIdleChunks ? 2 : 0, started)) return 0;
        }
    }

  private:
    Settings settings_;
    Vboard top_;
    UartLine line_;
    Pty pty_;
    std::unique_ptr<SdramChip> chip_;
    int64_t period_ = 0, shift_ = 0, half_input_ = 0;
    int64_t now_ = 0, next_input_ = 0;
    uint64_t cycles_ = 0;
    bool worked_ = false;
    std::string typed_;

    void cycle() {
        auto& root = *top_.rootp;
        while (next_input_ <= now_) {
            top_.CLOCK_PORT = !top_.CLOCK_PORT;
            top_.eval();
            next_input_ += half_input_;
        }
        top_.uart_rx = line_.drive(now_);
#ifdef SDRAM
        top_.sdram_dq = chip_->sample(now_);
#endif
        root.tensaw_board__DOT__pll__DOT__op = 1;
        top_.eval();
        line_.sense(PIN_OUT(uart_tx), now_);
#ifdef SDRAM
        SdramChip::Pins pins;
        pins.command = top_.sdram_ras_n << 2 | top_.sdram_cas_n << 1 | top_.sdram_we_n;
        pins.bank = top_.sdram_ba;
        pins.address = top_.sdram_a;
        pins.mask = top_.sdram_dqm;
        pins.enable = top_.sdram_dq__en != 0;
        pins.data = pins.enable ? top_.sdram_dq__out : 0;
        pins.clock_enable = top_.sdram_cke;
        pins.select_n = top_.sdram_cs_n;
        chip_->settle(pins, now_);
        // Refreshes go on for ever; everything else is work.
        worked_ |= pins.command == 5 || pins.command == 4;
#endif
        root.tensaw_board__DOT__pll__DOT__os = 1;
        top_.eval();
#ifdef SDRAM
        if (top_.sdram_clk) chip_->clock(now_ + shift_);
#endif
        root.tensaw_board__DOT__pll__DOT__op = 0;
        root.tensaw_board__DOT__pll__DOT__os = 0;
        top_.eval();
        now_ += period_;
        ++cycles_;
    }

    // Look for commands, for at most `milliseconds`; false when the board shall end.
    bool steer(int milliseconds, std::chrono::steady_clock::time_point started) {
        pollfd in{0, POLLIN, 0};
        if (::poll(&in, 1, milliseconds) <= 0) return true;
        char buffer[512];
        const ssize_t count = ::read(0, buffer, sizeof buffer);
        if (count <= 0) return false;
        typed_.append(buffer, static_cast<std::size_t>(count));
        for (std::size_t end; (end = typed_.find('\n')) != std::string::npos; typed_.erase(0, end + 1))
            if (!obey(typed_.substr(0, end), started)) return false;
        return true;
    }

    bool obey(const std::string& text, std::chrono::steady_clock::time_point started) {
        std::istringstream words(text);
        std::string name;
        uint64_t a = 0, b = 0, c = 0;
        words >> name >> a >> b >> c;
        if (name == "quit") return false;
        if (name == "drop") line_.drop = static_cast<uint32_t>(a);
        if (name == "flip") line_.flip = static_cast<uint32_t>(a);
        if (name == "stick" && chip_) chip_->stick(a, static_cast<unsigned>(b), c);
        if (name == "unplug") pty_.close();
        if (name == "plug") return plug();
        if (name == "status") {
            const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
            std::cout << "status " << cycles_ << ' ' << seconds.count() << ' ' << static_cast<unsigned>(PIN_OUT(led))
                      << std::endl;
        }
        return true;
    }
};

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    for (int index = 1; index < argc; ++index) {
        const std::string argument = argv[index];
        if (argument[0] == '+') continue;  // for the Verilog
        const std::size_t equals = argument.find('=');
        int64_t* place = settings.find(argument.substr(0, equals));
        if (equals == std::string::npos || !place) {
            std::cerr << "unknown setting " << argument << std::endl;
            return 2;
        }
        *place = std::strtoll(argument.c_str() + equals + 1, nullptr, 10);
    }
    VerilatedContext context;
    context.commandArgs(argc, argv);
    VirtualBoard board(settings, context);
    if (!board.plug()) {
        std::cerr << "no pseudo-terminal can be opened" << std::endl;
        return 2;
    }
    return board.run();
}
